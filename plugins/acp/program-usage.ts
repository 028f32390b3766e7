/** Usage of a run, from what an agent reports for its prompt and its session. */
import {
  amountOf,
  countOf,
  itemsOf,
  objectOf,
  textOf,
  type RunUsage,
  type JsonObject,
  type Session,
  type SessionTotals,
} from '../plugin.ts';

/** Tokens of a prompt. `input` includes tokens written to a cache, but not those read from one (`cached`). */
interface Counted {
  readonly input: number;
  /** Undefined: not reported. */
  readonly cached: number | undefined;
  readonly output: number;
}

/**
 * Token usage in the answer to a prompt: `null` if it has none; `'none'` if the model was not called, as reported by an
 * agent that counts tokens but could not reach its model.
 */
export function tokensOf(result: JsonObject): RunUsage | 'none' | null {
  const quota = objectOf(objectOf(result['_meta'])['quota']);
  const usage = 'usage' in result ? result['usage'] : quota['token_count'];
  if (usage === undefined) return null;
  const counted = countedIn(objectOf(usage));
  const inputTokens = counted.input + (counted.cached ?? 0);
  const tokensUsed = inputTokens + counted.output;
  if (tokensUsed === 0) return 'none';
  // Some agents report per-model counts of the session, so only the name of a single model is used.
  const models = itemsOf(quota['model_usage']).map((used) => textOf(objectOf(used)['model']));
  const [model] = models;
  if (models.length !== 1 || model === null || model === undefined) return { tokensUsed };
  const cachedInputTokens = counted.cached;
  const used = { inputTokens, outputTokens: counted.output, ...(cachedInputTokens === undefined ? {} : { cachedInputTokens }) };
  return { tokensUsed, byModel: { [model]: used } };
}

/** In the protocol's format, or in that of the Gemini CLI. */
const countedIn = (usage: JsonObject): Counted => ({
  input: countOf(usage['inputTokens']) + countOf(usage['cachedWriteTokens']) + countOf(usage['input_tokens']),
  cached: usage['cachedReadTokens'] === undefined ? undefined : countOf(usage['cachedReadTokens']),
  output: countOf(usage['outputTokens']) + countOf(usage['output_tokens']),
});

/** Notes contain integers. */
const NANO = 1e9;

/** The session's cost so far, as a total for its note; null if an update has none, or not in dollars. */
export function costTotalsIn(update: JsonObject): SessionTotals | null {
  const cost = objectOf(update['cost']);
  const nanoUsd = Math.round(amountOf(cost['amount']) * NANO);
  // 0 if the prices are unknown, which is not the same as free.
  return cost['currency'] === 'USD' && nanoUsd > 0 ? { nanoUsd } : null;
}

/** The run's cost. Totals cover the session, earlier runs included, unless they restart with each process. */
export function costOfRun(totals: SessionTotals, before: Session | null): number {
  const now = totals['nanoUsd'] ?? 0;
  const then = before?.totals['nanoUsd'] ?? 0;
  return (now >= then ? now - then : now) / NANO;
}
