/** Builds the frames that report the end of an assignment, within the frame limits. */
import {
  cutEncoded,
  cutEncodedStart,
  encodedBytes,
  encodedBytesAtMost,
  wellFormed,
  wellFormedValue,
} from '../../../domain/encoded-text.ts';
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import { isNoUsage, usageFields, type Usage } from '../../../domain/usage.ts';
import { findExcess } from '../../../protocol/json-bounds.ts';
import type { V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import {
  DETAILS_BYTES_MAX,
  JOURNALED_REASON_BYTES_MAX,
  OUTPUT_BYTES_MAX,
  REASON_BYTES_MAX,
  STDERR_TAIL_BYTES_MAX,
} from '../state/constants.ts';
import type { Failure } from '../state/failure.ts';
import { fitResult, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX, type ReportedResult } from './fit-report.ts';
import { frameIds, type RunEnd } from '../state/state.ts';

type Fields = Readonly<Record<string, unknown>>;
export type EndFrame = V2FrameOf<'task_complete'> | V2FrameOf<'task_failed'>;

export interface EndReport {
  readonly frame: EndFrame;
  /** Keep the result file: it holds more than the frame. */
  readonly keepFiles: boolean;
  /** Keep the run's streams too, since the result came from them. */
  readonly keepStreams?: boolean | undefined;
}

/** What every end report says about the attempt. */
export interface AttemptInfo {
  /** The usage of the whole attempt. */
  readonly used: Usage;
  readonly sessionId?: string | undefined;
}

export interface FrameLimits {
  readonly frameBytesMax: number;
  readonly sha256: (text: string) => string;
}

/** A successful result. Measured last: a frame that is still too large is reported as a failure. */
export function completeReport(assignment: AssignmentId, result: ReportedResult, attempt: AttemptInfo, limits: FrameLimits): EndReport {
  const { taskId: task_id, generation } = assignment;
  const whole: V2FrameOf<'task_complete'> = { type: 'task_complete', task_id, generation, result };
  const isPlain = isNoUsage(attempt.used) && attempt.sessionId === undefined;
  const frame = fitFrame(isPlain ? whole : { ...whole, ...attemptFields(attempt) }, result, limits);
  const fits = frame.type === 'task_complete';
  const isCut = fits && (frame.result as ReportedResult).output_truncated === true;
  return { frame, keepFiles: !fits || isCut || result.omitted !== undefined };
}

/** Whether the frame certainly fits as it is. Most do, so the exact sizes of their parts need not be computed. */
const isSmall = (frame: V2FrameOf<'task_complete'>, { output }: ReportedResult, frameBytesMax: number): boolean =>
  findExcess(output, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX) === null &&
  encodedBytesAtMost(frame) <= Math.min(frameBytesMax, OUTPUT_BYTES_MAX);

/** Fits the result into its frame, or returns a failure if that is impossible. */
export function fitFrame(frame: V2FrameOf<'task_complete'>, result: ReportedResult, { frameBytesMax, sha256 }: FrameLimits): EndFrame {
  if (isSmall(frame, result, frameBytesMax)) return frame;
  const aroundBytes = encodedBytes({ ...frame, result: {} });
  const fitted = { ...frame, result: fitResult(result, frameBytesMax - aroundBytes, sha256) };
  const bytes = encodedBytes(fitted);
  if (bytes <= frameBytesMax) return fitted;
  const { result: _result, verification_report: _report, verification_history: _history, ...rest } = frame;
  const error = `the report of its result has ${bytes} bytes, but the hub accepts frames of up to ${frameBytesMax}: raise limits.frameBytes on the hub`;
  return { ...rest, type: 'task_failed', error, kind: 'result_too_large', retryable: true };
}

/** A failure that the agent reported in its result file. */
export function agentFailure(result: Fields): Failure {
  const { status: _status, reason, error, retryable, ...rest } = result;
  const reported = reason ?? error;
  const text = typeof reported === 'string' ? reported : reported === undefined ? 'the agent gave no reason' : JSON.stringify(reported);
  const isDetailed = Object.keys(rest).length > 0;
  const fits = encodedBytes(rest) <= DETAILS_BYTES_MAX;
  return {
    kind: 'agent_failed',
    error: text,
    retryable: retryable !== false,
    details: isDetailed
      ? fits
        ? rest
        : {
            omitted: Object.keys(rest)
              .slice(0, 64)
              .map((key) => cutEncoded(key, 128)),
          }
      : undefined,
    keepFiles: isDetailed && !fits,
  };
}

export function failedReport(assignment: AssignmentId, failure: Failure, attempt: AttemptInfo): EndReport {
  const details = failure.details === undefined ? undefined : boundedDetails(failure.details);
  const frame: EndFrame = {
    type: 'task_failed',
    ...frameIds(assignment),
    error: reasonText(failure.error),
    kind: failure.kind,
    retryable: failure.retryable ?? true,
    ...(details === undefined ? {} : { details }),
    ...(failure.cause === undefined ? {} : { cause: failure.cause }),
    ...(failure.retryAfterMs === undefined ? {} : { retry_after_ms: failure.retryAfterMs }),
    ...attemptFields(attempt),
  };
  return { frame, keepFiles: failure.keepFiles ?? false, keepStreams: failure.keepStreams };
}

/** For a report whose body is missing or damaged. */
export const bodyMissingReport = (assignment: AssignmentId): EndFrame => ({
  type: 'task_failed',
  ...frameIds(assignment),
  error: 'the report of this assignment is missing from the outbox of its sidecar',
  kind: 'lost',
  retryable: true,
});

/** A run that ended without a result. */
export function endWithoutResult(end: RunEnd): Failure {
  // A program that exits as if all were well mostly has its result elsewhere, such as in its output, which not every runner reads.
  const missing = end.exitCode === 0 ? ': it wrote no $AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.json, and its runner reported none' : '';
  return {
    kind: 'agent_failed',
    error: `the agent ${describeEnd(end)} without a result${missing}`,
    details: {
      exit_code: end.exitCode,
      signal: end.signal,
      ...(end.stderrTail === '' ? {} : { stderr_tail: cutEncodedStart(wellFormed(end.stderrTail), STDERR_TAIL_BYTES_MAX) }),
    },
  };
}

function describeEnd(end: RunEnd): string {
  if (end.signal !== null) return `was ended by ${end.signal}`;
  return end.exitCode === null ? 'ended' : `exited with code ${end.exitCode}`;
}

/** Makes a text fit for an error, reason or message field. */
export const reasonText = (text: string): string => cutEncoded(wellFormed(text), REASON_BYTES_MAX);

const CUT = ' … ';

/** A reason as it is journaled: what is too long loses its middle, since the end often says what to do. */
export function journaledReason(reason: string): string {
  if (encodedBytes(reason) <= JOURNALED_REASON_BYTES_MAX) return reason;
  const half = JOURNALED_REASON_BYTES_MAX / 2;
  return `${cutEncoded(reason, half)}${CUT}${cutEncodedStart(reason, half - encodedBytes(CUT))}`;
}

function boundedDetails(details: Fields): Fields {
  const clean = wellFormedValue(details) as Fields;
  if (encodedBytes(clean) <= DETAILS_BYTES_MAX) return clean;
  return { text: cutEncoded(JSON.stringify(clean), DETAILS_BYTES_MAX - 64), truncated: true };
}

/** As sent in every frame about an attempt. */
export const attemptFields = ({ used, sessionId }: AttemptInfo) => ({
  ...usageFields(used),
  ...(sessionId === undefined ? {} : { session_id: sessionId }),
});
