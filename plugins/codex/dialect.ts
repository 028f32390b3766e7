/** Parses the output of `codex exec --json`. */
import {
  agentFailed,
  countOf,
  droppedLineFailure,
  describeEnd,
  noAnswer,
  classifyAnswer,
  classifyText,
  objectOf,
  incompleteAnswer,
  shorten,
  statusIn,
  textOf,
  usageByModel,
  type AgentDialect,
  type FailureCause,
  type LineResult,
  type ProgramEnd,
  type RunUsage,
  type ParsedEvent,
  type JsonObject,
  type Session,
  type SessionTotals,
  type RunOutcome,
} from '../plugin.ts';

export interface CodexDialectOptions {
  /** The requested model, since the output of Codex names none. */
  readonly model?: string | undefined;
  /** Limit on actions of the agent. */
  readonly maxTurns?: number | undefined;
}

interface CodexState {
  readonly session: Session | null;
  readonly threadId: string | null;
  readonly mayHaveSideEffects: boolean;
  /** Actions and messages so far. */
  readonly turns: number;
  /** The agent's last message: the result, once the turn is completed. */
  readonly text: string;
  /** The agent has acted since its last message. */
  readonly isTextPast: boolean;
  /** A line was dropped since the last message; it may have been a later message. */
  readonly hasDroppedLine: boolean;
}

/** Items that change nothing outside the program. */
const HARMLESS_ITEMS: ReadonlySet<unknown> = new Set(['agent_message', 'reasoning', 'error', 'todo_list', 'web_search']);
/** Items that are neither an action nor a message. */
const NO_TURNS: ReadonlySet<unknown> = new Set(['reasoning', 'error', 'todo_list']);

/** Only `turn.completed` and `turn.failed` settle the run; an `error` may be followed by success. */
export const codexDialect = (options: CodexDialectOptions): AgentDialect<CodexState> => ({
  begin: (session) => ({ session, threadId: null, mayHaveSideEffects: false, turns: 0, text: '', isTextPast: true, hasDroppedLine: false }),
  onLine(state, { json }) {
    switch (json?.['type']) {
      case 'thread.started': {
        const threadId = textOf(json['thread_id']);
        return { state: { ...state, threadId }, events: [{ type: 'started', sessionId: threadId ?? undefined }] };
      }
      case 'item.started':
      case 'item.completed':
        return onItem(state, { item: objectOf(json['item']), isDone: json['type'] === 'item.completed', ...options });
      case 'error':
        return { state, events: [waitingFor(textOf(json['message']) ?? '')] };
      case 'turn.completed': {
        const totals = totalsIn(objectOf(json['usage']));
        const usage = usageOfRun(state, totals, options);
        return { state, totals, events: [{ type: 'usage', ...usage }, outcomeOf(state, usage)] };
      }
      case 'turn.failed':
        return { state, events: [failedTurn(state, textOf(objectOf(json['error'])['message']) ?? 'the turn failed')] };
      default:
        return { state };
    }
  },
  onDropped: (state) => ({ ...state, hasDroppedLine: true }),
  onEnd(state, end) {
    const message = describeEnd(end);
    if (isSessionGone(state, end)) return { type: 'session_gone', message };
    return agentFailed({ kind: causeOfEnd(state, end), message, mayHaveSideEffects: state.mayHaveSideEffects });
  },
});

function onItem(
  state: CodexState,
  { item, isDone, maxTurns }: { readonly item: JsonObject; readonly isDone: boolean } & CodexDialectOptions,
): LineResult<CodexState> {
  const { type } = item;
  const text = type === 'agent_message' && isDone ? (textOf(item['text']) ?? '') : null;
  const next: CodexState = {
    ...state,
    mayHaveSideEffects: state.mayHaveSideEffects || !HARMLESS_ITEMS.has(type),
    turns: state.turns + (isDone && !NO_TURNS.has(type) ? 1 : 0),
    text: text ?? state.text,
    isTextPast: text === null && (state.isTextPast || !NO_TURNS.has(type)),
    hasDroppedLine: state.hasDroppedLine && text === null,
  };
  if (maxTurns !== undefined && next.turns > maxTurns) {
    const message = `it took more than ${String(maxTurns)} turns, and was stopped`;
    return {
      state: next,
      events: [agentFailed({ kind: 'limit', message, mayHaveSideEffects: next.mayHaveSideEffects, details: { maxTurns } })],
    };
  }
  const summary = text ?? (isDone ? null : describeAction(item));
  return { state: next, events: summary === null ? [] : [{ type: 'progress', message: shorten(summary) }] };
}

function describeAction(item: JsonObject): string | null {
  if (item['type'] === 'command_execution') return `runs ${textOf(item['command']) ?? 'a command'}`;
  return HARMLESS_ITEMS.has(item['type']) ? null : `does ${textOf(item['type']) ?? 'something'}`;
}

/** Codex retries by itself after each `error`, until `turn.failed`. */
const waitingFor = (message: string): ParsedEvent => ({
  type: 'progress',
  message: shorten(message),
  waiting: classifyText(message)?.kind === 'rate_limited' ? 'rate_limited' : 'model_unavailable',
});

function outcomeOf({ text, threadId, hasDroppedLine, mayHaveSideEffects }: CodexState, usage: RunUsage): RunOutcome {
  const details = { session_id: threadId };
  if (hasDroppedLine) return droppedLineFailure({ mayHaveSideEffects, details });
  return text.trim() === '' ? noAnswer({ mayHaveSideEffects, details }) : { type: 'completed', output: { text, ...details }, ...usage };
}

function failedTurn(state: CodexState, message: string): RunOutcome {
  // There is no field for the status of the model's service; it is in the text.
  const status = statusIn(message);
  const { kind, retryable, reason } = classifyAnswer({ status, text: message }) ?? { kind: 'agent_failed' as const, retryable: undefined };
  const { threadId, text, isTextPast, hasDroppedLine } = state;
  const partial = hasDroppedLine ? null : isTextPast ? '' : text;
  return agentFailed({
    kind,
    message: shorten(message),
    mayHaveSideEffects: state.mayHaveSideEffects,
    retryable,
    details: { ...(status === null ? {} : { status }), session_id: threadId },
    acceptable: incompleteAnswer({ reason, text: reason === 'refused' ? message : partial, metadata: { session_id: threadId } }),
  });
}

const isSessionGone = ({ session, threadId }: CodexState, { stderrTail }: ProgramEnd): boolean =>
  session !== null && threadId === null && /resume failed|no rollout found/i.test(stderrTail);

function causeOfEnd({ threadId }: CodexState, { exitCode, stderrTail }: ProgramEnd): FailureCause {
  if (/exceeds the maximum length/i.test(stderrTail)) return 'limit';
  if (/not inside a trusted directory/i.test(stderrTail)) return 'config';
  return threadId === null && exitCode !== null && exitCode !== 0 ? 'config' : 'no_result';
}

/** Usage of the whole thread, earlier runs included. `input` includes cached tokens, `output` reasoning tokens. */
const totalsIn = (usage: JsonObject): SessionTotals => ({
  input: countOf(usage['input_tokens']),
  cached: countOf(usage['cached_input_tokens']),
  output: countOf(usage['output_tokens']),
});

function usageOfRun({ session, threadId }: CodexState, totals: SessionTotals, { model }: CodexDialectOptions): RunUsage {
  const before = session?.id === threadId ? (session?.totals ?? {}) : {};
  const since = (name: string): number => Math.max(0, (totals[name] ?? 0) - (before[name] ?? 0));
  const usage = { inputTokens: since('input'), cachedInputTokens: since('cached'), outputTokens: since('output') };
  return model === undefined ? { tokensUsed: usage.inputTokens + usage.outputTokens } : usageByModel({ [model]: usage });
}
