/** Why a change was refused. A value, never an exception. */
import type { Generation } from '../ids.ts';

export type RefusalCode = 'stale_generation' | 'not_assignee' | 'invalid_state' | 'unknown_task';

export interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  /** The task's generation; null if there is no such task. */
  readonly currentGeneration: Generation | null;
}

export const refuse = (code: RefusalCode, currentGeneration: Generation | null): Refusal => ({ kind: 'refused', code, currentGeneration });
