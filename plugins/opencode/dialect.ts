/** Reads what `opencode run --format json` prints. */
import {
  agentFailed,
  amountOf,
  countOf,
  cutShort,
  endInWords,
  nothingSaid,
  meaningOf,
  messageFields,
  objectOf,
  shortAnswer,
  shortened,
  sumOfUsage,
  textOf,
  usageByModel,
  withPiece,
  type AgentDialect,
  type FailureCause,
  type Heard,
  type ModelUsage,
  type ProgramEnd,
  type SaidEvent,
  type SaidObject,
  type Session,
  type Verdict,
} from '../plugin.ts';

export interface OpencodeDialectOptions {
  readonly model: string;
  /** Steps, which are calls of the model, before it is stopped. */
  readonly maxTurns?: number | undefined;
  /** US dollars before it is stopped, where its model has prices. */
  readonly maxCostUsd?: number | undefined;
}

interface OpencodeState {
  readonly session: Session | null;
  readonly sessionId: string | null;
  readonly hasWorked: boolean;
  readonly steps: number;
  readonly usage: ModelUsage;
  /** What it said in the step that is the last so far. */
  readonly text: string;
  /** Something that it said in this step was left out. */
  readonly isCut: boolean;
  /** Why that step ended; null while it lasts. */
  readonly reason: string | null;
  /** A tool that it was not allowed to use. */
  readonly denied: string | null;
  readonly error: SaidObject | null;
}

const FIRST = {
  sessionId: null,
  hasWorked: false,
  steps: 0,
  usage: sumOfUsage([]),
  text: '',
  isCut: false,
  reason: null,
  denied: null,
  error: null,
};

/** It has no line for a result: it has succeeded when it ends by itself after a step that ended with `stop`, and nothing failed after that. */
export const opencodeDialect = (options: OpencodeDialectOptions): AgentDialect<OpencodeState> => ({
  begin: (session) => ({ ...FIRST, session }),
  hear(before, { json }) {
    const sessionId = textOf(json?.['sessionID']);
    if (json === null || sessionId === null) return { state: before };
    const state = { ...before, sessionId };
    const started: readonly SaidEvent[] = before.sessionId === null ? [{ type: 'started', sessionId }] : [];
    const heard = hearPart(state, { type: json['type'], part: objectOf(json['part']), error: objectOf(json['error']), ...options });
    return { ...heard, events: [...started, ...(heard.events ?? [])] };
  },
  dropped: (state) => ({ ...state, isCut: true }),
  ended(state, end) {
    const isStopped = state.reason === 'stop' && state.error === null;
    // It ends with code 1 where it printed an error before, also one that it got over.
    if (isStopped && end.signal === null && (end.exitCode === 0 || state.text.trim() !== '')) {
      return verdictOf(state, options);
    }
    if (isSessionGone(state, end)) return { type: 'session_gone', message: endInWords(end) };
    return state.error === null ? endedWithoutResult(state, end) : failureOf(state, state.error);
  },
});

interface HeardPart extends OpencodeDialectOptions {
  readonly type: unknown;
  readonly part: SaidObject;
  readonly error: SaidObject;
}

function hearPart(state: OpencodeState, heard: HeardPart): Heard<OpencodeState> {
  const { type, part } = heard;
  switch (type) {
    case 'step_start':
      return { state: { ...state, text: '', isCut: false, reason: null, error: null } };
    case 'text': {
      const text = textOf(part['text']) ?? '';
      return { state: { ...state, text: withPiece(state.text, text) }, events: [{ type: 'progress', message: shortened(text) }] };
    }
    case 'tool_use': {
      const tool = textOf(part['tool']) ?? 'a tool';
      const isRejected = /rejected permission/i.test(textOf(objectOf(part['state'])['error']) ?? '');
      const next = { ...state, hasWorked: true, denied: isRejected ? tool : state.denied };
      return { state: next, events: [{ type: 'progress', message: isRejected ? `not allowed: ${tool}` : `uses ${tool}` }] };
    }
    case 'step_finish':
      return hearStep(state, heard);
    case 'error':
      return { state: { ...state, error: heard.error } };
    default:
      return { state };
  }
}

function hearStep(state: OpencodeState, { part, ...options }: HeardPart): Heard<OpencodeState> {
  const usage = sumOfUsage([state.usage, usageOfStep(part)]);
  const next = { ...state, usage, reason: textOf(part['reason']), steps: state.steps + 1 };
  const told: SaidEvent = { type: 'usage', ...usageOfRun(next, options) };
  const { maxTurns, maxCostUsd } = options;
  const isOver = next.reason !== 'stop';
  const hasWorked = state.hasWorked;
  if (isOver && maxTurns !== undefined && next.steps >= maxTurns) {
    return {
      state: next,
      events: [
        told,
        agentFailed({ kind: 'limit', message: `it took ${String(maxTurns)} turns, and was stopped`, hasWorked, details: { maxTurns } }),
      ],
    };
  }
  if (isOver && maxCostUsd !== undefined && (usage.costUsd ?? 0) >= maxCostUsd) {
    const message = `it cost ${String(usage.costUsd)} US dollars of ${String(maxCostUsd)}, and was stopped`;
    return { state: next, events: [told, agentFailed({ kind: 'limit', message, hasWorked, details: { maxCostUsd } })] };
  }
  return { state: next, events: [told] };
}

function verdictOf(state: OpencodeState, options: OpencodeDialectOptions): Verdict {
  const { text, isCut, hasWorked, sessionId } = state;
  const details = { session_id: sessionId, stop_reason: state.reason };
  if (isCut) return cutShort({ hasWorked, details });
  if (text.trim() === '') return nothingSaid({ hasWorked, details });
  return { type: 'completed', output: { ...messageFields(text), ...details }, ...usageOfRun(state, options) };
}

function endedWithoutResult(state: OpencodeState, end: ProgramEnd): Verdict {
  const { hasWorked, denied, sessionId, reason } = state;
  if (denied !== null && end.exitCode === 0) {
    return agentFailed({
      kind: 'denied',
      message: `it was not allowed to use ${denied}, and ended without a result`,
      hasWorked,
      details: { denied },
    });
  }
  const message =
    end.exitCode === 0 && state.reason !== null ? `its last step ended with "${state.reason}", without an answer` : endInWords(end);
  // `length`, `content-filter`: the same again would end the same.
  const meant = end.exitCode === 0 && state.reason !== null ? meaningOf({ words: `finish_reason ${state.reason}` }) : null;
  const acceptable = shortAnswer({
    as: meant?.as,
    text: saidBy(state, meant?.as === 'refused' ? message : ''),
    stopReason: reason,
    about: { session_id: sessionId },
  });
  return agentFailed({ kind: meant?.kind ?? causeOfEnd(state, end), message, hasWorked, retryable: meant?.retryable, acceptable });
}

/** What it said in its last step; the other words where that is nothing. */
const saidBy = ({ text, isCut }: OpencodeState, otherwise: string): string | null => (isCut ? null : text.trim() === '' ? otherwise : text);

const isSessionGone = ({ session, sessionId }: OpencodeState, { stderrTail }: ProgramEnd): boolean =>
  session !== null && sessionId === null && /session not found/i.test(stderrTail);

/** Another run was creating its database at the same time, or writes to it: that is over by itself. */
const DATABASE_IN_USE = /CREATE TABLE|already exists|SQLITE|database is locked/i;

function causeOfEnd({ sessionId }: OpencodeState, { exitCode, stderrTail }: ProgramEnd): FailureCause {
  if (DATABASE_IN_USE.test(stderrTail)) return 'no_result';
  return sessionId === null && exitCode !== null && exitCode !== 0 ? 'config' : 'no_result';
}

function failureOf(state: OpencodeState, error: SaidObject): Verdict {
  const { hasWorked, sessionId } = state;
  const data = objectOf(error['data']);
  const status = countOf(data['statusCode']);
  const name = textOf(error['name']) ?? '';
  const words = [name, textOf(data['message']) ?? '', textOf(data['responseBody']) ?? ''].join(' ');
  const meant = meaningOf({ status: status === 0 ? null : status, words });
  const kind = meant?.kind ?? (name === 'ProviderAuthError' ? 'auth' : 'agent_failed');
  const message = textOf(data['message']) ?? textOf(error['name']) ?? 'it failed';
  const retryAfterS = Number(objectOf(data['responseHeaders'])['retry-after']);
  return agentFailed({
    kind,
    message: shortened(message),
    hasWorked,
    retryable: meant?.retryable ?? (data['isRetryable'] === false ? false : undefined),
    retryAfterMs: kind === 'rate_limited' && retryAfterS > 0 ? retryAfterS * 1_000 : undefined,
    details: { ...(status === 0 ? {} : { status }), session_id: sessionId },
    acceptable: shortAnswer({
      as: meant?.as,
      text: meant?.as === 'refused' ? message : saidBy(state, ''),
      about: { session_id: sessionId },
    }),
  });
}

/** `input` is without what came from the cache, `output` without what it only thought. */
function usageOfStep(part: SaidObject): ModelUsage {
  const tokens = objectOf(part['tokens']);
  const cache = objectOf(tokens['cache']);
  const costUsd = amountOf(part['cost']);
  return {
    inputTokens: countOf(tokens['input']) + countOf(cache['read']) + countOf(cache['write']),
    cachedInputTokens: countOf(cache['read']),
    outputTokens: countOf(tokens['output']) + countOf(tokens['reasoning']),
    // 0 where it knows no prices, which is not the same as free.
    ...(costUsd === 0 ? {} : { costUsd }),
  };
}

const usageOfRun = ({ usage }: OpencodeState, { model }: OpencodeDialectOptions) => usageByModel({ [model]: usage });
