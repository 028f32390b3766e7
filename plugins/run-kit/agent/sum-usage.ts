/** Adds up what a run used. */
import { MODEL_CHARACTERS_MAX, MODELS_MAX } from '../../../core/domain/usage.ts';
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

/** Counts for models beyond the bound, so that the sum stays right. */
const OTHER_MODELS = 'other models';

/** With what was used of one more model, or of one of them again. A program names its models itself, so their number and their names have bounds. */
export function withModelUsage(
  byModel: Readonly<Record<string, ModelUsage>>,
  model: string,
  usage: ModelUsage,
): Readonly<Record<string, ModelUsage>> {
  const isKnown = Object.hasOwn(byModel, model);
  const hasRoom = model.length <= MODEL_CHARACTERS_MAX && Object.keys(byModel).length < MODELS_MAX - 1;
  const name = isKnown || hasRoom ? model : OTHER_MODELS;
  const known = Object.hasOwn(byModel, name) ? byModel[name] : undefined;
  return { ...byModel, [name]: sumOfUsage([known ?? {}, usage]) };
}
