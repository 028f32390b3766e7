/**
 * Parses the output of `openclaw agent exec --json`: one object over several lines, printed at the end. OpenClaw does not
 * report its tool calls, so a run may have side effects unless it certainly called no model.
 */
import {
  agentFailed,
  amountOf,
  classifyText,
  countOf,
  describeEnd,
  droppedLineFailure,
  incompleteAnswer,
  itemsOf,
  noAnswer,
  objectIn,
  objectOf,
  shorten,
  textOf,
  usageByModel,
  type AgentDialect,
  type Classification,
  type FailureCause,
  type JsonObject,
  type ParsedEvent,
  type ProgramEnd,
  type RunOutcome,
  type RunUsage,
} from '../plugin.ts';

interface OpenclawState {
  /** The object so far; null before it starts. */
  readonly object: string | null;
  /** An object exceeded `CHARACTERS_MAX`. */
  readonly isTooLong: boolean;
  /** A line was dropped for its length; it may have held the answer. */
  readonly hasDroppedLine: boolean;
}

/** Maximum size of the object. */
const CHARACTERS_MAX = 4 * 1024 * 1024;
const INITIAL: OpenclawState = { object: null, isTooLong: false, hasDroppedLine: false };

/**
 * The object with the result settles the run: one line, or from a line that starts with `{` to a line `}`. Log output
 * may come before it. Retries are reported on standard error.
 */
export const openclawDialect: AgentDialect<OpenclawState> = {
  multilineObjects: true,
  begin: () => INITIAL,
  onLine(state, { stream, text, json }) {
    if (stream === 'stderr') return { state, events: parseRetryNotice(text) };
    if (state.object === null && json !== null) return { state, events: eventsOf(json, state) };
    if (state.object === null && !/^\ufeff?\{/.test(text)) return { state };
    const object = `${state.object ?? ''}${text}\n`;
    if (object.length > CHARACTERS_MAX) return { state: { ...state, object: null, isTooLong: true } };
    if (text !== '}') return { state: { ...state, object } };
    const result = objectIn(object); // Null: not the result, but a `{` in its log.
    return { state: { ...state, object: null }, events: result === null ? [] : eventsOf(result, state) };
  },
  onDropped: (state) => ({ ...state, hasDroppedLine: true }),
  onEnd({ isTooLong }, end) {
    const message = isTooLong ? `its result has more than ${String(CHARACTERS_MAX)} characters` : describeEnd(end);
    const kind = causeOfEnd(end);
    return agentFailed({ kind, message, mayHaveSideEffects: kind !== 'config' });
  },
};

/** `transient same-model retry 1/9 for fake/m reason=rate_limit: delayMs=1343` */
function parseRetryNotice(text: string): readonly ParsedEvent[] {
  const [, count, of, reason] = /\bretry (\d+)\/(\d+) for \S+ reason=(\w+)/.exec(text) ?? [];
  if (count === undefined || of === undefined || reason === undefined) return [];
  const waiting = reason === 'rate_limit' ? 'rate_limited' : 'model_unavailable';
  return [{ type: 'progress', message: `waiting for the model: retry ${count} of ${of} (${reason})`, waiting }];
}

/** Objects without `ok` belong to the log. */
function eventsOf(result: JsonObject, state: OpenclawState): readonly ParsedEvent[] {
  if (typeof result['ok'] !== 'boolean') return [];
  const usage = usageIn(result);
  return [{ type: 'usage', ...usage }, outcomeOf(result, usage, state)];
}

/** Printed instead of an empty answer, and after a truncated one. */
const NO_RESPONSE = /^\W*Agent couldn't generate a response/;
const TOKEN_LIMIT_NOTICE = /^\W*Reply truncated at the model's output token limit/;

function outcomeOf(result: JsonObject, usage: RunUsage, { hasDroppedLine }: OpenclawState): RunOutcome {
  const final = textOf(result['final']);
  const metadata = metadataOf(result);
  if (result['ok'] !== true || result['status'] !== 'ok') {
    const isNoResponse = NO_RESPONSE.test(textOf(objectOf(result['error'])['message']) ?? '');
    return isNoResponse ? noAnswer({ mayHaveSideEffects: true, details: metadata }) : failureOf(result);
  }
  if (final === null && hasDroppedLine) return droppedLineFailure({ mayHaveSideEffects: true, details: metadata });
  const parts = itemsOf(result['payloads']).map((part) => textOf(objectOf(part)['text']) ?? '');
  const noticeAt = parts.findIndex((part) => TOKEN_LIMIT_NOTICE.test(part));
  if (noticeAt >= 0) return tokenLimitFailure(parts.slice(0, noticeAt).join('\n'), metadata);
  return final === null || final.trim() === ''
    ? noAnswer({ mayHaveSideEffects: true, details: metadata })
    : { type: 'completed', output: { text: final, ...metadata }, ...usage };
}

const tokenLimitFailure = (text: string, metadata: Readonly<Record<string, unknown>>): RunOutcome =>
  agentFailed({
    kind: 'limit',
    message: "the answer was cut off at the model's output token limit",
    mayHaveSideEffects: true,
    details: metadata,
    acceptable: incompleteAnswer({ reason: 'truncated', text, metadata }),
  });

const metadataOf = (result: JsonObject) => ({ session_id: textOf(result['sessionId']), turns: countOf(result['assistantTurns']) });

function failureOf(result: JsonObject): RunOutcome {
  const error = objectOf(result['error']);
  const text = textOf(error['message']) ?? 'it failed';
  const { kind, mayHaveSideEffects = true, retryable, reason } = classifyFailure(result, error, text);
  return agentFailed({
    kind,
    message: shorten(text.replaceAll('\n', ' ')),
    mayHaveSideEffects,
    // The model's service would reject the same request again.
    retryable: /rejected the request/.test(text) ? false : retryable,
    retryAfterMs: kind === 'rate_limited' ? delayIn(text) : undefined,
    details: { status: result['status'], session_id: result['sessionId'] },
    acceptable: incompleteAnswer({
      reason,
      text: reason === 'refused' ? text : (textOf(result['final']) ?? ''),
      metadata: metadataOf(result),
    }),
  });
}

/** The HTTP status of the model's service appears only in the message text. */
function classifyFailure(
  result: JsonObject,
  error: JsonObject,
  text: string,
): Partial<Classification> & { readonly kind: FailureCause; readonly mayHaveSideEffects?: boolean } {
  // `status: timeout` is OpenClaw's own limit, unless the text says that the model request timed out.
  if (result['status'] === 'timeout') return { kind: /^LLM request timed out/.test(text) ? 'model_unavailable' : 'limit' };
  if (error['type'] === 'cli_error' || /^missing prompt/i.test(text)) return { kind: 'config', mayHaveSideEffects: false };
  // For a minute after a failed login, OpenClaw does not call that provider. This run made no request, so it is not a
  // login failure.
  if (/temporarily disabled/i.test(text)) return { kind: 'rate_limited', mayHaveSideEffects: false };
  const classified = classifyText(text);
  if (classified !== null) return classified;
  if (/\b429\b/.test(text)) return { kind: 'rate_limited' };
  return { kind: /request failed|timed out/i.test(text) && !/rejected/.test(text) ? 'model_unavailable' : 'agent_failed' };
}

/** `Retry after about 1 minute`. */
function delayIn(text: string): number | undefined {
  const [, count, unit] = /retry after about (\d+) (second|minute|hour)/i.exec(text) ?? [];
  if (count === undefined) return undefined;
  return Number(count) * { second: 1_000, minute: 60_000, hour: 3_600_000 }[unit?.toLowerCase() as 'second' | 'minute' | 'hour'];
}

/** Startup errors are printed on standard error, perhaps after warnings: a Node that is too old, an unknown flag. */
const causeOfEnd = ({ exitCode, stderrTail }: ProgramEnd): FailureCause =>
  exitCode === 1 && /^openclaw: |use 2\d\.|unknown option|nvm /im.test(stderrTail) ? 'config' : 'no_result';

/** `input` excludes cached tokens. Without the name of the model, only the totals are known. */
function usageIn(result: JsonObject): RunUsage {
  const usage = objectOf(result['usage']);
  const cachedInputTokens = countOf(usage['cacheRead']);
  const inputTokens = countOf(usage['input']) + cachedInputTokens + countOf(usage['cacheWrite']);
  const outputTokens = countOf(usage['output']);
  const costUsd = amountOf(result['costUsd']);
  // 0 if the prices are unknown, which is not the same as free.
  const cost = costUsd === 0 ? {} : { costUsd };
  const [provider, model] = [result['provider'], result['model']].map((name) => textOf(name) ?? '');
  if (model)
    return usageByModel({ [provider ? `${provider}/${model}` : model]: { inputTokens, cachedInputTokens, outputTokens, ...cost } });
  const tokensUsed = inputTokens + outputTokens;
  return tokensUsed === 0 ? cost : { tokensUsed, ...cost };
}
