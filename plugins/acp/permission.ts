/** What is answered when an agent asks whether it may use a tool. Options are chosen by kind: their ids differ from agent to agent. */
import { itemsOf, objectOf, textOf, type SaidObject } from '../plugin.ts';
import type { AcpOptions } from './options.ts';

export type PermissionPolicy = Pick<AcpOptions, 'onPermission' | 'allowTools' | 'denyTools'>;

export interface PermissionAnswer {
  readonly isAllowed: boolean;
  /** Null: there is no option that says so, and the question itself is called off. */
  readonly optionId: string | null;
  /** What it asked for, in words. */
  readonly tool: string;
}

/** `params` are those of `session/request_permission`. Never chooses an option that stands for more than this one use. */
export function answerOf(
  { onPermission = 'reject', allowTools = [], denyTools = [] }: PermissionPolicy,
  params: SaidObject,
): PermissionAnswer {
  const toolCall = objectOf(params['toolCall']);
  const kind = textOf(toolCall['kind']) ?? 'other';
  const tool = textOf(toolCall['title']) ?? textOf(toolCall['name']) ?? 'a tool';
  const includes = (kinds: readonly string[]): boolean => kinds.includes(kind);
  const isWanted = !includes(denyTools) && (onPermission === 'allow-once' || includes(allowTools));
  const allow = isWanted ? optionOf(params, ['allow_once']) : null;
  return { isAllowed: allow !== null, optionId: allow ?? optionOf(params, ['reject_once', 'reject_always']), tool };
}

function optionOf(params: SaidObject, kinds: readonly string[]): string | null {
  const options = itemsOf(params['options']).map(objectOf);
  const found = kinds.flatMap((kind) => options.filter((option) => option['kind'] === kind))[0];
  return textOf(found?.['optionId']);
}
