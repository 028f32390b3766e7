/** Usage of a Claude Code run: from its messages during the run, and from its result at the end. */
import {
  amountOf,
  countOf,
  objectOf,
  textOf,
  usageByModel,
  withModelUsage,
  type RunModelUsage,
  type RunUsage,
  type JsonObject,
} from '../plugin.ts';

interface ReportedMessage {
  readonly id: string | null;
  readonly model: string;
  readonly usage: RunModelUsage;
}

export interface UsedSoFar {
  /** From messages that are complete, by model. */
  readonly earlier: Readonly<Record<string, RunModelUsage>>;
  /**
   * The last messages, oldest first. A message with several parts is reported several times, with messages of subagents
   * in between.
   */
  readonly messages: readonly ReportedMessage[];
}

export const NOTHING_USED: UsedSoFar = { earlier: {}, messages: [] };

/** How many messages may still be reported again. */
const OPEN_MESSAGES_MAX = 16;
/** Longer ids are ignored. */
const ID_CHARACTERS_MAX = 256;

/** Counts each message once, as last reported. */
export function withMessage({ earlier, messages }: UsedSoFar, json: JsonObject): UsedSoFar {
  const name = textOf(json['id']);
  const id = name !== null && name.length > ID_CHARACTERS_MAX ? null : name;
  const reported: ReportedMessage = { id, model: textOf(json['model']) ?? 'unknown', usage: usageOfMessage(objectOf(json['usage'])) };
  const open = [...messages.filter((message) => message.id !== id), reported];
  const [oldest] = open;
  if (oldest === undefined || open.length <= OPEN_MESSAGES_MAX) return { earlier, messages: open };
  return { earlier: added(earlier, oldest), messages: open.slice(1) };
}

/** Usage of the messages so far, with output tokens as far as they were reported. */
export const usageSoFar = ({ earlier, messages }: UsedSoFar): RunUsage => usageByModel(messages.reduce(added, earlier));

const added = (byModel: UsedSoFar['earlier'], { model, usage }: ReportedMessage): UsedSoFar['earlier'] =>
  withModelUsage(byModel, model, usage);

/** Usage per model, as reported by the results of a run. */
export type UsageOfModels = Readonly<Record<string, RunModelUsage>>;

/**
 * The usage after this result. A run that continues by itself ends each turn with a result, which covers only the usage
 * since the previous one. `modelUsage` and `total_cost_usd` cover the whole session, earlier runs included.
 */
export function withResult(before: UsageOfModels, result: JsonObject): UsageOfModels {
  const since = Object.entries(objectOf(result['model_usage_since_last_result']));
  return since.reduce((byModel, [model, usage]) => withModelUsage(byModel, model, usageOfModel(objectOf(usage))), before);
}

const usageOfModel = (usage: JsonObject): RunModelUsage => ({
  inputTokens: countOf(usage['inputTokens']) + countOf(usage['cacheReadInputTokens']) + countOf(usage['cacheCreationInputTokens']),
  cachedInputTokens: countOf(usage['cacheReadInputTokens']),
  outputTokens: countOf(usage['outputTokens']),
  costUsd: amountOf(usage['costUSD']),
});

const usageOfMessage = (usage: JsonObject): RunModelUsage => ({
  inputTokens: countOf(usage['input_tokens']) + countOf(usage['cache_read_input_tokens']) + countOf(usage['cache_creation_input_tokens']),
  cachedInputTokens: countOf(usage['cache_read_input_tokens']),
  outputTokens: countOf(usage['output_tokens']),
});
