/** The random choices of the simulation: numbers from a seed, in independent named streams. */
import { seededRandom } from '../product/twins/ids-seeded/seeded-random.ts';

const TWO_TO_32 = 4_294_967_296;

export interface Chance {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** True in this share of the cases. */
  is(share: number): boolean;
  /** An element of the list, which must not be empty. */
  pick<T>(list: readonly T[]): T;
  /** Mostly near `low`, sometimes up to `high`: each doubling is as likely as the one before. */
  skewed(low: number, high: number): number;
}

/** The same numbers for the same name. Streams with different names do not affect each other. */
export function chance(name: string): Chance {
  const bits = seededRandom(name);
  const next = (): number => bits() / TWO_TO_32;
  return {
    next,
    between: (low, high) => low + Math.floor(next() * (high - low + 1)),
    is: (share) => next() < share,
    pick: (list) => placed(list, next()),
    skewed: (low, high) => Math.round(low * (high / low) ** next()),
  };
}

/** The element of a list that a number from 0 to 1 points at; the list must not be empty. */
export function placed<T>(list: readonly T[], place: number): T {
  const found = list[Math.min(list.length - 1, Math.floor(place * list.length))];
  if (found === undefined) throw new Error('nothing to choose from');
  return found;
}
