/** Parses the output of `openclaw agent exec --json`: one object over several lines, printed at the end. */
import {
  agentFailed,
  amountOf,
  countOf,
  droppedLineFailure,
  describeEnd,
  itemsOf,
  lastLine,
  noAnswer,
  objectIn,
  classifyText,
  objectOf,
  incompleteAnswer,
  shorten,
  textOf,
  usageByModel,
  type AgentDialect,
  type FailureCause,
  type Classification,
  type ProgramEnd,
  type RunUsage,
  type ParsedEvent,
  type JsonObject,
  type RunOutcome,
} from '../plugin.ts';

interface OpenclawState {
  /** The object so far; null before it starts. */
  readonly object: string | null;
  readonly isTooLong: boolean;
  /** A line of the object, possibly its answer, was too long to be read. */
  readonly hasDroppedLine: boolean;
}

/** Maximum size of the object. */
const CHARACTERS_MAX = 4 * 1024 * 1024;
const INITIAL: OpenclawState = { object: null, isTooLong: false, hasDroppedLine: false };

/**
 * The object settles the run: from a line that starts with `{` to one that is `}`. Nothing is printed before it, except
 * retries on standard error.
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
    return { state: INITIAL, events: result === null ? [] : eventsOf(result, state) };
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

/** Other objects belong to its log. */
function eventsOf(result: JsonObject, state: OpenclawState): readonly ParsedEvent[] {
  if (typeof result['ok'] !== 'boolean') return [];
  const usage = usageIn(result);
  return [{ type: 'usage', ...usage }, outcomeOf(result, usage, state)];
}

/** Printed instead of an empty answer, and after a truncated one. */
const NO_RESPONSE = /^\W*Agent couldn't generate a response/;
const TRUNCATED = /^\W*Reply truncated at the model's output token limit/;

// It does not report whether a tool has run, so assume one has.
function outcomeOf(result: JsonObject, usage: RunUsage, { hasDroppedLine }: OpenclawState): RunOutcome {
  const final = textOf(result['final']);
  const about = aboutOf(result);
  if (result['ok'] !== true || result['status'] !== 'ok') {
    const isNoResponse = NO_RESPONSE.test(textOf(objectOf(result['error'])['message']) ?? '');
    return isNoResponse ? noAnswer({ mayHaveSideEffects: true, details: about }) : failureOf(result);
  }
  if (final === null && hasDroppedLine) return droppedLineFailure({ mayHaveSideEffects: true, details: about });
  const parts = itemsOf(result['payloads']).map((part) => textOf(objectOf(part)['text']) ?? '');
  const cutAt = parts.findIndex((part) => TRUNCATED.test(part));
  if (cutAt >= 0) return truncated(parts.slice(0, cutAt).join('\n'), about);
  return final === null || final.trim() === ''
    ? noAnswer({ mayHaveSideEffects: true, details: about })
    : { type: 'completed', output: { text: final, ...about }, ...usage };
}

const truncated = (text: string, about: Readonly<Record<string, unknown>>): RunOutcome =>
  agentFailed({
    kind: 'limit',
    message: 'its answer was cut off at its longest length',
    mayHaveSideEffects: true,
    details: about,
    acceptable: incompleteAnswer({ reason: 'truncated', text, metadata: about }),
  });

const aboutOf = (result: JsonObject) => ({ session_id: textOf(result['sessionId']), turns: countOf(result['assistantTurns']) });

function failureOf(result: JsonObject): RunOutcome {
  const error = objectOf(result['error']);
  const text = textOf(error['message']) ?? 'it failed';
  const { kind, mayHaveSideEffects = true, retryable, reason } = causeOf(result, error, text);
  return agentFailed({
    kind,
    message: shorten(text.replaceAll('\n', ' ')),
    mayHaveSideEffects,
    retryable: /rejected the request/.test(text) ? false : retryable,
    retryAfterMs: kind === 'rate_limited' ? delayIn(text) : undefined,
    details: { status: result['status'], session_id: result['sessionId'] },
    acceptable: incompleteAnswer({
      reason,
      text: reason === 'refused' ? text : (textOf(result['final']) ?? ''),
      metadata: aboutOf(result),
    }),
  });
}

/** The status is only found in the text. Failures do not say whether a tool has run, so assume one has. */
function causeOf(
  result: JsonObject,
  error: JsonObject,
  text: string,
): Partial<Classification> & { readonly kind: FailureCause; readonly mayHaveSideEffects?: boolean } {
  // Its own timeout is reported differently if the model never answered.
  if (result['status'] === 'timeout') return { kind: /^LLM request timed out/.test(text) ? 'model_unavailable' : 'limit' };
  if (error['type'] === 'cli_error' || /^missing prompt/i.test(text)) return { kind: 'config', mayHaveSideEffects: false };
  // It remembers a failed login for a minute and does not even try; no login has failed now.
  if (/temporarily disabled/i.test(text)) return { kind: 'rate_limited', mayHaveSideEffects: false };
  const meant = classifyText(text);
  if (meant !== null) return meant;
  if (/\b429\b/.test(text)) return { kind: 'rate_limited' };
  return { kind: /request failed|timed out/i.test(text) && !/rejected/.test(text) ? 'model_unavailable' : 'agent_failed' };
}

/** `Retry after about 1 minute`. */
function delayIn(text: string): number | undefined {
  const [, count, unit] = /retry after about (\d+) (second|minute|hour)/i.exec(text) ?? [];
  if (count === undefined) return undefined;
  return Number(count) * { second: 1_000, minute: 60_000, hour: 3_600_000 }[unit?.toLowerCase() as 'second' | 'minute' | 'hour'];
}

/** Startup errors are printed on standard error: a Node that is too old, an unknown flag. */
const causeOfEnd = ({ exitCode, stderrTail }: ProgramEnd): FailureCause =>
  exitCode === 1 && /^openclaw: |use 2\d\.|unknown option|nvm /i.test(`${stderrTail}\n${lastLine(stderrTail)}`) ? 'config' : 'no_result';

/** `input` excludes cached tokens. */
function usageIn(result: JsonObject): RunUsage {
  const usage = objectOf(result['usage']);
  const cachedInputTokens = countOf(usage['cacheRead']);
  const costUsd = amountOf(result['costUsd']);
  const used = {
    inputTokens: countOf(usage['input']) + cachedInputTokens + countOf(usage['cacheWrite']),
    cachedInputTokens,
    outputTokens: countOf(usage['output']),
    ...(costUsd === 0 ? {} : { costUsd }),
  };
  const model = [result['provider'], result['model']].map(textOf);
  return model.includes(null) ? {} : usageByModel({ [model.join('/')]: used });
}
