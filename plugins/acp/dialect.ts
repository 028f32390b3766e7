/** Parses an agent's ACP messages; each line is what `messageReader` makes of a message. */
import {
  agentFailed,
  appendPiece,
  classifyText,
  describeEnd,
  droppedLineFailure,
  incompleteAnswer,
  messageFields,
  noAnswer,
  objectOf,
  shorten,
  textOf,
  type AgentDialect,
  type Classification,
  type FailureCause,
  type LineResult,
  type ProgramEnd,
  type RunUsage,
  type ParsedEvent,
  type JsonObject,
  type Session,
  type RunOutcome,
} from '../plugin.ts';
import {
  classifyReportedError,
  errorText,
  failureOfRequest,
  MODEL_UNAVAILABLE,
  reportedErrorIn,
  saysSessionNotFound,
  type ReportedError,
} from './agent-failure.ts';
import { costOfRun, costTotalsIn, tokensOf } from './program-usage.ts';
import { answerOf, type PermissionPolicy } from './permission.ts';

export interface AcpDialectOptions extends PermissionPolicy {
  readonly whenDenied?: 'complete' | 'fail' | undefined;
  readonly maxTurns?: number | undefined;
  readonly maxCostUsd?: number | undefined;
  readonly usageOf: 'prompt' | 'last-step';
}

interface AcpState {
  /** The session being resumed. */
  readonly before: Session | null;
  readonly sessionId: string | null;
  readonly hasBegun: boolean;
  /** The newest tool calls, by id, and how many there were in all. */
  readonly tools: ReadonlySet<string>;
  readonly toolCount: number;
  /** Tool calls that have not ended; their answers may be long. */
  readonly toolsAtWork: ReadonlySet<string>;
  readonly mayHaveSideEffects: boolean;
  readonly denied: readonly string[];
  /** The agent's last message so far. */
  readonly text: string;
  readonly messageId: string | null;
  /** The agent has called a tool since its last message, or given up: what it says next is a new message. */
  readonly isTextPast: boolean;
  /** A line was dropped for its length; it may have held a piece of that message. */
  readonly hasDroppedLine: boolean;
  /** The last error of its model that the agent reported. */
  readonly lastError: ReportedError | null;
  /** The agent has given up; it may still say "end_turn". */
  readonly hasGivenUp: boolean;
  readonly costUsd: number | undefined;
}

/** Maximum number of tracked tool calls: an agent may report any number, and each takes memory. */
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
    mayHaveSideEffects: false,
    denied: [],
    text: '',
    messageId: null,
    isTextPast: true,
    hasDroppedLine: false,
    lastError: null,
    hasGivenUp: false,
    costUsd: undefined,
  }),
  onLine(state, { json }) {
    switch (json?.['kind']) {
      case 'answer':
        return onAnswer(state, json, options);
      case 'error':
        return onError(state, json);
      case 'update':
        return onUpdate(state, objectOf(json['update']), options);
      case 'permission':
        return onPermission(state, objectOf(json['params']), options);
      case 'unable': {
        const message = textOf(json['message']) ?? 'the conversation with it failed';
        return { state, events: [agentFailed({ kind: 'config', message, mayHaveSideEffects: state.mayHaveSideEffects })] };
      }
      default:
        return { state };
    }
  },
  onDropped: (state) => (state.toolsAtWork.size > 0 ? state : { ...state, hasDroppedLine: true }),
  onEnd: (state, end) =>
    agentFailed({ kind: causeOfEnd(state, end), message: describeEnd(end), mayHaveSideEffects: state.mayHaveSideEffects }),
});

function onAnswer(state: AcpState, { method, sessionId, result }: JsonObject, options: AcpDialectOptions): LineResult<AcpState> {
  switch (method) {
    case 'initialize':
      return { state: { ...state, hasBegun: true } };
    case 'session/new':
    case 'session/resume':
    case 'session/load': {
      const id = textOf(sessionId);
      return { state: { ...state, sessionId: id }, events: id === null ? [] : [{ type: 'started', sessionId: id }] };
    }
    case 'session/prompt':
      return onEnd(state, objectOf(result), options);
    default:
      return { state };
  }
}

/** A session that cannot be resumed is no failure: a fresh one follows. */
function onError(state: AcpState, message: JsonObject): LineResult<AcpState> {
  const method = textOf(message['method']);
  const error = objectOf(message['error']);
  const cannotResume =
    method === 'session/resume' || method === 'session/load' || (method === 'session/prompt' && isSessionGone(state, error));
  if (!cannotResume) return { state, events: [failureOfRequest(method, error, { ...state, text: answerSoFar(state) })] };
  const notice = `cannot resume its session; starting afresh: ${errorText(error)}`;
  return { state, events: [{ type: 'progress', message: shorten(notice) }] };
}

const isSessionGone = ({ before, sessionId, mayHaveSideEffects }: AcpState, error: JsonObject): boolean =>
  before !== null && sessionId === before.id && !mayHaveSideEffects && saysSessionNotFound(error);

function onUpdate(state: AcpState, update: JsonObject, options: AcpDialectOptions): LineResult<AcpState> {
  switch (update['sessionUpdate']) {
    case 'agent_message_chunk':
      return { state: withText(state, update) };
    case 'user_message_chunk':
      // A late piece of the history: what precedes it was not part of this run.
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

/** The last message: the text since the last tool call and the last change of message id. */
function withText(state: AcpState, update: JsonObject): AcpState {
  const text = textOf(objectOf(update['content'])['text']) ?? '';
  const messageId = textOf(update['messageId']);
  const isSame = !state.isTextPast && messageId === state.messageId;
  return { ...state, messageId, isTextPast: false, text: appendPiece(isSame ? state.text : '', text) };
}

/**
 * Some agents report a tool only when it is done, or when they ask for permission; all updates with one id are one
 * call.
 */
function withTool(state: AcpState, call: JsonObject, { maxTurns }: Pick<AcpDialectOptions, 'maxTurns'>): LineResult<AcpState> {
  const id = (textOf(call['toolCallId']) ?? '').slice(0, TOOL_ID_CHARACTERS_MAX);
  const isOver = call['status'] === 'completed' || call['status'] === 'failed';
  const toolsAtWork = isOver ? without(state.toolsAtWork, id) : withNewest(state.toolsAtWork, id);
  const next: AcpState = { ...state, mayHaveSideEffects: true, isTextPast: true, hasDroppedLine: false, toolsAtWork };
  if (state.tools.has(id)) return { state: next };
  const [tools, toolCount] = [withNewest(state.tools, id), state.toolCount + 1];
  if (maxTurns !== undefined && toolCount > maxTurns) {
    const message = `it called more than ${String(maxTurns)} tools, and was stopped`;
    return { state: next, events: [agentFailed({ kind: 'limit', message, mayHaveSideEffects: true, details: { maxTurns } })] };
  }
  const tool = textOf(call['title']) ?? textOf(call['name']) ?? 'a tool';
  return { state: { ...next, tools, toolCount }, events: [{ type: 'progress', message: shorten(`uses ${tool}`) }] };
}

function onPermission(state: AcpState, params: JsonObject, options: AcpDialectOptions): LineResult<AcpState> {
  const { isAllowed, tool } = answerOf(options, params);
  const result = withTool(state, objectOf(params['toolCall']), options);
  if (isAllowed) return result;
  const notice: ParsedEvent = { type: 'progress', message: shorten(`not allowed: ${tool}`) };
  const failures = (result.events ?? []).filter(({ type }) => type === 'failed');
  return { state: { ...result.state, denied: [...withNewest(new Set(state.denied), tool)] }, events: [notice, ...failures] };
}

function withCost(state: AcpState, update: JsonObject, { maxCostUsd }: AcpDialectOptions): LineResult<AcpState> {
  const totals = costTotalsIn(update);
  if (totals === null) return { state };
  const costUsd = costOfRun(totals, state.before?.id === state.sessionId ? state.before : null);
  const next = { ...state, costUsd };
  const usage: ParsedEvent = { type: 'usage', costUsd };
  if (maxCostUsd === undefined || costUsd < maxCostUsd) return { state: next, events: [usage], totals };
  const message = `it cost ${String(costUsd)} US dollars of ${String(maxCostUsd)}, and was stopped`;
  return {
    state: next,
    totals,
    events: [usage, agentFailed({ kind: 'limit', message, mayHaveSideEffects: state.mayHaveSideEffects, details: { maxCostUsd } })],
  };
}

/** Whether the agent's model is reachable. `agentMeta`: the objects in `_meta`, one for each agent name. */
function withHealth(state: AcpState, agentMeta: readonly JsonObject[]): LineResult<AcpState> {
  const status = agentMeta.map((meta) => textOf(objectOf(meta['threadStatus'])['type'])).find((type) => type !== null);
  const error = reportedErrorIn(agentMeta);
  const next: AcpState = {
    ...state,
    lastError: error ?? state.lastError,
    hasGivenUp: status === undefined ? state.hasGivenUp : status === 'systemError',
    // What the agent says about its failure is a new message.
    ...(status === 'systemError' ? { text: '', isTextPast: true } : {}),
  };
  if (error?.willRetry !== true) return { state: next };
  const waiting = classifyReportedError(error).kind === 'rate_limited' ? 'rate_limited' : 'model_unavailable';
  return { state: next, events: [{ type: 'progress', message: shorten(error.message), waiting }] };
}

function onEnd(state: AcpState, result: JsonObject, options: AcpDialectOptions): LineResult<AcpState> {
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

/** What is wrong with the end of a turn: "end_turn" means that the agent has stopped, not that it has succeeded. */
function failureOf(
  state: AcpState,
  result: JsonObject,
  { whenDenied, wasCalled }: Pick<AcpDialectOptions, 'whenDenied'> & { readonly wasCalled: boolean },
): RunOutcome | null {
  const { mayHaveSideEffects, denied, sessionId, isTextPast } = state;
  const stopReason = textOf(result['stopReason']);
  const text = state.text.trim();
  const failed = (kind: FailureCause, message: string, { retryable, reason, text = message }: FailedEnd = {}): RunOutcome =>
    agentFailed({
      kind,
      message: shorten(message),
      mayHaveSideEffects,
      retryable,
      details: { stop_reason: stopReason, session_id: sessionId },
      acceptable: incompleteAnswer({
        reason,
        text,
        stopReason: stopReason === 'end_turn' ? null : stopReason,
        metadata: { session_id: sessionId },
      }),
    });

  const soFar = answerSoFar(state);
  if (stopReason === 'max_tokens') return failed('limit', `it ended its turn with "${stopReason}"`, { reason: 'truncated', text: soFar });
  if (stopReason === 'max_turn_requests') return failed('limit', `it ended its turn with "${stopReason}"`);
  if (stopReason === 'refusal') {
    const message = 'its model refuses to go on with this task';
    return failed('agent_failed', message, { retryable: false, reason: 'refused', text: soFar === '' ? message : soFar });
  }
  if (stopReason !== 'end_turn') return failed('agent_failed', `it ended its turn with "${String(stopReason)}"`);
  if (state.hasGivenUp) {
    const { kind, retryable, reason } = classifyBroken(state);
    // Its last message was replaced by the one about the failure, so nothing of a truncated answer is left.
    return failed(kind, text || (state.lastError?.message ?? 'its model cannot be reached'), {
      retryable,
      reason,
      ...(reason === 'truncated' ? { text: '' } : {}),
    });
  }
  // An empty answer does not prove that the model is unavailable: its service may withhold the answer to this very task.
  if (!wasCalled && text.trim() !== '') {
    const { kind, retryable } = classifyText(text) ?? MODEL_UNAVAILABLE;
    return failed(kind, `its turn ended without a call of its model: ${text}`, { retryable });
  }
  if (denied.length > 0 && (whenDenied === 'fail' || isTextPast)) {
    return failed('denied', `it was not allowed to use ${denied.join(', ')}${isTextPast ? ', and ended without a result' : ''}`);
  }
  const details = { stop_reason: stopReason, session_id: sessionId };
  if (state.hasDroppedLine) return droppedLineFailure({ mayHaveSideEffects, details });
  return isNoResponse(text) ? noAnswer({ mayHaveSideEffects, message: 'its turn ended without an answer', details }) : null;
}

interface FailedEnd {
  readonly retryable?: boolean | undefined;
  readonly reason?: Classification['reason'];
  /** The partial answer, if it is not the message. */
  readonly text?: string | null | undefined;
}

/** The text since the last tool call; null if a piece of it may have been dropped. */
const answerSoFar = ({ hasDroppedLine, isTextPast, text }: AcpState): string | null =>
  hasDroppedLine ? null : isTextPast ? '' : text.trim();

/** Empty, or a warning that Codex sends as if it were a message of the model. */
const isNoResponse = (text: string): boolean => text === '' || /^Warning: Model metadata for `[^`]*` not found\.[^\n]*$/.test(text);

const classifyBroken = ({ lastError, text }: AcpState): Classification =>
  classifyText(text) ?? (lastError === null ? MODEL_UNAVAILABLE : classifyReportedError(lastError));

/** Startup errors are printed on standard error, as text. */
const causeOfEnd = ({ hasBegun }: AcpState, { exitCode, stderrTail }: ProgramEnd): FailureCause =>
  hasBegun || exitCode === null || exitCode === 0 || stderrTail.trim() === '' ? 'no_result' : 'config';
