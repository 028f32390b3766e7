/** Parses the output of `opencode run --format json`. */
import {
  agentFailed,
  amountOf,
  countOf,
  droppedLineFailure,
  describeEnd,
  noAnswer,
  classifyAnswer,
  messageFields,
  objectOf,
  incompleteAnswer,
  shorten,
  sumOfUsage,
  textOf,
  usageByModel,
  appendPiece,
  type AgentDialect,
  type FailureCause,
  type LineResult,
  type RunModelUsage,
  type ProgramEnd,
  type ParsedEvent,
  type JsonObject,
  type Session,
  type RunOutcome,
} from '../plugin.ts';

export interface OpencodeDialectOptions {
  readonly model: string;
  /** Limit on steps, which are model calls. */
  readonly maxTurns?: number | undefined;
  /** Limit in US dollars, if the model's prices are known. */
  readonly maxCostUsd?: number | undefined;
}

interface OpencodeState {
  readonly session: Session | null;
  readonly sessionId: string | null;
  readonly mayHaveSideEffects: boolean;
  readonly steps: number;
  readonly usage: RunModelUsage;
  /** The text of the last step so far. */
  readonly text: string;
  /** A line was dropped in this step; it may have held a piece of `text`. */
  readonly hasDroppedLine: boolean;
  /** Why the last step ended; null while it lasts. */
  readonly reason: string | null;
  /** A tool that was denied. */
  readonly denied: string | null;
  readonly error: JsonObject | null;
}

const INITIAL = {
  sessionId: null,
  mayHaveSideEffects: false,
  steps: 0,
  usage: sumOfUsage([]),
  text: '',
  hasDroppedLine: false,
  reason: null,
  denied: null,
  error: null,
};

/**
 * There is no result line: opencode has succeeded if it exits by itself after a step that ended with `stop`, and nothing
 * failed after that.
 */
export const opencodeDialect = (options: OpencodeDialectOptions): AgentDialect<OpencodeState> => ({
  begin: (session) => ({ ...INITIAL, session }),
  onLine(before, { json }) {
    const sessionId = textOf(json?.['sessionID']);
    if (json === null || sessionId === null) return { state: before };
    const state = { ...before, sessionId };
    const started: readonly ParsedEvent[] = before.sessionId === null ? [{ type: 'started', sessionId }] : [];
    const result = onPart(state, { type: json['type'], part: objectOf(json['part']), error: objectOf(json['error']), ...options });
    return { ...result, events: [...started, ...(result.events ?? [])] };
  },
  onDropped: (state) => ({ ...state, hasDroppedLine: true }),
  onEnd(state, end) {
    const isStopped = state.reason === 'stop' && state.error === null;
    // opencode exits with code 1 if it printed any error, even one that it recovered from.
    if (isStopped && end.signal === null && (end.exitCode === 0 || state.text.trim() !== '')) {
      return outcomeOf(state, options);
    }
    if (isSessionGone(state, end)) return { type: 'session_gone', message: describeEnd(end) };
    return state.error === null ? endedWithoutResult(state, end) : failureOf(state, state.error);
  },
});

interface OutputPart extends OpencodeDialectOptions {
  readonly type: unknown;
  readonly part: JsonObject;
  readonly error: JsonObject;
}

function onPart(state: OpencodeState, input: OutputPart): LineResult<OpencodeState> {
  const { type, part } = input;
  switch (type) {
    case 'step_start':
      return { state: { ...state, text: '', hasDroppedLine: false, reason: null, error: null } };
    case 'text': {
      const text = textOf(part['text']) ?? '';
      return { state: { ...state, text: appendPiece(state.text, text) }, events: [{ type: 'progress', message: shorten(text) }] };
    }
    case 'tool_use': {
      const tool = textOf(part['tool']) ?? 'a tool';
      const isRejected = /rejected permission/i.test(textOf(objectOf(part['state'])['error']) ?? '');
      const next = { ...state, mayHaveSideEffects: true, denied: isRejected ? tool : state.denied };
      return { state: next, events: [{ type: 'progress', message: isRejected ? `not allowed: ${tool}` : `uses ${tool}` }] };
    }
    case 'step_finish':
      return onStep(state, input);
    case 'error':
      return { state: { ...state, error: input.error } };
    default:
      return { state };
  }
}

function onStep(state: OpencodeState, { part, ...options }: OutputPart): LineResult<OpencodeState> {
  const usage = sumOfUsage([state.usage, usageOfStep(part)]);
  const next = { ...state, usage, reason: textOf(part['reason']), steps: state.steps + 1 };
  const reported: ParsedEvent = { type: 'usage', ...usageOfRun(next, options) };
  const { maxTurns, maxCostUsd } = options;
  const isOver = next.reason !== 'stop';
  const mayHaveSideEffects = state.mayHaveSideEffects;
  if (isOver && maxTurns !== undefined && next.steps >= maxTurns) {
    return {
      state: next,
      events: [
        reported,
        agentFailed({
          kind: 'limit',
          message: `it took ${String(maxTurns)} turns, and was stopped`,
          mayHaveSideEffects,
          details: { maxTurns },
        }),
      ],
    };
  }
  if (isOver && maxCostUsd !== undefined && (usage.costUsd ?? 0) >= maxCostUsd) {
    const message = `it cost ${String(usage.costUsd)} US dollars of ${String(maxCostUsd)}, and was stopped`;
    return { state: next, events: [reported, agentFailed({ kind: 'limit', message, mayHaveSideEffects, details: { maxCostUsd } })] };
  }
  return { state: next, events: [reported] };
}

function outcomeOf(state: OpencodeState, options: OpencodeDialectOptions): RunOutcome {
  const { text, hasDroppedLine, mayHaveSideEffects, sessionId } = state;
  const details = { session_id: sessionId, stop_reason: state.reason };
  if (hasDroppedLine) return droppedLineFailure({ mayHaveSideEffects, details });
  if (text.trim() === '') return noAnswer({ mayHaveSideEffects, details });
  return { type: 'completed', output: { ...messageFields(text), ...details }, ...usageOfRun(state, options) };
}

function endedWithoutResult(state: OpencodeState, end: ProgramEnd): RunOutcome {
  const { mayHaveSideEffects, denied, sessionId, reason } = state;
  if (denied !== null && end.exitCode === 0) {
    return agentFailed({
      kind: 'denied',
      message: `it was not allowed to use ${denied}, and ended without a result`,
      mayHaveSideEffects,
      details: { denied },
    });
  }
  const message =
    end.exitCode === 0 && state.reason !== null ? `its last step ended with "${state.reason}", without an answer` : describeEnd(end);
  // `length`, `content-filter`: a retry would end the same way.
  const classified = end.exitCode === 0 && state.reason !== null ? classifyAnswer({ text: `finish_reason ${state.reason}` }) : null;
  const acceptable = incompleteAnswer({
    reason: classified?.reason,
    text: textOfStep(state, classified?.reason === 'refused' ? message : ''),
    stopReason: reason,
    metadata: { session_id: sessionId },
  });
  return agentFailed({
    kind: classified?.kind ?? causeOfEnd(state, end),
    message,
    mayHaveSideEffects,
    retryable: classified?.retryable,
    acceptable,
  });
}

/** The text of the last step, or `otherwise` if it has none; null if part of it may have been dropped. */
const textOfStep = ({ text, hasDroppedLine }: OpencodeState, otherwise: string): string | null =>
  hasDroppedLine ? null : text.trim() === '' ? otherwise : text;

const isSessionGone = ({ session, sessionId }: OpencodeState, { stderrTail }: ProgramEnd): boolean =>
  session !== null && sessionId === null && /session not found/i.test(stderrTail);

/** Another run was creating opencode's database at the same time, or is writing to it: a retry succeeds. */
const DATABASE_IN_USE = /CREATE TABLE|already exists|SQLITE|database is locked/i;

function causeOfEnd({ sessionId }: OpencodeState, { exitCode, stderrTail }: ProgramEnd): FailureCause {
  if (DATABASE_IN_USE.test(stderrTail)) return 'no_result';
  return sessionId === null && exitCode !== null && exitCode !== 0 ? 'config' : 'no_result';
}

function failureOf(state: OpencodeState, error: JsonObject): RunOutcome {
  const { mayHaveSideEffects, sessionId } = state;
  const data = objectOf(error['data']);
  const status = countOf(data['statusCode']);
  const name = textOf(error['name']) ?? '';
  const text = [name, textOf(data['message']) ?? '', textOf(data['responseBody']) ?? ''].join(' ');
  const classified = classifyAnswer({ status: status === 0 ? null : status, text });
  const kind = classified?.kind ?? (name === 'ProviderAuthError' ? 'auth' : 'agent_failed');
  const message = textOf(data['message']) ?? textOf(error['name']) ?? 'it failed';
  const retryAfterS = Number(objectOf(data['responseHeaders'])['retry-after']);
  return agentFailed({
    kind,
    message: shorten(message),
    mayHaveSideEffects,
    retryable: classified?.retryable ?? (data['isRetryable'] === false ? false : undefined),
    retryAfterMs: kind === 'rate_limited' && retryAfterS > 0 ? retryAfterS * 1_000 : undefined,
    details: { ...(status === 0 ? {} : { status }), session_id: sessionId },
    acceptable: incompleteAnswer({
      reason: classified?.reason,
      text: classified?.reason === 'refused' ? message : textOfStep(state, ''),
      metadata: { session_id: sessionId },
    }),
  });
}

/** `input` excludes cached tokens, `output` excludes reasoning tokens. */
function usageOfStep(part: JsonObject): RunModelUsage {
  const tokens = objectOf(part['tokens']);
  const cache = objectOf(tokens['cache']);
  const costUsd = amountOf(part['cost']);
  return {
    inputTokens: countOf(tokens['input']) + countOf(cache['read']) + countOf(cache['write']),
    cachedInputTokens: countOf(cache['read']),
    outputTokens: countOf(tokens['output']) + countOf(tokens['reasoning']),
    // 0 if the prices are unknown, which is not the same as free.
    ...(costUsd === 0 ? {} : { costUsd }),
  };
}

const usageOfRun = ({ usage }: OpencodeState, { model }: OpencodeDialectOptions) => usageByModel({ [model]: usage });
