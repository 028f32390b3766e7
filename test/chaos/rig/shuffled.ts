import type { RandomBits } from '../../product/twins/ids-seeded/seeded-random.ts';

/** The same values, in an order that only the seed determines. */
export function shuffled<T>(values: readonly T[], random: RandomBits): readonly T[] {
  const left = [...values];
  return values.map(() => left.splice(random() % left.length, 1)[0] as T);
}
