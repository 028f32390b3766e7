/** Sums up what a run used. */
import { MODEL_CHARACTERS_MAX, MODELS_MAX } from '../../../core/domain/usage.ts';
import type { RunModelUsage, RunUsage } from '../../../core/ports/wake-runner.ts';

/** The sum of several. Unknown costs are skipped; without any cost the sum has none. */
export function sumOfUsage(parts: readonly RunModelUsage[]): RunModelUsage {
  const sum = (count: (part: RunModelUsage) => number | undefined): number => parts.reduce((total, part) => total + (count(part) ?? 0), 0);
  return {
    inputTokens: sum(({ inputTokens }) => inputTokens),
    cachedInputTokens: sum(({ cachedInputTokens }) => cachedInputTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    ...(parts.some(({ costUsd }) => costUsd !== undefined) ? { costUsd: sum(({ costUsd }) => costUsd) } : {}),
  };
}

/** A run's usage, from its usage per model. */
export function usageByModel(byModel: Readonly<Record<string, RunModelUsage>>): RunUsage {
  const { inputTokens = 0, outputTokens = 0, costUsd } = sumOfUsage(Object.values(byModel));
  return { tokensUsed: inputTokens + outputTokens, ...(costUsd === undefined ? {} : { costUsd }), byModel };
}

/** Collects models beyond the bound, so that the total stays right. */
const OTHER_MODELS = 'other models';

/** Adds the usage of one model. Programs choose model names freely, so their number and length are bounded. */
export function withModelUsage(
  byModel: Readonly<Record<string, RunModelUsage>>,
  model: string,
  usage: RunModelUsage,
): Readonly<Record<string, RunModelUsage>> {
  const isKnown = Object.hasOwn(byModel, model);
  const hasRoom = model.length <= MODEL_CHARACTERS_MAX && Object.keys(byModel).length < MODELS_MAX - 1;
  const name = isKnown || hasRoom ? model : OTHER_MODELS;
  const known = Object.hasOwn(byModel, name) ? byModel[name] : undefined;
  return { ...byModel, [name]: sumOfUsage([known ?? {}, usage]) };
}
