/** Reads what an agent says over ACP; each line is what `messageReader` makes of a message. */
import {
  agentFailed,
  cutShort,
  endInWords,
  meaningOfText,
  messageFields,
  nothingSaid,
  objectOf,
  shortAnswer,
  shortened,
  textOf,
  withPiece,
  type AgentDialect,
  type FailureCause,
  type Heard,
  type Meaning,
  type ProgramEnd,
  type RunUsage,
  type SaidEvent,
  type SaidObject,
  type Session,
  type Verdict,
} from '../plugin.ts';
import { AWAY, isSessionLost, meaningOfToldError, reasonIn, refusalOf, toldErrorIn, type ToldError } from './agent-failure.ts';
import { costOfRun, costTotalsIn, tokensOf } from './program-usage.ts';
import { answerOf, type PermissionPolicy } from './permission.ts';

export interface AcpDialectOptions extends PermissionPolicy {
  readonly whenDenied?: 'complete' | 'fail' | undefined;
  readonly maxTurns?: number | undefined;
  readonly maxCostUsd?: number | undefined;
  readonly usageOf: 'prompt' | 'last-step';
}

interface AcpState {
  /** The one that is gone on with. */
  readonly before: Session | null;
  readonly sessionId: string | null;
  readonly hasBegun: boolean;
  /** The newest that it told of, by their ids, and how many it told of at all. */
  readonly tools: ReadonlySet<string>;
  readonly toolCount: number;
  /** Those of them that it has not told the end of; what they answer may be long. */
  readonly toolsAtWork: ReadonlySet<string>;
  readonly hasWorked: boolean;
  readonly denied: readonly string[];
  /** Its last message so far. */
  readonly text: string;
  readonly messageId: string | null;
  /** It has called a tool since, or given up: what it says next is another message. */
  readonly isTextPast: boolean;
  /** A piece of that message was left out. */
  readonly isCut: boolean;
  /** The last error of its model that it told. */
  readonly lastError: ToldError | null;
  /** It has given up; it may say "end_turn" all the same. */
  readonly hasBroken: boolean;
  readonly costUsd: number | undefined;
}

/** Tools that are remembered: an agent may tell of as many as it likes, and each costs what is remembered. */
const TOOLS_MAX = 1_000;
const TOOL_ID_CHARACTERS_MAX = 256;

const withNewest = (tools: ReadonlySet<string>, tool: string): ReadonlySet<string> =>
  tools.has(tool) ? tools : new Set([...tools, tool].slice(-TOOLS_MAX));

const without = (tools: ReadonlySet<string>, tool: string): ReadonlySet<string> =>
  tools.has(tool) ? new Set([...tools].filter((other) => other !== tool)) : tools;

export const acpDialect = (options: AcpDialectOptions): AgentDialect<AcpState> => ({
  begin: (before) => ({
    before,
    sessionId: null,
    hasBegun: false,
    tools: new Set(),
    toolCount: 0,
    toolsAtWork: new Set(),
    hasWorked: false,
    denied: [],
    text: '',
    messageId: null,
    isTextPast: true,
    isCut: false,
    lastError: null,
    hasBroken: false,
    costUsd: undefined,
  }),
  hear(state, { json }) {
    switch (json?.['said']) {
      case 'answer':
        return hearAnswer(state, json, options);
      case 'refusal':
        return hearRefusal(state, json);
      case 'update':
        return hearUpdate(state, objectOf(json['update']), options);
      case 'permission':
        return hearPermission(state, objectOf(json['params']), options);
      case 'unable': {
        const message = textOf(json['message']) ?? 'it cannot be talked to';
        return { state, events: [agentFailed({ kind: 'config', message, hasWorked: state.hasWorked })] };
      }
      default:
        return { state };
    }
  },
  dropped: (state) => (state.toolsAtWork.size > 0 ? state : { ...state, isCut: true }),
  ended: (state, end) => agentFailed({ kind: causeOfEnd(state, end), message: endInWords(end), hasWorked: state.hasWorked }),
});

function hearAnswer(state: AcpState, { to, sessionId, result }: SaidObject, options: AcpDialectOptions): Heard<AcpState> {
  switch (to) {
    case 'initialize':
      return { state: { ...state, hasBegun: true } };
    case 'session/new':
    case 'session/resume':
    case 'session/load': {
      const id = textOf(sessionId);
      return { state: { ...state, sessionId: id }, events: id === null ? [] : [{ type: 'started', sessionId: id }] };
    }
    case 'session/prompt':
      return hearEnd(state, objectOf(result), options);
    default:
      return { state };
  }
}

/** A session that cannot be gone on with is no failure: a fresh one follows. */
function hearRefusal(state: AcpState, said: SaidObject): Heard<AcpState> {
  const to = textOf(said['to']);
  const error = objectOf(said['error']);
  const isSetup = to === 'session/resume' || to === 'session/load' || (to === 'session/prompt' && isSessionGone(state, error));
  if (!isSetup) return { state, events: [refusalOf(to, error, { ...state, text: answerSoFar(state) })] };
  const message = `cannot go on with its session, and begins afresh: ${reasonIn(error)}`;
  return { state, events: [{ type: 'progress', message: shortened(message) }] };
}

const isSessionGone = ({ before, sessionId, hasWorked }: AcpState, error: SaidObject): boolean =>
  before !== null && sessionId === before.id && !hasWorked && isSessionLost(error);

function hearUpdate(state: AcpState, update: SaidObject, options: AcpDialectOptions): Heard<AcpState> {
  switch (update['sessionUpdate']) {
    case 'agent_message_chunk':
      return { state: withText(state, update) };
    case 'user_message_chunk':
      // A belated piece of the history: what stands before it was none of this run.
      return { state: { ...state, isTextPast: true } };
    case 'tool_call':
    case 'tool_call_update':
      return withTool(state, update, options);
    case 'usage_update':
      return withCost(state, update, options);
    case 'session_info_update':
      return withHealth(state, Object.values(objectOf(update['_meta'])).map(objectOf));
    default:
      return { state };
  }
}

/** Its last message: the one since its last tool, and since the last that had another id. */
function withText(state: AcpState, update: SaidObject): AcpState {
  const text = textOf(objectOf(update['content'])['text']) ?? '';
  const messageId = textOf(update['messageId']);
  const isSame = !state.isTextPast && messageId === state.messageId;
  return { ...state, messageId, isTextPast: false, text: withPiece(isSame ? state.text : '', text) };
}

/** Some agents tell of a tool only once it is done, or once they ask for it; the updates of one are one call. */
function withTool(state: AcpState, call: SaidObject, { maxTurns }: Pick<AcpDialectOptions, 'maxTurns'>): Heard<AcpState> {
  const id = (textOf(call['toolCallId']) ?? '').slice(0, TOOL_ID_CHARACTERS_MAX);
  const isOver = call['status'] === 'completed' || call['status'] === 'failed';
  const toolsAtWork = isOver ? without(state.toolsAtWork, id) : withNewest(state.toolsAtWork, id);
  const next: AcpState = { ...state, hasWorked: true, isTextPast: true, isCut: false, toolsAtWork };
  if (state.tools.has(id)) return { state: next };
  const [tools, toolCount] = [withNewest(state.tools, id), state.toolCount + 1];
  if (maxTurns !== undefined && toolCount > maxTurns) {
    const message = `it called more than ${String(maxTurns)} tools, and was stopped`;
    return { state: next, events: [agentFailed({ kind: 'limit', message, hasWorked: true, details: { maxTurns } })] };
  }
  const tool = textOf(call['title']) ?? textOf(call['name']) ?? 'a tool';
  return { state: { ...next, tools, toolCount }, events: [{ type: 'progress', message: shortened(`uses ${tool}`) }] };
}

function hearPermission(state: AcpState, params: SaidObject, options: AcpDialectOptions): Heard<AcpState> {
  const { isAllowed, tool } = answerOf(options, params);
  const heard = withTool(state, objectOf(params['toolCall']), options);
  if (isAllowed) return heard;
  const told: SaidEvent = { type: 'progress', message: shortened(`not allowed: ${tool}`) };
  const verdicts = (heard.events ?? []).filter(({ type }) => type === 'failed');
  return { state: { ...heard.state, denied: [...withNewest(new Set(state.denied), tool)] }, events: [told, ...verdicts] };
}

function withCost(state: AcpState, update: SaidObject, { maxCostUsd }: AcpDialectOptions): Heard<AcpState> {
  const totals = costTotalsIn(update);
  if (totals === null) return { state };
  const costUsd = costOfRun(totals, state.before?.id === state.sessionId ? state.before : null);
  const next = { ...state, costUsd };
  const told: SaidEvent = { type: 'usage', costUsd };
  if (maxCostUsd === undefined || costUsd < maxCostUsd) return { state: next, events: [told], totals };
  const message = `it cost ${String(costUsd)} US dollars of ${String(maxCostUsd)}, and was stopped`;
  return {
    state: next,
    totals,
    events: [told, agentFailed({ kind: 'limit', message, hasWorked: state.hasWorked, details: { maxCostUsd } })],
  };
}

/** Whether its model can be reached; `metas` is what each agent adds under its own name. */
function withHealth(state: AcpState, metas: readonly SaidObject[]): Heard<AcpState> {
  const status = metas.map((meta) => textOf(objectOf(meta['threadStatus'])['type'])).find((type) => type !== null);
  const error = toldErrorIn(metas);
  const next: AcpState = {
    ...state,
    lastError: error ?? state.lastError,
    hasBroken: status === undefined ? state.hasBroken : status === 'systemError',
    // What it says of its failure is a message of its own.
    ...(status === 'systemError' ? { text: '', isTextPast: true } : {}),
  };
  if (error?.willRetry !== true) return { state: next };
  const waiting = meaningOfToldError(error).kind === 'rate_limited' ? 'rate_limited' : 'model_unavailable';
  return { state: next, events: [{ type: 'progress', message: shortened(error.message), waiting }] };
}

function hearEnd(state: AcpState, result: SaidObject, options: AcpDialectOptions): Heard<AcpState> {
  const { costUsd } = state;
  const tokens = tokensOf(result);
  const ofPrompt = tokens === 'none' || tokens === null || options.usageOf === 'last-step' ? {} : tokens;
  const usage: RunUsage = { ...ofPrompt, ...(costUsd === undefined ? {} : { costUsd }) };
  const failure = failureOf(state, result, { ...options, wasCalled: tokens !== 'none' });
  if (failure !== null) return { state, events: [{ type: 'usage', ...usage }, failure] };
  const { text, sessionId, denied } = state;
  const output = {
    ...messageFields(text),
    session_id: sessionId,
    stop_reason: textOf(result['stopReason']),
    ...(denied.length === 0 ? {} : { denied }),
  };
  return { state, events: [{ type: 'completed', output, ...usage }] };
}

/** What is wrong with the end of a turn: "end_turn" says that the agent has stopped, not that it has succeeded. */
function failureOf(
  state: AcpState,
  result: SaidObject,
  { whenDenied, wasCalled }: Pick<AcpDialectOptions, 'whenDenied'> & { readonly wasCalled: boolean },
): Verdict | null {
  const { hasWorked, denied, sessionId, isTextPast } = state;
  const stopReason = textOf(result['stopReason']);
  const text = state.text.trim();
  const failed = (kind: FailureCause, message: string, { retryable, as, said = message }: FailedEnd = {}): Verdict =>
    agentFailed({
      kind,
      message: shortened(message),
      hasWorked,
      retryable,
      details: { stop_reason: stopReason, session_id: sessionId },
      acceptable: shortAnswer({
        as,
        text: said,
        stopReason: stopReason === 'end_turn' ? null : stopReason,
        about: { session_id: sessionId },
      }),
    });

  const soFar = answerSoFar(state);
  if (stopReason === 'max_tokens') return failed('limit', `it ended its turn with "${stopReason}"`, { as: 'truncated', said: soFar });
  if (stopReason === 'max_turn_requests') return failed('limit', `it ended its turn with "${stopReason}"`);
  if (stopReason === 'refusal') {
    const message = 'its model refuses to go on with this task';
    return failed('agent_failed', message, { retryable: false, as: 'refused', said: soFar === '' ? message : soFar });
  }
  if (stopReason !== 'end_turn') return failed('agent_failed', `it ended its turn with "${String(stopReason)}"`);
  if (state.hasBroken) {
    const { kind, retryable, as } = meaningOfBroken(state);
    // What it said before is not there any more: of an answer that was cut off there is nothing.
    return failed(kind, text || (state.lastError?.message ?? 'its model cannot be reached'), {
      retryable,
      as,
      ...(as === 'truncated' ? { said: '' } : {}),
    });
  }
  // Without a word, nothing says that the model is away: its service may hold back the answer to this very task.
  if (!wasCalled && text.trim() !== '') {
    const { kind, retryable } = meaningOfText(text) ?? AWAY;
    return failed(kind, `its turn ended without a call of its model: ${text}`, { retryable });
  }
  if (denied.length > 0 && (whenDenied === 'fail' || isTextPast)) {
    return failed('denied', `it was not allowed to use ${denied.join(', ')}${isTextPast ? ', and ended without a result' : ''}`);
  }
  const details = { stop_reason: stopReason, session_id: sessionId };
  if (state.isCut) return cutShort({ hasWorked, details });
  return isWordless(text) ? nothingSaid({ hasWorked, message: 'its turn ended without a word', details }) : null;
}

interface FailedEnd {
  readonly retryable?: boolean | undefined;
  readonly as?: Meaning['as'];
  /** What there is of its answer, where that is not the message. */
  readonly said?: string | null | undefined;
}

/** What it has said since its last tool; null where a piece of that was left out. */
const answerSoFar = ({ isCut, isTextPast, text }: AcpState): string | null => (isCut ? null : isTextPast ? '' : text.trim());

/** Codex says this of itself, as if it were a message. */
const isWordless = (text: string): boolean => text === '' || /^Warning: Model metadata for `[^`]*` not found\.[^\n]*$/.test(text);

const meaningOfBroken = ({ lastError, text }: AcpState): Meaning =>
  meaningOfText(text) ?? (lastError === null ? AWAY : meaningOfToldError(lastError));

/** The program says on standard error, in words only, what keeps it from beginning. */
const causeOfEnd = ({ hasBegun }: AcpState, { exitCode, stderrTail }: ProgramEnd): FailureCause =>
  hasBegun || exitCode === null || exitCode === 0 || stderrTail.trim() === '' ? 'no_result' : 'config';
