/** Parses the output of `claude -p --output-format stream-json --verbose`. */
import {
  agentFailed,
  amountOf,
  causeOfStatus,
  countOf,
  describeEnd,
  asText,
  itemsOf,
  classifyAnswer,
  noAnswer,
  objectOf,
  incompleteAnswer,
  shorten,
  textOf,
  usageByModel,
  appendPiece,
  type AgentDialect,
  type FailureCause,
  type LineResult,
  type Classification,
  type ProgramEnd,
  type ParsedEvent,
  type JsonObject,
  type RunOutcome,
} from '../plugin.ts';
import { NOTHING_USED, usageSoFar, withMessage, withResult, type UsageOfModels, type UsedSoFar } from './program-usage.ts';

interface ClaudeState {
  /** The run resumes a session. */
  readonly isResumed: boolean;
  /** A tool was called. */
  readonly mayHaveSideEffects: boolean;
  /** Claude Code has started; earlier failures are caused by its setup. */
  readonly hasBegun: boolean;
  /** When the usage limit resets, milliseconds since 1970; null if not reported. */
  readonly resetAtMs: number | null;
  readonly used: UsedSoFar;
  /** Usage from the results of the turns so far. */
  readonly usedByResults: UsageOfModels;
  /** Number of background shells and subagents. */
  readonly background: number;
  /**
   * The text since the last tool call: all that is left of a truncated answer. Null: a dropped line may have been part
   * of it.
   */
  readonly text: string | null;
  /** The result of the last turn; another turn may follow. */
  readonly answer: RunOutcome | null;
}

const INITIAL: ClaudeState = {
  isResumed: false,
  mayHaveSideEffects: false,
  hasBegun: false,
  resetAtMs: null,
  used: NOTHING_USED,
  usedByResults: {},
  background: 0,
  text: '',
  answer: null,
};

export interface ClaudeDialectOptions {
  /** A result counts as a failure if a tool was denied. */
  readonly failsWhenDenied: boolean;
}

export const claudeDialect = (options: ClaudeDialectOptions): AgentDialect<ClaudeState> => ({
  begin: (session) => ({ ...INITIAL, isResumed: session !== null }),
  onLine(state, { json, readAtMs }) {
    switch (json?.['type']) {
      case 'system':
        return withPendingAnswer(onSystem(state, json));
      case 'assistant':
        return withPendingAnswer(onAssistant(state, objectOf(json['message'])));
      case 'rate_limit_event':
        return onAllowance(state, objectOf(json['rate_limit_info']));
      case 'result':
        return onResult(state, { json: json, readAtMs, ...options });
      default:
        return { state };
    }
  },
  // A result contains its whole text; the dropped line may have been a later result.
  onDropped: (state) => ({ ...state, answer: null, text: null }),
  onEnd: (state, end) =>
    agentFailed({
      kind: state.hasBegun || end.signal !== null ? 'no_result' : causeBeforeBeginning(end),
      message: describeEnd(end),
      mayHaveSideEffects: state.mayHaveSideEffects,
    }),
});

/** Background work may trigger another turn, whose result is then the answer. */
function withPendingAnswer(result: LineResult<ClaudeState>): LineResult<ClaudeState> {
  const { answer } = result.state;
  return answer === null ? result : { ...result, answer: { outcome: answer, isAtWork: true } };
}

function onSystem(state: ClaudeState, json: JsonObject): LineResult<ClaudeState> {
  switch (json['subtype']) {
    case 'init':
      // Repeated when Claude Code continues by itself after a background shell has ended.
      return {
        state: { ...state, hasBegun: true },
        events: state.hasBegun ? [] : [{ type: 'started', sessionId: textOf(json['session_id']) ?? undefined }],
      };
    case 'api_retry': {
      const status = countOf(json['error_status']);
      const waiting = causeOfStatus(status) === 'rate_limited' ? 'rate_limited' : 'model_unavailable';
      const count = `${String(countOf(json['attempt']))} of ${String(countOf(json['max_retries']))}`;
      const message = `waiting for the model: retry ${count} in ${String(Math.round(amountOf(json['retry_delay_ms'])))} ms${status === 0 ? '' : ` after ${String(status)}`}`;
      return { state, events: [{ type: 'progress', message, waiting }] };
    }
    case 'permission_denied':
      return { state, events: [{ type: 'progress', message: `not allowed: ${textOf(json['tool_name']) ?? 'a tool'}` }] };
    case 'background_tasks_changed':
      return { state: { ...state, background: itemsOf(json['tasks']).length } };
    default:
      return { state };
  }
}

function onAssistant(state: ClaudeState, message: JsonObject): LineResult<ClaudeState> {
  const parts = itemsOf(message['content']).map(objectOf);
  const tools = parts.filter((part) => part['type'] === 'tool_use').map((part) => textOf(part['name']) ?? 'a tool');
  const texts = parts.flatMap((part) => (part['type'] === 'text' ? [textOf(part['text']) ?? ''] : []));
  const isModel = message['model'] !== '<synthetic>';
  const used = isModel ? withMessage(state.used, message) : state.used;
  const events: ParsedEvent[] = [
    ...texts.filter((text) => isModel && text.trim() !== '').map((text): ParsedEvent => ({ type: 'progress', message: shorten(text) })),
    ...tools.map((tool): ParsedEvent => ({ type: 'progress', message: `uses ${tool}` })),
    ...(isModel ? [{ type: 'usage', ...usageSoFar(used) } as const] : []),
  ];
  const text = isModel && state.text !== null ? texts.reduce(appendPiece, state.text) : state.text;
  return {
    state: { ...state, used, mayHaveSideEffects: state.mayHaveSideEffects || tools.length > 0, text: tools.length > 0 ? '' : text },
    events,
  };
}

function onAllowance(state: ClaudeState, info: JsonObject): LineResult<ClaudeState> {
  const resetsAt = amountOf(info['resetsAt']);
  return { state: { ...state, resetAtMs: info['status'] === 'rejected' && resetsAt > 0 ? resetsAt * 1_000 : null } };
}

/** `subtype: "success"` comes with `is_error: true` when the model's service fails, so check that first. */
function onResult(
  state: ClaudeState,
  { json, readAtMs, failsWhenDenied }: { readonly json: JsonObject; readonly readAtMs: number } & ClaudeDialectOptions,
): LineResult<ClaudeState> {
  const usedByResults = withResult(state.usedByResults, json);
  const usage = usageByModel(usedByResults);
  const isSuccess = json['is_error'] === false && json['subtype'] === 'success';
  const denied = deniedTools(json);
  const gone = state.isResumed && !state.hasBegun ? itemsOf(json['errors']).map(asText).find(isSessionGone) : undefined;
  if (gone !== undefined) return { state, events: [{ type: 'session_gone', message: shorten(gone) }] };
  if (!isSuccess) return { state, events: [{ type: 'usage', ...usage }, failureOf(state, json, readAtMs)] };
  if (failsWhenDenied && denied.length > 0) {
    const message = `it was not allowed to use ${denied.join(', ')}`;
    return {
      state,
      events: [{ type: 'usage', ...usage }, agentFailed({ kind: 'denied', message, mayHaveSideEffects: true, details: { denied } })],
    };
  }
  const text = textOf(json['result']) ?? '';
  const metadata = {
    session_id: textOf(json['session_id']),
    turns: countOf(json['num_turns']),
    ...stopReasonIn(json),
    ...(denied.length === 0 ? {} : { denied }),
  };
  const answer: RunOutcome =
    text.trim() === ''
      ? noAnswer({ mayHaveSideEffects: state.mayHaveSideEffects, details: metadata })
      : { type: 'completed', output: { text, ...metadata }, ...usage };
  return {
    state: { ...state, usedByResults, answer },
    events: [{ type: 'usage', ...usage }],
    answer: { outcome: answer, isAtWork: state.background > 0 },
  };
}

const stopReasonIn = (json: JsonObject): { readonly stop_reason?: string } => {
  const reason = textOf(json['stop_reason']);
  return reason === null ? {} : { stop_reason: reason };
};

const isSessionGone = (error: string): boolean => /no conversation found with session id/i.test(error);

const deniedTools = (json: JsonObject): readonly string[] => [
  ...new Set(itemsOf(json['permission_denials']).map((denial) => textOf(objectOf(denial)['tool_name']) ?? 'a tool')),
];

function failureOf(state: ClaudeState, json: JsonObject, readAtMs: number): RunOutcome {
  const errors = itemsOf(json['errors']).map(asText);
  const fullText = textOf(json['result']) ?? (errors.join('; ') || (textOf(json['subtype']) ?? 'it failed'));
  const message = shorten(fullText);
  const status = countOf(json['api_error_status']);
  const { kind, retryable, reason } = classifyFailure(json, message);
  return agentFailed({
    kind,
    message,
    mayHaveSideEffects: state.mayHaveSideEffects,
    retryable,
    retryAfterMs: kind === 'rate_limited' && state.resetAtMs !== null ? Math.max(0, state.resetAtMs - readAtMs) : undefined,
    details: {
      subtype: json['subtype'],
      terminal_reason: json['terminal_reason'],
      ...(status === 0 ? {} : { api_error_status: status }),
      session_id: json['session_id'],
    },
    // Failure messages of Claude Code itself end with `stop_sequence`, which is not why the model stopped.
    acceptable: incompleteAnswer({
      reason,
      text: reason === 'refused' ? fullText : state.text,
      metadata: { session_id: textOf(json['session_id']), turns: countOf(json['num_turns']) },
    }),
  });
}

/** The limits of Claude Code itself, or the error of its model's service. */
function classifyFailure(json: JsonObject, message: string): Partial<Classification> & Pick<Classification, 'kind'> {
  const { subtype } = json;
  if (subtype === 'error_max_turns' || subtype === 'error_max_budget_usd') return { kind: 'limit' };
  const status = countOf(json['api_error_status']);
  const named = ['api_error', 'api_error_type', 'stop_reason'].map((name) => textOf(json[name]) ?? '');
  return classifyAnswer({ status: status === 0 ? null : status, text: [message, ...named].join(' ') }) ?? { kind: 'agent_failed' };
}

/** Startup errors are printed on standard error, as text. */
const causeBeforeBeginning = ({ exitCode, stderrTail }: ProgramEnd): FailureCause =>
  exitCode === null || exitCode === 0 || stderrTail.trim() === '' ? 'no_result' : 'config';
