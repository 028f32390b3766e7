/** Ends that are failures unless the task accepts them as results (`accept` of a submit). */
import { ACCEPTABLE, type Acceptable } from '../../../core/domain/task/task.ts';
import { objectOf } from './parsed-fields.ts';

/** The result for a task that accepts all of `needs`. */
export interface AcceptableEnd {
  readonly needs: readonly Acceptable[];
  readonly output: Readonly<Record<string, unknown>>;
}

/** The stop reason if the program gives it only in prose. */
const STOP_REASONS = { truncated: 'max_tokens', refused: 'refusal' } as const;

export interface IncompleteAnswer {
  /** Undefined: a failure for every task. */
  readonly as: 'truncated' | 'refused' | undefined;
  /** The partial answer, or the text of the refusal. Null: it was lost. */
  readonly text: string | null;
  /** In the program's own terms. */
  readonly stopReason?: string | null | undefined;
  readonly about?: Readonly<Record<string, unknown>> | undefined;
}

/** A truncated answer or a refusal. If it has no text at all, it is empty too. */
export function incompleteAnswer({ as, text, stopReason, about }: IncompleteAnswer): AcceptableEnd | undefined {
  if (as === undefined || text === null) return undefined;
  return {
    needs: text.trim() === '' ? [as, 'empty'] : [as],
    output: { text, ...about, stop_reason: stopReason ?? STOP_REASONS[as], accepted: as },
  };
}

/** It ended successfully without an answer. */
export const emptyAnswer = (about: Readonly<Record<string, unknown>> = {}): AcceptableEnd => ({
  needs: ['empty'],
  output: { text: '', ...about, accepted: 'empty' },
});

/** The ends that a task accepts. */
export function acceptedEnds(task: Readonly<Record<string, unknown>>): ReadonlySet<Acceptable> {
  const accept = objectOf(task['accept']);
  return new Set(ACCEPTABLE.filter((end) => accept[end] === true));
}
