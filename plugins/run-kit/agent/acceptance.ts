/** Endings that are failures unless the task accepts them as results (`accept` of a submit). */
import { ACCEPTABLE, type Acceptable } from '../../../core/domain/task/task.ts';
import { objectOf } from './parsed-fields.ts';

/** The result for a task that accepts all of `needs`. */
export interface AcceptableEnd {
  readonly needs: readonly Acceptable[];
  readonly output: Readonly<Record<string, unknown>>;
}

/** The stop reason if the program gives it only in prose. */
const STOP_REASONS = { truncated: 'max_tokens', refused: 'refusal' } as const;

/** An answer that the agent did not finish, or a refusal. */
export interface IncompleteAnswer {
  /** Why the answer is incomplete. Undefined: for another reason, which no task can accept. */
  readonly reason: 'truncated' | 'refused' | undefined;
  /** The partial answer, or the text of the refusal. Null: it was lost. */
  readonly text: string | null;
  /** In the program's own terms. */
  readonly stopReason?: string | null | undefined;
  /** Further fields of the result, such as the session id. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** A truncated answer or a refusal. Without any text it is an empty answer as well, and the task must accept both. */
export function incompleteAnswer({ reason, text, stopReason, metadata }: IncompleteAnswer): AcceptableEnd | undefined {
  if (reason === undefined || text === null) return undefined;
  return {
    needs: text.trim() === '' ? [reason, 'empty'] : [reason],
    output: { text, ...metadata, stop_reason: stopReason ?? STOP_REASONS[reason], accepted: reason },
  };
}

/** The program ended successfully without an answer. */
export const emptyAnswer = (metadata: Readonly<Record<string, unknown>> = {}): AcceptableEnd => ({
  needs: ['empty'],
  output: { text: '', ...metadata, accepted: 'empty' },
});

/** The endings that a task accepts. */
export function acceptedEnds(task: Readonly<Record<string, unknown>>): ReadonlySet<Acceptable> {
  const accept = objectOf(task['accept']);
  return new Set(ACCEPTABLE.filter((end) => accept[end] === true));
}
