/** What an attempt used: earlier runs, from the journal, plus the current run, which reports its total. */
import { wellFormed } from '../../../domain/encoded-text.ts';
import type { Slot } from '../../../domain/assignment/slot.ts';
import { MODEL_CHARACTERS_MAX, MODELS_MAX, NO_USAGE, sumOf, type ModelUsage, type Usage } from '../../../domain/usage.ts';
import type { RunUsage } from '../../../ports/wake-runner.ts';
import type { StepContext } from '../state/step-context.ts';

/** Usage of all runs of the attempt. */
export const attemptUsage = (step: StepContext, slot: Slot): Usage => sumOf(slot.spent ?? NO_USAGE, step.liveSlot(slot).used);

/** Validates reported usage; runners are third-party code. */
export function readUsage(usage: RunUsage): Usage {
  const byModel = typeof usage.byModel === 'object' && usage.byModel !== null ? usage.byModel : {};
  const models = Object.entries(byModel)
    .slice(0, MODELS_MAX)
    .flatMap(([name, used]): ModelUsage[] => {
      const model = wellFormed(name).slice(0, MODEL_CHARACTERS_MAX);
      if (model === '' || typeof used !== 'object' || used === null) return [];
      const { inputTokens, cachedInputTokens, outputTokens, costUsd } = used;
      return [
        {
          model: wellFormed(model),
          inputTokens: countOf(inputTokens),
          cachedInputTokens: countOf(cachedInputTokens),
          outputTokens: countOf(outputTokens),
          costUsd: isCost(costUsd) ? costUsd : null,
        },
      ];
    });
  return {
    tokensUsed: countOf(usage.tokensUsed),
    costUsd: isCost(usage.costUsd) ? usage.costUsd : null,
    ...(models.length === 0 ? {} : { models }),
  };
}

/** The agent's own result overrides what its runner counted. */
export function withResult(used: Usage, result: Readonly<Record<string, unknown>>): Usage {
  if (result['tokens_used'] === undefined && result['cost_usd'] === undefined) return used;
  return {
    ...used,
    tokensUsed: countOf(result['tokens_used']) ?? used.tokensUsed,
    costUsd: isCost(result['cost_usd']) ? result['cost_usd'] : used.costUsd,
  };
}

const countOf = (value: unknown): number | null => (isCount(value) ? value : null);

export const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const isCost = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;
