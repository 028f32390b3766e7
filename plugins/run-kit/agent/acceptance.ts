/** Ends that are a failure, unless the task says that they count as its result: `accept` of a submit. */
import { ACCEPTABLE, type Acceptable } from '../../../core/domain/task/task.ts';
import { objectOf } from './parsed-fields.ts';

/** What the task gets where it takes all that the end is. */
export interface AcceptableEnd {
  readonly needs: readonly Acceptable[];
  readonly output: Readonly<Record<string, unknown>>;
}

/** Where the program says only in words why its model stopped. */
const STOP_REASONS = { truncated: 'max_tokens', refused: 'refusal' } as const;

export interface ShortAnswer {
  /** Undefined: the end is a failure for every task. */
  readonly as: 'truncated' | 'refused' | undefined;
  /** What there is of the answer, or the words of the refusal. Null: what there was of it is lost. */
  readonly text: string | null;
  /** As the program calls it. */
  readonly stopReason?: string | null | undefined;
  readonly about?: Readonly<Record<string, unknown>> | undefined;
}

/** An answer that was cut off, or a refusal. Of which there is not a word is empty, too. */
export function shortAnswer({ as, text, stopReason, about }: ShortAnswer): AcceptableEnd | undefined {
  if (as === undefined || text === null) return undefined;
  return {
    needs: text.trim() === '' ? [as, 'empty'] : [as],
    output: { text, ...about, stop_reason: stopReason ?? STOP_REASONS[as], accepted: as },
  };
}

/** It ended well, and said nothing. */
export const emptyAnswer = (about: Readonly<Record<string, unknown>> = {}): AcceptableEnd => ({
  needs: ['empty'],
  output: { text: '', ...about, accepted: 'empty' },
});

/** What a task takes. */
export function acceptedBy(task: Readonly<Record<string, unknown>>): ReadonlySet<Acceptable> {
  const accept = objectOf(task['accept']);
  return new Set(ACCEPTABLE.filter((end) => accept[end] === true));
}
