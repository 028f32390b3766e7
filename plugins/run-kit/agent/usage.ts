/** Adds up what a run used. */
import type { ModelUsage, RunUsage } from '../../../core/ports/wake-runner.ts';

/** One sum of several. Costs are of those that tell one; without any there is none. */
export function sumOfUsage(parts: readonly ModelUsage[]): ModelUsage {
  const sum = (count: (part: ModelUsage) => number | undefined): number => parts.reduce((total, part) => total + (count(part) ?? 0), 0);
  return {
    inputTokens: sum(({ inputTokens }) => inputTokens),
    cachedInputTokens: sum(({ cachedInputTokens }) => cachedInputTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    ...(parts.some(({ costUsd }) => costUsd !== undefined) ? { costUsd: sum(({ costUsd }) => costUsd) } : {}),
  };
}

/** The usage of a run out of what it used of each model. */
export function usageByModel(byModel: Readonly<Record<string, ModelUsage>>): RunUsage {
  const { inputTokens = 0, outputTokens = 0, costUsd } = sumOfUsage(Object.values(byModel));
  return { tokensUsed: inputTokens + outputTokens, ...(costUsd === undefined ? {} : { costUsd }), byModel };
}
