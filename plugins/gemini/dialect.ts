/** Parses the output of `gemini -o stream-json`. */
import {
  agentFailed,
  countOf,
  droppedLineFailure,
  describeEnd,
  classifyAnswer,
  messageFields,
  noAnswer,
  objectOf,
  incompleteAnswer,
  shorten,
  statusIn,
  textOf,
  usageByModel,
  appendPiece,
  type AgentDialect,
  type FailureCause,
  type LineResult,
  type Classification,
  type ProgramEnd,
  type RunUsage,
  type ParsedEvent,
  type JsonObject,
  type ServiceAnswer,
  type Session,
  type RunOutcome,
} from '../plugin.ts';

import { withPiece } from '../run-kit/output/whole-lines.ts';

export interface GeminiDialectOptions {
  /** Limit on tool calls of the agent. */
  readonly maxTurns?: number | undefined;
}

interface GeminiState {
  readonly session: Session | null;
  readonly sessionId: string | null;
  readonly turns: number;
  /** The text since the last tool call: the result, once Gemini CLI reports success. */
  readonly text: string;
  /** The end of `text` that is not shown yet: it waits for the rest of its line. */
  readonly held: string;
  /** A line was dropped for its length; it may have held a piece of `text`. */
  readonly hasDroppedLine: boolean;
  /** Number of expected lines that are not the model's text: the prompt and tool results. They may be long. */
  readonly awaited: number;
  /** The last error message. */
  readonly lastError: string | null;
}

/** Exit codes of Gemini CLI if it ended without a result line: 145 is status 401 modulo 256. */
const CAUSE_OF_EXIT: Readonly<Record<number, FailureCause>> = {
  41: 'auth',
  145: 'auth',
  42: 'config',
  52: 'config',
  55: 'config',
  53: 'limit',
};

export const geminiDialect = (options: GeminiDialectOptions): AgentDialect<GeminiState> => ({
  begin: (session) => ({ session, sessionId: null, turns: 0, text: '', held: '', hasDroppedLine: false, awaited: 1, lastError: null }),
  onLine(state, line) {
    const { stream, text, json } = line;
    if (stream === 'stderr') return { state, events: parseRetryNotice(text) };
    if (json?.['type'] === 'message' && json['role'] === 'assistant') return onText(state, textOf(json['content']) ?? '');
    const result = onOther(state, json, options);
    if (state.held === '') return result;
    const events = result.events ?? [];
    return {
      ...result,
      state: { ...result.state, held: '' },
      events: [shown(state.held), ...(events.length === 0 ? [shown(text)] : events)],
    };
  },
  onDropped: (state) => (state.awaited > 0 ? withAnswer(state) : { ...state, hasDroppedLine: true }),
  onEnd(state, end) {
    const message = describeEnd(end);
    if (isSessionGone(state, end)) return { type: 'session_gone', message };
    return agentFailed({ kind: causeOfEnd(state, end), message, mayHaveSideEffects: state.turns > 0 });
  },
});

const shown = (text: string): ParsedEvent => ({ type: 'output', stream: 'stdout', text });

/** The model's text arrives in pieces of a few words. */
function onText(state: GeminiState, piece: string): LineResult<GeminiState> {
  const { whole, held } = withPiece(state.held, piece);
  // Even if there is no whole line, as a sign of life.
  return { state: { ...state, text: appendPiece(state.text, piece), held }, events: [shown(whole)] };
}

function onOther(state: GeminiState, json: JsonObject | null, options: GeminiDialectOptions): LineResult<GeminiState> {
  switch (json?.['type']) {
    case 'init': {
      const sessionId = textOf(json['session_id']);
      return { state: { ...state, sessionId }, events: [{ type: 'started', sessionId: sessionId ?? undefined }] };
    }
    case 'message':
      // The prompt is echoed as a message.
      return { state: { ...state, awaited: Math.max(0, state.awaited - 1) } };
    case 'tool_use':
      return onTool(state, textOf(json['tool_name']) ?? 'a tool', options);
    case 'tool_result':
      return onToolResult(state, json);
    case 'error':
      return { state: { ...state, lastError: textOf(json['message']) } };
    case 'result':
      return { state, events: [{ type: 'usage', ...usageIn(objectOf(json['stats'])) }, outcomeOf(state, json)] };
    default:
      return { state };
  }
}

function onTool(state: GeminiState, tool: string, { maxTurns }: GeminiDialectOptions): LineResult<GeminiState> {
  const turns = state.turns + 1;
  const next = { ...state, turns, awaited: state.awaited + 1 };
  if (maxTurns !== undefined && turns > maxTurns) {
    const message = `it took more than ${String(maxTurns)} turns, and was stopped`;
    return { state: next, events: [agentFailed({ kind: 'limit', message, mayHaveSideEffects: true, details: { maxTurns } })] };
  }
  const progress: readonly ParsedEvent[] = state.text.trim() === '' ? [] : [{ type: 'progress', message: shorten(state.text) }];
  return { state: next, events: [...progress, { type: 'progress', message: `uses ${tool}` }] };
}

/** Text after a tool's result starts over. */
const withAnswer = (state: GeminiState): GeminiState => ({
  ...state,
  text: '',
  hasDroppedLine: false,
  awaited: Math.max(0, state.awaited - 1),
});

function onToolResult(state: GeminiState, json: JsonObject): LineResult<GeminiState> {
  const next = withAnswer(state);
  if (json['status'] !== 'error') return { state: next };
  const why = textOf(objectOf(json['error'])['message']) ?? 'it failed';
  return { state: next, events: [{ type: 'progress', message: shorten(`a tool failed: ${why}`) }] };
}

/** Retries are only reported on standard error. */
function parseRetryNotice(text: string): readonly ParsedEvent[] {
  if (!/^Attempt \d+ failed/.test(text)) return [];
  const isLimit = /\b429\b/.test(text) || classifyAnswer({ text })?.kind === 'rate_limited';
  return [{ type: 'progress', message: shorten(text), waiting: isLimit ? 'rate_limited' : 'model_unavailable' }];
}

/** "success" without any text is not a success: the agent was cut off, or its model was never called. */
function outcomeOf(state: GeminiState, json: JsonObject): RunOutcome {
  const details = { session_id: state.sessionId };
  const mayHaveSideEffects = state.turns > 0;
  if (json['status'] !== 'success') return failureOf(objectOf(json['error']), { mayHaveSideEffects, details, state });
  if (state.hasDroppedLine) return droppedLineFailure({ mayHaveSideEffects, details });
  const isCutOff = /loop detected|stopping execution/i.test(state.lastError ?? '');
  const lastError = state.lastError ?? undefined;
  if (isCutOff) return agentFailed({ kind: 'no_result', message: lastError ?? 'it was cut off', mayHaveSideEffects, details });
  if (state.text.trim() === '') return noAnswer({ mayHaveSideEffects, message: lastError, details });
  return { type: 'completed', output: { ...messageFields(state.text), session_id: state.sessionId }, ...usageIn(objectOf(json['stats'])) };
}

function failureOf(
  error: JsonObject,
  {
    state,
    ...common
  }: { readonly mayHaveSideEffects: boolean; readonly details: Readonly<Record<string, unknown>>; readonly state: GeminiState },
): RunOutcome {
  const message = textOf(error['message']) ?? state.lastError ?? 'it failed';
  if (isNoResponse(message)) return noAnswer({ ...common, message: shorten(message) });
  const status = statusIn(message);
  const { kind, retryable, reason } = classifyFailure(textOf(error['type']) ?? '', { status, text: message });
  const partial = state.hasDroppedLine ? null : state.text;
  return agentFailed({
    ...common,
    kind,
    retryable,
    message: shorten(message),
    details: { ...common.details, type: error['type'], ...(status === null ? {} : { status }) },
    acceptable: incompleteAnswer({ reason, text: reason === 'refused' ? message : partial, metadata: common.details }),
  });
}

/** Gemini CLI reports an empty answer as an error, after its own retries. */
const isNoResponse = (message: string): boolean => /returned an empty response/i.test(message);

function classifyFailure(type: string, { status, text }: ServiceAnswer): Partial<Classification> & Pick<Classification, 'kind'> {
  if (type === 'FatalTurnLimitedError') return { kind: 'limit' };
  if (type === 'FatalAuthenticationError') return { kind: 'auth' };
  return classifyAnswer({ status, text }) ?? { kind: 'agent_failed' };
}

const isSessionGone = ({ session, sessionId }: GeminiState, { stderrTail }: ProgramEnd): boolean =>
  session !== null && sessionId === null && /error resuming session|invalid session identifier/i.test(stderrTail);

function causeOfEnd({ sessionId }: GeminiState, { exitCode }: ProgramEnd): FailureCause {
  const byExit = exitCode === null ? undefined : CAUSE_OF_EXIT[exitCode];
  if (byExit !== undefined) return byExit;
  return sessionId === null && exitCode === 1 ? 'config' : 'no_result';
}

/** Usage of this run. `input_tokens` includes cached tokens; reasoning tokens are only in `total_tokens`. */
function usageIn(stats: JsonObject): RunUsage {
  const models = Object.entries(objectOf(stats['models'])).map(([model, usage]) => [model, usageOf(objectOf(usage))] as const);
  const used = models.filter(([, { inputTokens = 0, outputTokens = 0 }]) => inputTokens + outputTokens > 0);
  return usageByModel(Object.fromEntries(used));
}

const usageOf = (usage: JsonObject) => ({
  inputTokens: countOf(usage['input_tokens']),
  cachedInputTokens: countOf(usage['cached']),
  outputTokens: Math.max(countOf(usage['output_tokens']), countOf(usage['total_tokens']) - countOf(usage['input_tokens'])),
});
