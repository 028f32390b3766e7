/** Cheap seeded choices: millions are made. */
import { seededRandom } from '../../product/twins/ids-seeded/seeded-random.ts';

export interface Chooser {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number;
  /** True once in so many. */
  oneIn(many: number): boolean;
  of<T>(list: readonly T[]): T;
  /** A loopback address other than the one that honest clients have. */
  address(): string;
}

export function chooser(seed: string): Chooser {
  const bits = seededRandom(seed);
  const below = (limit: number): number => bits() % limit;
  return {
    below,
    oneIn: (many) => below(many) === 0,
    of: (list) => list[below(list.length)] as (typeof list)[number],
    address: () => `127.${1 + below(254)}.${below(256)}.${1 + below(254)}`,
  };
}
