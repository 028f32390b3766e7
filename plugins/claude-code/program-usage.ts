/** What a run of Claude Code has used: as its messages tell while it works, and as its result tells at the end. */
import {
  amountOf,
  countOf,
  objectOf,
  textOf,
  usageByModel,
  withModelUsage,
  type ModelUsage,
  type RunUsage,
  type SaidObject,
} from '../plugin.ts';

interface ToldMessage {
  readonly id: string | null;
  readonly model: string;
  readonly usage: ModelUsage;
}

export interface UsedSoFar {
  /** By messages that nothing more is told of, by model. */
  readonly earlier: Readonly<Record<string, ModelUsage>>;
  /** The last messages, oldest first: one with several parts is told several times, and agents below it talk in between. */
  readonly messages: readonly ToldMessage[];
}

export const NOTHING_USED: UsedSoFar = { earlier: {}, messages: [] };

/** Messages that may still be told of again. */
const OPEN_MESSAGES_MAX = 16;
/** A longer id is none. */
const ID_CHARACTERS_MAX = 256;

/** A message counts once, as it was told of last. */
export function withMessage({ earlier, messages }: UsedSoFar, said: SaidObject): UsedSoFar {
  const name = textOf(said['id']);
  const id = name !== null && name.length > ID_CHARACTERS_MAX ? null : name;
  const told: ToldMessage = { id, model: textOf(said['model']) ?? 'unknown', usage: usageOfMessage(objectOf(said['usage'])) };
  const open = [...messages.filter((message) => message.id !== id), told];
  const [oldest] = open;
  if (oldest === undefined || open.length <= OPEN_MESSAGES_MAX) return { earlier, messages: open };
  return { earlier: added(earlier, oldest), messages: open.slice(1) };
}

/** Of the messages so far, their outputs as far as they had come. */
export const usageSoFar = ({ earlier, messages }: UsedSoFar): RunUsage => usageByModel(messages.reduce(added, earlier));

const added = (byModel: UsedSoFar['earlier'], { model, usage }: ToldMessage): UsedSoFar['earlier'] => withModelUsage(byModel, model, usage);

/** Of each model, as the results of a run tell it. */
export type UsageOfModels = Readonly<Record<string, ModelUsage>>;

/**
 * By the results of this run so far, this one included: one that goes on by itself ends each turn with one, and each tells of what came since
 * the one before. `modelUsage` and `total_cost_usd` are of the whole session, earlier runs included.
 */
export function withResult(before: UsageOfModels, result: SaidObject): UsageOfModels {
  const since = Object.entries(objectOf(result['model_usage_since_last_result']));
  return since.reduce((byModel, [model, usage]) => withModelUsage(byModel, model, usageOfModel(objectOf(usage))), before);
}

const usageOfModel = (usage: SaidObject): ModelUsage => ({
  inputTokens: countOf(usage['inputTokens']) + countOf(usage['cacheReadInputTokens']) + countOf(usage['cacheCreationInputTokens']),
  cachedInputTokens: countOf(usage['cacheReadInputTokens']),
  outputTokens: countOf(usage['outputTokens']),
  costUsd: amountOf(usage['costUSD']),
});

const usageOfMessage = (usage: SaidObject): ModelUsage => ({
  inputTokens: countOf(usage['input_tokens']) + countOf(usage['cache_read_input_tokens']) + countOf(usage['cache_creation_input_tokens']),
  cachedInputTokens: countOf(usage['cache_read_input_tokens']),
  outputTokens: countOf(usage['output_tokens']),
});
