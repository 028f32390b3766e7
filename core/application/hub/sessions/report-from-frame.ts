/** From a report frame to the body of a report command. Pure. */
import { wellFormed } from '../../../domain/encoded-text.ts';
import type { Generation, TaskId } from '../../../domain/ids.ts';
import type { SidecarFrame, V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { ModelFields, ModelUsage, Usage } from '../../../domain/usage.ts';
import type { ReportExtras, ReportBody, ReportCause } from '../batch/commands.ts';
import type { ProtocolVersion } from './frames-out.ts';
import { failureFromText } from './v1-failures.ts';

type ReportFrameType =
  'task_accepted' | 'task_rejected' | 'task_released' | 'task_progress' | 'wake_result' | 'task_complete' | 'task_failed';
/** A report frame of either version; version 1's may lack the generation. */
export type ReportFrame = Extract<SidecarFrame, { type: ReportFrameType }>;

type V2Frame = V2FrameOf<ReportFrameType>;

export interface NamedReport {
  readonly taskId: TaskId;
  readonly generation: Generation | null;
  readonly body: ReportBody;
}

/** Reasons and error texts are truncated to this many characters. */
const REASON_CHARACTERS_MAX = 16_384;

/** Of a version 1 frame only the fields of that version are read: others were not validated. */
export function reportFromFrame(frame: ReportFrame, version: ProtocolVersion): NamedReport {
  const body = bodyOf(frame, version);
  const extras = version === 1 ? null : extrasOf(frame as V2Frame);
  return {
    taskId: frame.task_id,
    generation: frame.generation ?? null,
    body: extras === null ? body : { ...body, ...extras },
  };
}

function bodyOf(frame: ReportFrame, version: ProtocolVersion): ReportBody {
  switch (frame.type) {
    case 'task_accepted':
      return { report: 'accepted' };
    case 'task_rejected':
      return {
        report: 'rejected',
        reason: textOf(frame.reason) ?? 'no reason given',
        ...('cause' in frame && frame.cause !== undefined ? { cause: frame.cause } : {}),
      };
    case 'task_released':
      return {
        report: 'released',
        reason: frame.reason,
        cause: frame.cause ?? null,
        retryAfterMs: frame.retry_after_ms ?? null,
        ...(frame.after_work === true ? { afterWork: true } : {}),
        ...usedIn(frame),
      };
    case 'task_progress': {
      const { progress, execution_event, percent, message } = frame;
      return {
        report: 'progress',
        details: definedFields({ percent, message, progress, execution_event }),
        ...usedIn(frame),
      };
    }
    case 'wake_result': {
      const { attempt, error, reason } = frame;
      return {
        report: 'woken',
        status: frame.status,
        details: definedFields({ attempt, error: textOf(error) ?? undefined, reason: textOf(reason) ?? undefined }),
      };
    }
    case 'task_complete': {
      const { verification_report, verification_history } = frame;
      return {
        report: 'complete',
        result: JSON.stringify(frame.result ?? null),
        tokensUsed: frame.tokens_used ?? tokensInside(frame.result),
        costUsd: frame.cost_usd ?? null,
        details:
          verification_report === undefined && verification_history === undefined
            ? null
            : definedFields({ verification_report, verification_history }),
      };
    }
    case 'task_failed': {
      const error = textOf(frame.error) ?? textOf(frame.reason) ?? 'no reason given';
      return {
        report: 'failed',
        error,
        failure: frame.kind ?? (version === 1 ? failureFromText(error) : 'agent_failed'),
        retryable: frame.retryable ?? true,
        ...usedIn(frame),
        details: definedFields({ details: frame.details }),
      };
    }
  }
}

/** The usage fields of both versions. */
const usedIn = (frame: { readonly tokens_used?: number | null; readonly cost_usd?: number | null }): Usage => ({
  tokensUsed: frame.tokens_used ?? null,
  costUsd: frame.cost_usd ?? null,
});

/** What version 2 adds to a report; null if nothing, as for most reports. */
function extrasOf(frame: V2Frame): Partial<ReportExtras & ReportCause> | null {
  if (frame.type === 'task_accepted' || frame.type === 'task_rejected' || frame.type === 'wake_result') return null;
  const models = modelsIn(frame);
  const cause = 'cause' in frame ? frame.cause : undefined;
  const retryAfterMs = 'retry_after_ms' in frame ? frame.retry_after_ms : undefined;
  if (models.length === 0 && frame.session_id === undefined && cause === undefined && retryAfterMs === undefined) return null;
  return {
    ...(models.length === 0 ? {} : { models }),
    ...(frame.session_id === undefined ? {} : { sessionId: frame.session_id }),
    ...(cause === undefined ? {} : { cause }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** The usage that the confirmation of a stop reports. */
export const usageOfStopped = (frame: V2FrameOf<'task_cancel_ack'>): Usage => ({ ...usedIn(frame), models: modelsIn(frame) });

const NO_MODELS: readonly never[] = [];

const modelsIn = ({ models }: { readonly models?: readonly ModelFields[] }): readonly ModelUsage[] =>
  models?.map((fields) => ({
    model: fields.model,
    inputTokens: fields.input_tokens ?? null,
    cachedInputTokens: fields.cached_input_tokens ?? null,
    outputTokens: fields.output_tokens ?? null,
    costUsd: fields.cost_usd ?? null,
  })) ?? NO_MODELS;

/** `tokens_used` may also be inside `result`. */
function tokensInside(result: unknown): number | null {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return null;
  const tokens = (result as Readonly<Record<string, unknown>>)['tokens_used'];
  return typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 0 ? tokens : null;
}

/** The defined fields; null if there are none. */
function definedFields(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | null {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

const textOf = (value: unknown): string | null => {
  if (value === undefined || value === null) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return wellFormed(text.slice(0, REASON_CHARACTERS_MAX));
};
