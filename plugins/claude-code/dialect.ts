/** Reads what `claude -p --output-format stream-json --verbose` prints. */
import {
  agentFailed,
  amountOf,
  causeOfStatus,
  countOf,
  endInWords,
  inWords,
  itemsOf,
  meaningOf,
  nothingSaid,
  objectOf,
  shortAnswer,
  shortened,
  textOf,
  usageByModel,
  withPiece,
  type AgentDialect,
  type FailureCause,
  type Heard,
  type Meaning,
  type ProgramEnd,
  type SaidEvent,
  type SaidObject,
  type Verdict,
} from '../plugin.ts';
import { NOTHING_USED, usageSoFar, withMessage, withResult, type UsageOfModels, type UsedSoFar } from './program-usage.ts';

interface ClaudeState {
  /** It goes on with a session. */
  readonly isResumed: boolean;
  /** A tool was called. */
  readonly hasWorked: boolean;
  /** It has begun: what goes wrong before that is a matter of its setup. */
  readonly hasBegun: boolean;
  /** When a spent allowance is given back, milliseconds since 1970; null when that was not said. */
  readonly resetAtMs: number | null;
  readonly used: UsedSoFar;
  /** By the results of its turns so far. */
  readonly usedByResults: UsageOfModels;
  /** Shells and subagents that it has in the background. */
  readonly background: number;
  /** What it has said since its last tool: what there is of an answer that is cut off. Null: a line was left out that may be a piece of it. */
  readonly text: string | null;
  /** The result of its last turn; another turn may follow. */
  readonly answer: Verdict | null;
}

const FIRST: ClaudeState = {
  isResumed: false,
  hasWorked: false,
  hasBegun: false,
  resetAtMs: null,
  used: NOTHING_USED,
  usedByResults: {},
  background: 0,
  text: '',
  answer: null,
};

export interface ClaudeDialectOptions {
  /** A result that came although a tool was denied counts as failed. */
  readonly failsWhenDenied: boolean;
}

export const claudeDialect = (options: ClaudeDialectOptions): AgentDialect<ClaudeState> => ({
  begin: (session) => ({ ...FIRST, isResumed: session !== null }),
  hear(state, { json, heardAtMs }) {
    switch (json?.['type']) {
      case 'system':
        return goingOn(hearSystem(state, json));
      case 'assistant':
        return goingOn(hearAssistant(state, objectOf(json['message'])));
      case 'rate_limit_event':
        return hearAllowance(state, objectOf(json['rate_limit_info']));
      case 'result':
        return hearResult(state, { said: json, heardAtMs, ...options });
      default:
        return { state };
    }
  },
  // A result has its whole text; what is left out may have been a later one.
  dropped: (state) => ({ ...state, answer: null, text: null }),
  ended: (state, end) =>
    agentFailed({
      kind: state.hasBegun || end.signal !== null ? 'no_result' : causeBeforeBeginning(end),
      message: endInWords(end),
      hasWorked: state.hasWorked,
    }),
});

/** What is in the background may have it take another turn, whose result is its answer then. */
function goingOn(heard: Heard<ClaudeState>): Heard<ClaudeState> {
  const { answer } = heard.state;
  return answer === null ? heard : { ...heard, answer: { verdict: answer, isAtWork: true } };
}

function hearSystem(state: ClaudeState, said: SaidObject): Heard<ClaudeState> {
  switch (said['subtype']) {
    case 'init':
      // Comes again when it goes on by itself, after a shell in the background has ended.
      return {
        state: { ...state, hasBegun: true },
        events: state.hasBegun ? [] : [{ type: 'started', sessionId: textOf(said['session_id']) ?? undefined }],
      };
    case 'api_retry': {
      const status = countOf(said['error_status']);
      const waiting = causeOfStatus(status) === 'rate_limited' ? 'rate_limited' : 'model_unavailable';
      const count = `${String(countOf(said['attempt']))} of ${String(countOf(said['max_retries']))}`;
      const message = `waiting for the model: retry ${count} in ${String(Math.round(amountOf(said['retry_delay_ms'])))} ms${status === 0 ? '' : ` after ${String(status)}`}`;
      return { state, events: [{ type: 'progress', message, waiting }] };
    }
    case 'permission_denied':
      return { state, events: [{ type: 'progress', message: `not allowed: ${textOf(said['tool_name']) ?? 'a tool'}` }] };
    case 'background_tasks_changed':
      return { state: { ...state, background: itemsOf(said['tasks']).length } };
    default:
      return { state };
  }
}

function hearAssistant(state: ClaudeState, message: SaidObject): Heard<ClaudeState> {
  const parts = itemsOf(message['content']).map(objectOf);
  const tools = parts.filter((part) => part['type'] === 'tool_use').map((part) => textOf(part['name']) ?? 'a tool');
  const texts = parts.flatMap((part) => (part['type'] === 'text' ? [textOf(part['text']) ?? ''] : []));
  const isModel = message['model'] !== '<synthetic>';
  const used = isModel ? withMessage(state.used, message) : state.used;
  const events: SaidEvent[] = [
    ...texts.filter((text) => isModel && text.trim() !== '').map((text): SaidEvent => ({ type: 'progress', message: shortened(text) })),
    ...tools.map((tool): SaidEvent => ({ type: 'progress', message: `uses ${tool}` })),
    ...(isModel ? [{ type: 'usage', ...usageSoFar(used) } as const] : []),
  ];
  const text = isModel && state.text !== null ? texts.reduce(withPiece, state.text) : state.text;
  return { state: { ...state, used, hasWorked: state.hasWorked || tools.length > 0, text: tools.length > 0 ? '' : text }, events };
}

function hearAllowance(state: ClaudeState, info: SaidObject): Heard<ClaudeState> {
  const resetsAt = amountOf(info['resetsAt']);
  return { state: { ...state, resetAtMs: info['status'] === 'rejected' && resetsAt > 0 ? resetsAt * 1_000 : null } };
}

/** `subtype: "success"` goes with `is_error: true` when the model's service fails, so that is read first. */
function hearResult(
  state: ClaudeState,
  { said, heardAtMs, failsWhenDenied }: { readonly said: SaidObject; readonly heardAtMs: number } & ClaudeDialectOptions,
): Heard<ClaudeState> {
  const usedByResults = withResult(state.usedByResults, said);
  const usage = usageByModel(usedByResults);
  const isSuccess = said['is_error'] === false && said['subtype'] === 'success';
  const denied = deniedTools(said);
  const gone = state.isResumed && !state.hasBegun ? itemsOf(said['errors']).map(inWords).find(isSessionGone) : undefined;
  if (gone !== undefined) return { state, events: [{ type: 'session_gone', message: shortened(gone) }] };
  if (!isSuccess) return { state, events: [{ type: 'usage', ...usage }, failureOf(state, said, heardAtMs)] };
  if (failsWhenDenied && denied.length > 0) {
    const message = `it was not allowed to use ${denied.join(', ')}`;
    return { state, events: [{ type: 'usage', ...usage }, agentFailed({ kind: 'denied', message, hasWorked: true, details: { denied } })] };
  }
  const text = textOf(said['result']) ?? '';
  const about = {
    session_id: textOf(said['session_id']),
    turns: countOf(said['num_turns']),
    ...stopReasonIn(said),
    ...(denied.length === 0 ? {} : { denied }),
  };
  const answer: Verdict =
    text.trim() === ''
      ? nothingSaid({ hasWorked: state.hasWorked, details: about })
      : { type: 'completed', output: { text, ...about }, ...usage };
  return {
    state: { ...state, usedByResults, answer },
    events: [{ type: 'usage', ...usage }],
    answer: { verdict: answer, isAtWork: state.background > 0 },
  };
}

const stopReasonIn = (said: SaidObject): { readonly stop_reason?: string } => {
  const reason = textOf(said['stop_reason']);
  return reason === null ? {} : { stop_reason: reason };
};

const isSessionGone = (error: string): boolean => /no conversation found with session id/i.test(error);

const deniedTools = (said: SaidObject): readonly string[] => [
  ...new Set(itemsOf(said['permission_denials']).map((denial) => textOf(objectOf(denial)['tool_name']) ?? 'a tool')),
];

function failureOf(state: ClaudeState, said: SaidObject, heardAtMs: number): Verdict {
  const errors = itemsOf(said['errors']).map(inWords);
  const words = textOf(said['result']) ?? (errors.join('; ') || (textOf(said['subtype']) ?? 'it failed'));
  const message = shortened(words);
  const status = countOf(said['api_error_status']);
  const { kind, retryable, as } = meaningIn(said, message);
  return agentFailed({
    kind,
    message,
    hasWorked: state.hasWorked,
    retryable,
    retryAfterMs: kind === 'rate_limited' && state.resetAtMs !== null ? Math.max(0, state.resetAtMs - heardAtMs) : undefined,
    details: {
      subtype: said['subtype'],
      terminal_reason: said['terminal_reason'],
      ...(status === 0 ? {} : { api_error_status: status }),
      session_id: said['session_id'],
    },
    // What it says of its failure itself ends with `stop_sequence`, which is not why its model stopped.
    acceptable: shortAnswer({
      as,
      text: as === 'refused' ? words : state.text,
      about: { session_id: textOf(said['session_id']), turns: countOf(said['num_turns']) },
    }),
  });
}

/** Its own bounds, or what its model's service answered. */
function meaningIn(said: SaidObject, message: string): Partial<Meaning> & Pick<Meaning, 'kind'> {
  const { subtype } = said;
  if (subtype === 'error_max_turns' || subtype === 'error_max_budget_usd') return { kind: 'limit' };
  const status = countOf(said['api_error_status']);
  const named = ['api_error', 'api_error_type', 'stop_reason'].map((name) => textOf(said[name]) ?? '');
  return meaningOf({ status: status === 0 ? null : status, words: [message, ...named].join(' ') }) ?? { kind: 'agent_failed' };
}

/** The program says on standard error, in words only, what keeps it from beginning. */
const causeBeforeBeginning = ({ exitCode, stderrTail }: ProgramEnd): FailureCause =>
  exitCode === null || exitCode === 0 || stderrTail.trim() === '' ? 'no_result' : 'config';
