/** Answers an agent's permission requests. Options are chosen by kind, since their ids differ between agents. */
import { itemsOf, objectOf, textOf, type JsonObject } from '../plugin.ts';
import type { AcpOptions } from './options.ts';

export type PermissionPolicy = Pick<AcpOptions, 'onPermission' | 'allowTools' | 'denyTools'>;

export interface PermissionAnswer {
  readonly isAllowed: boolean;
  /** Null: no option matches, and the request is cancelled. */
  readonly optionId: string | null;
  /** The requested tool, for messages. */
  readonly tool: string;
}

/** `params` are those of `session/request_permission`. Never chooses an option that covers more than this one use. */
export function answerOf(
  { onPermission = 'reject', allowTools = [], denyTools = [] }: PermissionPolicy,
  params: JsonObject,
): PermissionAnswer {
  const toolCall = objectOf(params['toolCall']);
  const kind = textOf(toolCall['kind']) ?? 'other';
  const tool = textOf(toolCall['title']) ?? textOf(toolCall['name']) ?? 'a tool';
  const includes = (kinds: readonly string[]): boolean => kinds.includes(kind);
  const isWanted = !includes(denyTools) && (onPermission === 'allow-once' || includes(allowTools));
  const allow = isWanted ? optionOf(params, ['allow_once']) : null;
  return { isAllowed: allow !== null, optionId: allow ?? optionOf(params, ['reject_once', 'reject_always']), tool };
}

function optionOf(params: JsonObject, kinds: readonly string[]): string | null {
  const options = itemsOf(params['options']).map(objectOf);
  const found = kinds.flatMap((kind) => options.filter((option) => option['kind'] === kind))[0];
  return textOf(found?.['optionId']);
}
