/** Reads what `openclaw agent exec --json` prints: one object, over many lines, when all is over. */
import {
  agentFailed,
  amountOf,
  countOf,
  cutShort,
  endInWords,
  itemsOf,
  lastWords,
  nothingSaid,
  objectIn,
  meaningOfText,
  objectOf,
  shortAnswer,
  shortened,
  textOf,
  usageByModel,
  type AgentDialect,
  type FailureCause,
  type Meaning,
  type ProgramEnd,
  type RunUsage,
  type SaidEvent,
  type SaidObject,
  type Verdict,
} from '../plugin.ts';

interface OpenclawState {
  /** The object so far; null while none has begun. */
  readonly object: string | null;
  readonly isTooLong: boolean;
  /** A line of the object, which may be its answer, was too long to be read. */
  readonly isCut: boolean;
}

/** Of the object. */
const CHARACTERS_MAX = 4 * 1024 * 1024;
const FIRST: OpenclawState = { object: null, isTooLong: false, isCut: false };

/**
 * It is settled by the object: from a line that begins with `{` to one that is `}`. Nothing is said before, but for what it
 * writes to standard error: that it tries again by itself.
 */
export const openclawDialect: AgentDialect<OpenclawState> = {
  spreadsObjects: true,
  begin: () => FIRST,
  hear(state, { stream, text, json }) {
    if (stream === 'stderr') return { state, events: retryIn(text) };
    if (state.object === null && json !== null) return { state, events: eventsOf(json, state) };
    if (state.object === null && !/^\ufeff?\{/.test(text)) return { state };
    const object = `${state.object ?? ''}${text}\n`;
    if (object.length > CHARACTERS_MAX) return { state: { ...state, object: null, isTooLong: true } };
    if (text !== '}') return { state: { ...state, object } };
    const said = objectIn(object); // null: not the one that it prints, but a `{` in its log
    return { state: FIRST, events: said === null ? [] : eventsOf(said, state) };
  },
  dropped: (state) => ({ ...state, isCut: true }),
  ended({ isTooLong }, end) {
    const message = isTooLong ? `its result has more than ${String(CHARACTERS_MAX)} characters` : endInWords(end);
    const kind = causeOfEnd(end);
    return agentFailed({ kind, message, hasWorked: kind !== 'config' });
  },
};

/** `transient same-model retry 1/9 for fake/m reason=rate_limit: delayMs=1343` */
function retryIn(text: string): readonly SaidEvent[] {
  const [, count, of, reason] = /\bretry (\d+)\/(\d+) for \S+ reason=(\w+)/.exec(text) ?? [];
  if (count === undefined || of === undefined || reason === undefined) return [];
  const waiting = reason === 'rate_limit' ? 'rate_limited' : 'model_unavailable';
  return [{ type: 'progress', message: `waiting for the model: retry ${count} of ${of} (${reason})`, waiting }];
}

/** Other objects are of its log. */
function eventsOf(said: SaidObject, state: OpenclawState): readonly SaidEvent[] {
  if (typeof said['ok'] !== 'boolean') return [];
  const usage = usageIn(said);
  return [{ type: 'usage', ...usage }, verdictOf(said, usage, state)];
}

/** In the place of an answer without a word, and behind one that was cut off. */
const WORDLESS = /^\W*Agent couldn't generate a response/;
const TRUNCATED = /^\W*Reply truncated at the model's output token limit/;

// Whether a tool has run is not said, so one may have.
function verdictOf(said: SaidObject, usage: RunUsage, { isCut }: OpenclawState): Verdict {
  const final = textOf(said['final']);
  const about = aboutOf(said);
  if (said['ok'] !== true || said['status'] !== 'ok') {
    const isWordless = WORDLESS.test(textOf(objectOf(said['error'])['message']) ?? '');
    return isWordless ? nothingSaid({ hasWorked: true, details: about }) : failureOf(said);
  }
  if (final === null && isCut) return cutShort({ hasWorked: true, details: about });
  const parts = itemsOf(said['payloads']).map((part) => textOf(objectOf(part)['text']) ?? '');
  const cutAt = parts.findIndex((part) => TRUNCATED.test(part));
  if (cutAt >= 0) return truncated(parts.slice(0, cutAt).join('\n'), about);
  return final === null || final.trim() === ''
    ? nothingSaid({ hasWorked: true, details: about })
    : { type: 'completed', output: { text: final, ...about }, ...usage };
}

const truncated = (text: string, about: Readonly<Record<string, unknown>>): Verdict =>
  agentFailed({
    kind: 'limit',
    message: 'its answer was cut off at its longest length',
    hasWorked: true,
    details: about,
    acceptable: shortAnswer({ as: 'truncated', text, about }),
  });

const aboutOf = (said: SaidObject) => ({ session_id: textOf(said['sessionId']), turns: countOf(said['assistantTurns']) });

function failureOf(said: SaidObject): Verdict {
  const error = objectOf(said['error']);
  const text = textOf(error['message']) ?? 'it failed';
  const { kind, hasWorked = true, retryable, as } = causeOf(said, error, text);
  return agentFailed({
    kind,
    message: shortened(text.replaceAll('\n', ' ')),
    hasWorked,
    retryable: /rejected the request/.test(text) ? false : retryable,
    retryAfterMs: kind === 'rate_limited' ? delayIn(text) : undefined,
    details: { status: said['status'], session_id: said['sessionId'] },
    acceptable: shortAnswer({
      as,
      text: as === 'refused' ? text : (textOf(said['final']) ?? ''),
      about: aboutOf(said),
    }),
  });
}

/** A status stands in the text only. Whether a tool has run is not said of a failure, so it may have. */
function causeOf(
  said: SaidObject,
  error: SaidObject,
  text: string,
): Partial<Meaning> & { readonly kind: FailureCause; readonly hasWorked?: boolean } {
  // Without an answer of its model it says so of its own time limit, in other words.
  if (said['status'] === 'timeout') return { kind: /^LLM request timed out/.test(text) ? 'model_unavailable' : 'limit' };
  if (error['type'] === 'cli_error' || /^missing prompt/i.test(text)) return { kind: 'config', hasWorked: false };
  // It remembers a failed login for a minute, and then does not even try: no login has failed now.
  if (/temporarily disabled/i.test(text)) return { kind: 'rate_limited', hasWorked: false };
  const meant = meaningOfText(text);
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

/** What keeps it from starting it says on standard error: a Node that is too old, a flag that there is not. */
const causeOfEnd = ({ exitCode, stderrTail }: ProgramEnd): FailureCause =>
  exitCode === 1 && /^openclaw: |use 2\d\.|unknown option|nvm /i.test(`${stderrTail}\n${lastWords(stderrTail)}`) ? 'config' : 'no_result';

/** `input` is without what came from the cache. */
function usageIn(said: SaidObject): RunUsage {
  const usage = objectOf(said['usage']);
  const cachedInputTokens = countOf(usage['cacheRead']);
  const costUsd = amountOf(said['costUsd']);
  const used = {
    inputTokens: countOf(usage['input']) + cachedInputTokens + countOf(usage['cacheWrite']),
    cachedInputTokens,
    outputTokens: countOf(usage['output']),
    ...(costUsd === 0 ? {} : { costUsd }),
  };
  const model = [said['provider'], said['model']].map(textOf);
  return model.includes(null) ? {} : usageByModel({ [model.join('/')]: used });
}
