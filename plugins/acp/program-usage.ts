/** What a run used, out of what an agent says of its prompt and of its session. */
import {
  amountOf,
  countOf,
  itemsOf,
  objectOf,
  textOf,
  type RunUsage,
  type SaidObject,
  type Session,
  type SessionTotals,
} from '../plugin.ts';

/** Of a prompt; counts without what came from a cache, and what was read from one and written to one. */
interface Counted {
  readonly input: number;
  /** Undefined: it was not told. */
  readonly cached: number | undefined;
  readonly output: number;
}

/**
 * What the answer to a prompt says of its tokens: `null` that it says nothing, `'none'` that its model was not called, as an
 * agent says that counts them when it could not reach its model.
 */
export function tokensOf(result: SaidObject): RunUsage | 'none' | null {
  const quota = objectOf(objectOf(result['_meta'])['quota']);
  const said = 'usage' in result ? result['usage'] : quota['token_count'];
  if (said === undefined) return null;
  const counted = countedIn(objectOf(said));
  const inputTokens = counted.input + (counted.cached ?? 0);
  const tokensUsed = inputTokens + counted.output;
  if (tokensUsed === 0) return 'none';
  // Its counts by model are of the session with some agents; the name of the only one is all that is taken.
  const models = itemsOf(quota['model_usage']).map((used) => textOf(objectOf(used)['model']));
  const [model] = models;
  if (models.length !== 1 || model === null || model === undefined) return { tokensUsed };
  const cachedInputTokens = counted.cached;
  const used = { inputTokens, outputTokens: counted.output, ...(cachedInputTokens === undefined ? {} : { cachedInputTokens }) };
  return { tokensUsed, byModel: { [model]: used } };
}

/** In the protocol's own words, or in those of the Gemini CLI. */
const countedIn = (usage: SaidObject): Counted => ({
  input: countOf(usage['inputTokens']) + countOf(usage['cachedWriteTokens']) + countOf(usage['input_tokens']),
  cached: usage['cachedReadTokens'] === undefined ? undefined : countOf(usage['cachedReadTokens']),
  output: countOf(usage['outputTokens']) + countOf(usage['output_tokens']),
});

/** Notes have whole numbers. */
const NANO = 1e9;

/** What the session has cost by now, as a total of its note; null where an update says nothing of it, or not in dollars. */
export function costTotalsIn(update: SaidObject): SessionTotals | null {
  const cost = objectOf(update['cost']);
  const nanoUsd = Math.round(amountOf(cost['amount']) * NANO);
  // 0 where it knows no prices, which is not the same as free.
  return cost['currency'] === 'USD' && nanoUsd > 0 ? { nanoUsd } : null;
}

/** What the run has cost: the totals are of its session, earlier runs included, unless they begin anew with each process. */
export function costOfRun(totals: SessionTotals, before: Session | null): number {
  const now = totals['nanoUsd'] ?? 0;
  const then = before?.totals['nanoUsd'] ?? 0;
  return (now >= then ? now - then : now) / NANO;
}
