/**
 * Usage: tokens and cost, by attempt and by model. Each report of an attempt is its total so far, so a repeated, lost or late
 * report never counts twice; the usage of a task is the sum over its attempts.
 */
import type { AgentId, Generation } from './ids.ts';

/** Usage of one model. Null: not reported. */
export interface ModelUsage {
  /** The program's name for the model, at most `MODEL_CHARACTERS_MAX`. */
  readonly model: string;
  /** Including those from a cache. */
  readonly inputTokens: number | null;
  readonly cachedInputTokens: number | null;
  readonly outputTokens: number | null;
  /** US dollars, as reported by the program; often a list price. */
  readonly costUsd: number | null;
}

/** Null, or without `models`: not reported. */
export interface Usage {
  /** Input (cached or not) and output together. */
  readonly tokensUsed: number | null;
  readonly costUsd: number | null;
  readonly models?: readonly ModelUsage[] | undefined;
}

/** Usage of one attempt, identified by its generation. */
export interface AttemptUsage extends Usage {
  readonly generation: Generation;
  readonly agentId: AgentId;
}

/** What the attempts of a task have used, in tokens and US dollars. */
export interface TaskUsage {
  /** The newest attempts that reported usage, oldest first, at most `ATTEMPTS_KEPT`. */
  readonly attempts: readonly AttemptUsage[];
  /** All earlier attempts together. */
  readonly earlier: Usage;
  /** The newest attempts that began and ended without a usage report, at most `ATTEMPTS_KEPT`. Left out: none. */
  readonly untold?: readonly Generation[] | undefined;
}

/** Attempts that are kept separately. */
export const ATTEMPTS_KEPT = 16;
/** Models of one attempt that are kept separately. */
export const MODELS_MAX = 16;
export const MODEL_CHARACTERS_MAX = 128;

export const NO_USAGE: Usage = { tokensUsed: null, costUsd: null };
export const NOTHING_USED: TaskUsage = { attempts: [], earlier: NO_USAGE };

export const isNoUsage = ({ tokensUsed, costUsd, models = [] }: Usage): boolean =>
  tokensUsed === null && costUsd === null && models.length === 0;

/**
 * The sum of two runs of one attempt, or two attempts of one task. If one used tokens without a reported cost, such as a run that
 * was killed, the cost of the sum is unknown too: a part of it would look like the whole.
 */
export const sumOf = (a: Usage, b: Usage): Usage =>
  a === NO_USAGE && b === NO_USAGE ? NO_USAGE : combined(a, b, { count: plus, cost: plusPriced });

/** A later report of the same attempt: counts only grow, so that a late report, or one of a restarted sidecar, lowers nothing. */
export const maxUsage = (known: Usage, reported: Usage): Usage =>
  combined(known, reported, { count: larger, cost: (a, b) => larger(a.costUsd, b.costUsd) });

/** Adds the reported total of an attempt. A report of one that is already summed up in `earlier` is dropped. */
export function withAttempt(usage: TaskUsage, of: Pick<AttemptUsage, 'generation' | 'agentId'>, reported: Usage): TaskUsage {
  const now = isNoUsage(reported) ? usage : withReport(usage, of, reported);
  if (now === usage) return usage;
  const untold = (usage.untold ?? []).filter((generation) => generation !== of.generation);
  return untold.length === 0 ? now : { ...now, untold };
}

/** An attempt that had begun has ended. Late reports of it may still arrive. */
export function withEnded(usage: TaskUsage, generation: Generation): TaskUsage {
  const isKnown = usage.attempts.some((attempt) => attempt.generation === generation) || usage.untold?.includes(generation) === true;
  return isKnown ? usage : { ...usage, untold: [...(usage.untold ?? []), generation].slice(-ATTEMPTS_KEPT) };
}

/** Whether the sums are partial: some attempts reported usage, and another one began and did not. */
export const isIncomplete = (usage: TaskUsage): boolean => (usage.untold ?? []).length > 0 && !isNoUsage(totalOf(usage));

function withReport(usage: TaskUsage, of: Pick<AttemptUsage, 'generation' | 'agentId'>, reported: Usage): TaskUsage {
  const { attempts, earlier } = usage;
  const known = attempts.find(({ generation }) => generation === of.generation);
  if (known !== undefined) {
    const now = { ...known, ...maxUsage(known, reported) };
    return { attempts: attempts.map((attempt) => (attempt === known ? now : attempt)), earlier };
  }
  const isFull = attempts.length >= ATTEMPTS_KEPT;
  if (isFull && of.generation < (attempts[0]?.generation ?? 0)) return usage;
  const attempt: AttemptUsage = { generation: of.generation, agentId: of.agentId, ...maxUsage(NO_USAGE, reported) };
  const [oldest, ...newer] = [...attempts, attempt].sort((a, b) => a.generation - b.generation);
  if (!isFull || oldest === undefined) return { attempts: [...(oldest === undefined ? [] : [oldest]), ...newer], earlier };
  return { attempts: newer, earlier: sumOf(earlier, oldest) };
}

/** The usage of a task over all of its attempts. */
export const totalOf = ({ attempts, earlier }: TaskUsage): Usage => attempts.reduce<Usage>(sumOf, earlier);

/** The reported usage of one attempt. */
export const usageOfAttempt = ({ attempts }: TaskUsage, generation: Generation): Usage =>
  attempts.find((attempt) => attempt.generation === generation) ?? NO_USAGE;

/** As in events, frames and HTTP answers: only what was reported. */
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

/** Models beyond the bound are left out; the totals include them. */
function combinedModels(a: readonly ModelUsage[], b: readonly ModelUsage[], { count, cost }: Combining): readonly ModelUsage[] {
  const models = new Map(a.map((usage) => [usage.model, usage]));
  for (const reported of b) {
    const known = models.get(reported.model) ?? { ...NO_MODEL_USAGE, model: reported.model };
    models.set(reported.model, {
      model: reported.model,
      inputTokens: count(known.inputTokens, reported.inputTokens),
      cachedInputTokens: count(known.cachedInputTokens, reported.cachedInputTokens),
      outputTokens: count(known.outputTokens, reported.outputTokens),
      costUsd: cost(pricedModel(known), pricedModel(reported)),
    });
  }
  return [...models.values()].slice(0, MODELS_MAX);
}

const NO_MODEL_USAGE = { inputTokens: null, cachedInputTokens: null, outputTokens: null, costUsd: null };

/** Significant digits of a sum of money; the rest is noise of floating-point addition. */
const SUM_DIGITS = 12;

const plus: Combine = (a, b) => (a === null ? b : b === null ? a : Number.isSafeInteger(a + b) ? a + b : rounded(a + b));

/** Counts stop at the largest exact integer. */
const rounded = (sum: number): number => (sum > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(sum.toPrecision(SUM_DIGITS)));

/** Tokens with their cost. */
type Priced = Pick<Usage, 'tokensUsed' | 'costUsd'>;

const pricedModel = ({ inputTokens, outputTokens, costUsd }: Omit<ModelUsage, 'model'>): Priced => ({
  tokensUsed: plus(inputTokens, outputTokens),
  costUsd,
});
const isUnpriced = ({ tokensUsed, costUsd }: Priced): boolean => costUsd === null && (tokensUsed ?? 0) > 0;
const plusPriced = (a: Priced, b: Priced): number | null => (isUnpriced(a) || isUnpriced(b) ? null : plus(a.costUsd, b.costUsd));

const larger: Combine = (a, b) => (a === null ? b : b === null ? a : Math.max(a, b));
