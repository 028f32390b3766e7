/** Ids that are the same for the same seed, for tests and the simulation. */
import type { TaskId } from '../../../../core/domain/ids.ts';
import type { Ids } from '../../../../core/ports/chance.ts';
import { seededRandom } from './seeded-random.ts';

export interface SeededIdsOptions {
  /** Give each hub of one world its own seed, or their ids collide. */
  readonly seed: string;
}

/** `Ids` without ambient randomness. Its secrets are not secret. */
export const seededIds = ({ seed }: SeededIdsOptions): Ids => {
  const random = seededRandom(seed);
  let made = 0;
  const words = (count: number): string => {
    let text = '';
    for (let word = 0; word < count; word += 1) text += random().toString(16).padStart(8, '0');
    return text;
  };

  return {
    task() {
      made += 1;
      return `task-${made.toString(16).padStart(16, '0')}${words(2)}` as TaskId;
    },
    random: (prefix) => `${prefix}-${words(4)}`,
    secret: () => words(8),
    jitter: () => random() / 4_294_967_296,
  };
};
