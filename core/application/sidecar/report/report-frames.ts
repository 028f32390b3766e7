/** The reports of an assignment's end, as frames: what the agent said or what became of its run, made fit to be sent. */
import { cutEncoded, cutEncodedStart, encodedBytes, wellFormed, wellFormedValue } from '../../../domain/encoded-text.ts';
import type { Assignment } from '../../../domain/assignment/slot.ts';
import { usageFields, type Usage } from '../../../domain/usage.ts';
import type { V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import { DETAILS_BYTES_MAX, REASON_BYTES_MAX, STDERR_TAIL_BYTES_MAX } from '../state/bounds.ts';
import type { Failure } from '../state/failure.ts';
import { fitResult, type ReportedResult } from './fit-report.ts';
import { frameName, type RunEnd } from '../state/state.ts';

type Fields = Readonly<Record<string, unknown>>;
export type EndFrame = V2FrameOf<'task_complete'> | V2FrameOf<'task_failed'>;

export interface EndReport {
  readonly frame: EndFrame;
  /** The result file of the assignment says more than the frame. */
  readonly keepFiles: boolean;
  /** And so do the streams of its run: what its runner heard stands nowhere else. */
  readonly keepStreams?: boolean | undefined;
}

/** What goes with the end of an attempt. */
export interface Aside {
  /** Of the whole attempt. */
  readonly used: Usage;
  readonly sessionId?: string | undefined;
}

export interface FrameLimits {
  readonly frameBytesMax: number;
  readonly sha256: (text: string) => string;
}

/** A finished result. Its frame is measured last: one that is over the bound all the same is told as a failure. */
export function completeReport(name: Assignment, result: ReportedResult, aside: Aside, limits: FrameLimits): EndReport {
  const frame = fitFrame({ type: 'task_complete', ...frameName(name), result, ...asideFields(aside) }, result, limits);
  const fits = frame.type === 'task_complete';
  const isCut = fits && (frame.result as ReportedResult).output_truncated === true;
  return { frame, keepFiles: !fits || isCut || result.omitted !== undefined };
}

/** The frame with its result made fit for it; a failure where nothing can be. */
export function fitFrame(frame: V2FrameOf<'task_complete'>, result: ReportedResult, { frameBytesMax, sha256 }: FrameLimits): EndFrame {
  const aroundBytes = encodedBytes({ ...frame, result: {} });
  const fitted = { ...frame, result: fitResult(result, frameBytesMax - aroundBytes, sha256) };
  const bytes = encodedBytes(fitted);
  if (bytes <= frameBytesMax) return fitted;
  const { result: _result, verification_report: _report, verification_history: _history, ...rest } = frame;
  const error = `the report of its result has ${bytes} bytes, and the hub takes frames of ${frameBytesMax}: raise limits.frameBytes of the hub`;
  return { ...rest, type: 'task_failed', error, kind: 'result_too_large', retryable: true };
}

/** A failure that the agent told in its result file. */
export function agentFailure(result: Fields): Failure {
  const { status: _status, reason, error, retryable, ...rest } = result;
  const said = reason ?? error;
  const text = typeof said === 'string' ? said : said === undefined ? 'the agent gave no reason' : JSON.stringify(said);
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

export function failedReport(name: Assignment, failure: Failure, aside: Aside): EndReport {
  const details = failure.details === undefined ? undefined : boundedDetails(failure.details);
  const frame: EndFrame = {
    type: 'task_failed',
    ...frameName(name),
    error: reasonText(failure.error),
    kind: failure.kind,
    retryable: failure.retryable ?? true,
    ...(details === undefined ? {} : { details }),
    ...(failure.cause === undefined ? {} : { cause: failure.cause }),
    ...(failure.retryAfterMs === undefined ? {} : { retry_after_ms: failure.retryAfterMs }),
    ...asideFields(aside),
  };
  return { frame, keepFiles: failure.keepFiles ?? false, keepStreams: failure.keepStreams };
}

/** The report of an assignment whose own report is not there any more. */
export const bodyMissingReport = (name: Assignment): EndFrame => ({
  type: 'task_failed',
  ...frameName(name),
  error: 'the report of this assignment is missing beside the journal of its sidecar',
  kind: 'lost',
  retryable: true,
});

/** How a run ended without a word of its agent. */
export function endWithoutResult(end: RunEnd): Failure {
  const how = describeEnd(end);
  return {
    kind: 'agent_failed',
    error: `the agent ${how} without a result`,
    details: {
      exit_code: end.exitCode,
      signal: end.signal,
      ...(end.stderrTail === '' ? {} : { stderr_tail: cutEncodedStart(wellFormed(end.stderrTail), STDERR_TAIL_BYTES_MAX) }),
    },
  };
}

export function describeEnd(end: RunEnd): string {
  if (end.signal !== null) return `was ended by ${end.signal}`;
  return end.exitCode === null ? 'ended' : `exited with code ${end.exitCode}`;
}

/** An error, reason or message that any frame takes. */
export const reasonText = (text: string): string => cutEncoded(wellFormed(text), REASON_BYTES_MAX);

function boundedDetails(details: Fields): Fields {
  const clean = wellFormedValue(details) as Fields;
  if (encodedBytes(clean) <= DETAILS_BYTES_MAX) return clean;
  return { text: cutEncoded(JSON.stringify(clean), DETAILS_BYTES_MAX - 64), truncated: true };
}

/** As every frame of an attempt has it. */
export const asideFields = ({ used, sessionId }: Aside) => ({
  ...usageFields(used),
  ...(sessionId === undefined ? {} : { session_id: sessionId }),
});
