/** Reads what `gemini -o stream-json` prints. */
import {
  agentFailed,
  countOf,
  cutShort,
  endInWords,
  meaningOf,
  messageFields,
  nothingSaid,
  objectOf,
  shortAnswer,
  shortened,
  statusIn,
  textOf,
  usageByModel,
  withPiece,
  type AgentDialect,
  type FailureCause,
  type Heard,
  type Meaning,
  type ProgramEnd,
  type RunUsage,
  type SaidEvent,
  type SaidObject,
  type ServiceAnswer,
  type Session,
  type Verdict,
} from '../plugin.ts';

export interface GeminiDialectOptions {
  /** Tool calls of the agent before it is stopped. */
  readonly maxTurns?: number | undefined;
}

interface GeminiState {
  readonly session: Session | null;
  readonly sessionId: string | null;
  readonly turns: number;
  /** What it has said since its last tool: the result, once it says that it is done. */
  readonly text: string;
  /** A piece of that was left out. */
  readonly isCut: boolean;
  /** Lines that it does not say itself and that are to come: its prompt, and what its tools answer. They may be long. */
  readonly awaited: number;
  /** Its last complaint about itself. */
  readonly complaint: string | null;
}

/** Its exit codes, where it ended without a result line: 145 is the status 401 without its ninth bit. */
const CAUSE_OF_EXIT: Readonly<Record<number, FailureCause>> = {
  41: 'auth',
  145: 'auth',
  42: 'config',
  52: 'config',
  55: 'config',
  53: 'limit',
};

export const geminiDialect = (options: GeminiDialectOptions): AgentDialect<GeminiState> => ({
  begin: (session) => ({ session, sessionId: null, turns: 0, text: '', isCut: false, awaited: 1, complaint: null }),
  hear(state, { stream, text, json }) {
    if (stream === 'stderr') return { state, events: retryIn(text) };
    switch (json?.['type']) {
      case 'init': {
        const sessionId = textOf(json['session_id']);
        return { state: { ...state, sessionId }, events: [{ type: 'started', sessionId: sessionId ?? undefined }] };
      }
      case 'message':
        // The prompt comes back as a message too.
        if (json['role'] !== 'assistant') return { state: { ...state, awaited: Math.max(0, state.awaited - 1) } };
        return { state: { ...state, text: withPiece(state.text, textOf(json['content']) ?? '') } };
      case 'tool_use':
        return hearTool(state, textOf(json['tool_name']) ?? 'a tool', options);
      case 'tool_result':
        return hearToolResult(state, json);
      case 'error':
        return { state: { ...state, complaint: textOf(json['message']) } };
      case 'result':
        return { state, events: [{ type: 'usage', ...usageIn(objectOf(json['stats'])) }, verdictOf(state, json)] };
      default:
        return { state };
    }
  },
  dropped: (state) => (state.awaited > 0 ? withAnswer(state) : { ...state, isCut: true }),
  ended(state, end) {
    const message = endInWords(end);
    if (isSessionGone(state, end)) return { type: 'session_gone', message };
    return agentFailed({ kind: causeOfEnd(state, end), message, hasWorked: state.turns > 0 });
  },
});

function hearTool(state: GeminiState, tool: string, { maxTurns }: GeminiDialectOptions): Heard<GeminiState> {
  const turns = state.turns + 1;
  const next = { ...state, turns, awaited: state.awaited + 1 };
  if (maxTurns !== undefined && turns > maxTurns) {
    const message = `it took more than ${String(maxTurns)} turns, and was stopped`;
    return { state: next, events: [agentFailed({ kind: 'limit', message, hasWorked: true, details: { maxTurns } })] };
  }
  const said: readonly SaidEvent[] = state.text.trim() === '' ? [] : [{ type: 'progress', message: shortened(state.text) }];
  return { state: next, events: [...said, { type: 'progress', message: `uses ${tool}` }] };
}

/** What it says after a tool has answered is a text of its own. */
const withAnswer = (state: GeminiState): GeminiState => ({
  ...state,
  text: '',
  isCut: false,
  awaited: Math.max(0, state.awaited - 1),
});

function hearToolResult(state: GeminiState, said: SaidObject): Heard<GeminiState> {
  const next = withAnswer(state);
  if (said['status'] !== 'error') return { state: next };
  const why = textOf(objectOf(said['error'])['message']) ?? 'it failed';
  return { state: next, events: [{ type: 'progress', message: shortened(`a tool failed: ${why}`) }] };
}

/** It says only on standard error that it tries again. */
function retryIn(text: string): readonly SaidEvent[] {
  if (!/^Attempt \d+ failed/.test(text)) return [];
  const isLimit = /\b429\b/.test(text) || meaningOf({ words: text })?.kind === 'rate_limited';
  return [{ type: 'progress', message: shortened(text), waiting: isLimit ? 'rate_limited' : 'model_unavailable' }];
}

/** "success" without a word is none: the agent was cut off, or never asked. */
function verdictOf(state: GeminiState, said: SaidObject): Verdict {
  const details = { session_id: state.sessionId };
  const hasWorked = state.turns > 0;
  if (said['status'] !== 'success') return failureOf(objectOf(said['error']), { hasWorked, details, state });
  if (state.isCut) return cutShort({ hasWorked, details });
  const isCutOff = /loop detected|stopping execution/i.test(state.complaint ?? '');
  const complaint = state.complaint ?? undefined;
  if (isCutOff) return agentFailed({ kind: 'no_result', message: complaint ?? 'it was cut off', hasWorked, details });
  if (state.text.trim() === '') return nothingSaid({ hasWorked, message: complaint, details });
  return { type: 'completed', output: { ...messageFields(state.text), session_id: state.sessionId }, ...usageIn(objectOf(said['stats'])) };
}

function failureOf(
  error: SaidObject,
  { state, ...about }: { readonly hasWorked: boolean; readonly details: Readonly<Record<string, unknown>>; readonly state: GeminiState },
): Verdict {
  const message = textOf(error['message']) ?? state.complaint ?? 'it failed';
  if (isWordless(message)) return nothingSaid({ ...about, message: shortened(message) });
  const status = statusIn(message);
  const { kind, retryable, as } = meaningIn(textOf(error['type']) ?? '', { status, words: message });
  const said = state.isCut ? null : state.text;
  return agentFailed({
    ...about,
    kind,
    retryable,
    message: shortened(message),
    details: { ...about.details, type: error['type'], ...(status === null ? {} : { status }) },
    acceptable: shortAnswer({ as, text: as === 'refused' ? message : said, about: about.details }),
  });
}

/** An answer without a word is an error of its own, after it has asked again by itself. */
const isWordless = (message: string): boolean => /returned an empty response/i.test(message);

function meaningIn(type: string, { status, words }: ServiceAnswer): Partial<Meaning> & Pick<Meaning, 'kind'> {
  if (type === 'FatalTurnLimitedError') return { kind: 'limit' };
  if (type === 'FatalAuthenticationError') return { kind: 'auth' };
  return meaningOf({ status, words }) ?? { kind: 'agent_failed' };
}

const isSessionGone = ({ session, sessionId }: GeminiState, { stderrTail }: ProgramEnd): boolean =>
  session !== null && sessionId === null && /error resuming session|invalid session identifier/i.test(stderrTail);

function causeOfEnd({ sessionId }: GeminiState, { exitCode }: ProgramEnd): FailureCause {
  const byExit = exitCode === null ? undefined : CAUSE_OF_EXIT[exitCode];
  if (byExit !== undefined) return byExit;
  return sessionId === null && exitCode === 1 ? 'config' : 'no_result';
}

/** Of this run. `input_tokens` includes what came from the cache; what it only thought stands in `total_tokens` alone. */
function usageIn(stats: SaidObject): RunUsage {
  const models = Object.entries(objectOf(stats['models'])).map(([model, usage]) => [model, usageOf(objectOf(usage))] as const);
  const used = models.filter(([, { inputTokens = 0, outputTokens = 0 }]) => inputTokens + outputTokens > 0);
  return usageByModel(Object.fromEntries(used));
}

const usageOf = (usage: SaidObject) => ({
  inputTokens: countOf(usage['input_tokens']),
  cachedInputTokens: countOf(usage['cached']),
  outputTokens: Math.max(countOf(usage['output_tokens']), countOf(usage['total_tokens']) - countOf(usage['input_tokens'])),
});
