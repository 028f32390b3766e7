/**
 * What agents used: tokens and money, by attempt and by model. Every word of an attempt is its total until then, so a word
 * that is repeated, lost or late never counts twice; what a task used is the sum over its attempts.
 */
import type { AgentId, Generation } from './ids.ts';

/** Of one model. Tokens are counts; null: nobody said. */
export interface ModelUsage {
  /** As the program names it, at most `MODEL_CHARACTERS_MAX`. */
  readonly model: string;
  /** Those from a cache included. */
  readonly inputTokens: number | null;
  readonly cachedInputTokens: number | null;
  readonly outputTokens: number | null;
  /** US dollars, as the program says; often a list price. */
  readonly costUsd: number | null;
}

/** Null, or without `models`: nobody said. */
export interface Usage {
  /** Input, cached or not, and output together. */
  readonly tokensUsed: number | null;
  readonly costUsd: number | null;
  readonly models?: readonly ModelUsage[] | undefined;
}

/** One attempt, named by its generation. */
export interface AttemptUsage extends Usage {
  readonly generation: Generation;
  readonly agentId: AgentId;
}

export interface TaskUsage {
  /** The newest attempts that said what they used, oldest first, at most `ATTEMPTS_KEPT`. */
  readonly attempts: readonly AttemptUsage[];
  /** All attempts before them together. */
  readonly earlier: Usage;
  /** The newest attempts that had begun, are over and said nothing of what they used, at most `ATTEMPTS_KEPT`. Left out: none. */
  readonly untold?: readonly Generation[] | undefined;
}

/** Attempts that are kept one by one. */
export const ATTEMPTS_KEPT = 16;
/** Models of one attempt that are kept one by one. */
export const MODELS_MAX = 16;
export const MODEL_CHARACTERS_MAX = 128;

export const NO_USAGE: Usage = { tokensUsed: null, costUsd: null };
export const NOTHING_USED: TaskUsage = { attempts: [], earlier: NO_USAGE };

export const isNoUsage = ({ tokensUsed, costUsd, models = [] }: Usage): boolean =>
  tokensUsed === null && costUsd === null && models.length === 0;

/**
 * One after the other: of two runs of one attempt, or two attempts of one task. Where one used tokens and nobody said what they cost, as of
 * a run that was killed, nobody knows the cost of both: the rest of it would look as if it were all.
 */
export const sumOf = (a: Usage, b: Usage): Usage => combined(a, b, { count: plus, cost: plusPriced });

/** The same once more, later: it only grows, so that a word which comes late, or from one who forgot, takes nothing away. */
export const grown = (known: Usage, said: Usage): Usage =>
  combined(known, said, { count: larger, cost: (a, b) => larger(a.costUsd, b.costUsd) });

/** With what this attempt says that it used until now. A word of one that is not kept by itself any more is in `earlier`, and dropped. */
export function withAttempt(usage: TaskUsage, of: Pick<AttemptUsage, 'generation' | 'agentId'>, said: Usage): TaskUsage {
  const now = isNoUsage(said) ? usage : withWord(usage, of, said);
  if (now === usage) return usage;
  const untold = (usage.untold ?? []).filter((generation) => generation !== of.generation);
  return untold.length === 0 ? now : { ...now, untold };
}

/** An attempt that had begun is over. Late words of it may still come. */
export function withEnded(usage: TaskUsage, generation: Generation): TaskUsage {
  const isKnown = usage.attempts.some((attempt) => attempt.generation === generation) || usage.untold?.includes(generation) === true;
  return isKnown ? usage : { ...usage, untold: [...(usage.untold ?? []), generation].slice(-ATTEMPTS_KEPT) };
}

/** Some attempts said what they used, and another one had begun and did not: the sums are of a part. */
export const isIncomplete = (usage: TaskUsage): boolean => (usage.untold ?? []).length > 0 && !isNoUsage(totalOf(usage));

function withWord(usage: TaskUsage, of: Pick<AttemptUsage, 'generation' | 'agentId'>, said: Usage): TaskUsage {
  const { attempts, earlier } = usage;
  const known = attempts.find(({ generation }) => generation === of.generation);
  if (known !== undefined) {
    const now = { ...known, ...grown(known, said) };
    return { attempts: attempts.map((attempt) => (attempt === known ? now : attempt)), earlier };
  }
  const isFull = attempts.length >= ATTEMPTS_KEPT;
  if (isFull && of.generation < (attempts[0]?.generation ?? 0)) return usage;
  const attempt: AttemptUsage = { generation: of.generation, agentId: of.agentId, ...grown(NO_USAGE, said) };
  const [oldest, ...newer] = [...attempts, attempt].sort((a, b) => a.generation - b.generation);
  if (!isFull || oldest === undefined) return { attempts: [...(oldest === undefined ? [] : [oldest]), ...newer], earlier };
  return { attempts: newer, earlier: sumOf(earlier, oldest) };
}

/** What the task used, over all of its attempts. */
export const totalOf = ({ attempts, earlier }: TaskUsage): Usage => attempts.reduce<Usage>(sumOf, earlier);

/** What one attempt is known to have used. */
export const usageOfAttempt = ({ attempts }: TaskUsage, generation: Generation): Usage =>
  attempts.find((attempt) => attempt.generation === generation) ?? NO_USAGE;

/** As histories, frames and answers have it: only what was said. */
export function usageFields({ tokensUsed, costUsd, models = [] }: Usage): UsageFields {
  return {
    ...(tokensUsed === null ? {} : { tokens_used: tokensUsed }),
    ...(costUsd === null ? {} : { cost_usd: costUsd }),
    ...(models.length === 0 ? {} : { models: models.map(modelFields) }),
  };
}

export interface UsageFields {
  readonly tokens_used?: number;
  readonly cost_usd?: number;
  readonly models?: ModelFields[];
}

export interface ModelFields {
  readonly model: string;
  readonly input_tokens?: number;
  readonly cached_input_tokens?: number;
  readonly output_tokens?: number;
  readonly cost_usd?: number;
}

const modelFields = ({ model, inputTokens, cachedInputTokens, outputTokens, costUsd }: ModelUsage): ModelFields => ({
  model,
  ...(inputTokens === null ? {} : { input_tokens: inputTokens }),
  ...(cachedInputTokens === null ? {} : { cached_input_tokens: cachedInputTokens }),
  ...(outputTokens === null ? {} : { output_tokens: outputTokens }),
  ...(costUsd === null ? {} : { cost_usd: costUsd }),
});

type Combine = (a: number | null, b: number | null) => number | null;

interface Combining {
  readonly count: Combine;
  readonly cost: (a: Priced, b: Priced) => number | null;
}

function combined(a: Usage, b: Usage, how: Combining): Usage {
  const models = combinedModels(a.models ?? [], b.models ?? [], how);
  return {
    tokensUsed: how.count(a.tokensUsed, b.tokensUsed),
    costUsd: how.cost(a, b),
    ...(models.length === 0 ? {} : { models }),
  };
}

/** Models beyond the bound are left out; the sums above know them all the same. */
function combinedModels(a: readonly ModelUsage[], b: readonly ModelUsage[], { count, cost }: Combining): readonly ModelUsage[] {
  const models = new Map(a.map((usage) => [usage.model, usage]));
  for (const said of b) {
    const known = models.get(said.model) ?? { ...NO_MODEL_USAGE, model: said.model };
    models.set(said.model, {
      model: said.model,
      inputTokens: count(known.inputTokens, said.inputTokens),
      cachedInputTokens: count(known.cachedInputTokens, said.cachedInputTokens),
      outputTokens: count(known.outputTokens, said.outputTokens),
      costUsd: cost(pricedModel(known), pricedModel(said)),
    });
  }
  return [...models.values()].slice(0, MODELS_MAX);
}

const NO_MODEL_USAGE = { inputTokens: null, cachedInputTokens: null, outputTokens: null, costUsd: null };

/** Digits of a sum of money that mean something; the rest is the noise of adding fractions. */
const SUM_DIGITS = 12;

const plus: Combine = (a, b) => (a === null ? b : b === null ? a : Number.isSafeInteger(a + b) ? a + b : rounded(a + b));

/** Counts stop at the largest number that is exact. */
const rounded = (sum: number): number => (sum > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(sum.toPrecision(SUM_DIGITS)));

/** What has a price, if its tokens have one. */
type Priced = Pick<Usage, 'tokensUsed' | 'costUsd'>;

const pricedModel = ({ inputTokens, outputTokens, costUsd }: Omit<ModelUsage, 'model'>): Priced => ({
  tokensUsed: plus(inputTokens, outputTokens),
  costUsd,
});
const isUnpriced = ({ tokensUsed, costUsd }: Priced): boolean => costUsd === null && (tokensUsed ?? 0) > 0;
const plusPriced = (a: Priced, b: Priced): number | null => (isUnpriced(a) || isUnpriced(b) ? null : plus(a.costUsd, b.costUsd));

const larger: Combine = (a, b) => (a === null ? b : b === null ? a : Math.max(a, b));
