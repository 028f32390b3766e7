/** What an attempt used: the runs that are over, which the journal knows, and the one that goes on, which tells its total. */
import { wellFormed } from '../../../domain/encoded-text.ts';
import type { Slot } from '../../../domain/assignment/slot.ts';
import { MODEL_CHARACTERS_MAX, MODELS_MAX, NO_USAGE, sumOf, type ModelUsage, type Usage } from '../../../domain/usage.ts';
import type { RunUsage } from '../../../ports/wake-runner.ts';
import type { Turn } from '../state/step-context.ts';

/** All runs of the attempt together. */
export const attemptUsage = (turn: Turn, slot: Slot): Usage => sumOf(slot.spent ?? NO_USAGE, turn.live(slot).used);

/** What a runner tells of its run, as far as it can be believed: it is a stranger's program. */
export function readUsage(said: RunUsage): Usage {
  const byModel = typeof said.byModel === 'object' && said.byModel !== null ? said.byModel : {};
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
    tokensUsed: countOf(said.tokensUsed),
    costUsd: isCost(said.costUsd) ? said.costUsd : null,
    ...(models.length === 0 ? {} : { models }),
  };
}

/** What the agent's own result says goes before what its runner counted. */
export function withResult(used: Usage, result: Readonly<Record<string, unknown>>): Usage {
  return {
    ...used,
    tokensUsed: countOf(result['tokens_used']) ?? used.tokensUsed,
    costUsd: isCost(result['cost_usd']) ? result['cost_usd'] : used.costUsd,
  };
}

const countOf = (value: unknown): number | null => (isCount(value) ? value : null);

export const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

export const isCost = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;
