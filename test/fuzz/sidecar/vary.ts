/** Cheap variations of values that were generated at the start: millions of them cost less than what reads them. */
import fc from 'fast-check';
import type { TSchema } from 'typebox';
import type { Chooser } from '../hostile/choose.ts';
import { awkward, fitting, oneWrong, structured } from '../hostile/from-schema.ts';

/** Values of an entry point: small ones, which nearly all are, and those whose size or structure is the attack. */
export interface Pool<T> {
  readonly small: readonly T[];
  readonly big: readonly T[];
}

/** A value whose JSON is longer is a big one, in characters. */
const SMALL_CHARACTERS = 4_096;
/** One in this many values is a big one. */
const BIG_ONE_IN = 1_000;
/** How deep a variation goes into a value. */
const DEPTH = 4;

export function pooled<T>(values: readonly T[]): Pool<T> {
  const sizeOf = (value: T): number => (typeof value === 'string' ? value.length : (JSON.stringify(value) ?? '').length);
  const isSmall = (value: T): boolean => sizeOf(value) <= SMALL_CHARACTERS;
  return { small: values.filter(isSmall), big: values.filter((value) => !isSmall(value)) };
}

export const pick = <T>({ small, big }: Pool<T>, choose: Chooser): T =>
  choose.of(big.length > 0 && (small.length === 0 || choose.oneIn(BIG_ONE_IN)) ? big : small);

/** Replacement values. */
export const oddValues = (count: number, seed: number): Pool<unknown> =>
  pooled(fc.sample(fc.oneof(awkward, structured), { numRuns: count, seed }));

/** Valid values of these schemas, and values with one error. */
export const fromSchemas = (schemas: readonly TSchema[], count: number, seed: number): readonly unknown[] =>
  schemas.flatMap((schema, n) =>
    fc.sample(fc.oneof(fitting(schema), oneWrong(schema)), { numRuns: Math.ceil(count / schemas.length), seed: seed + n }),
  );

/** A copy of a JSON value with something odd in one place. */
export function varied(value: unknown, odd: Pool<unknown>, choose: Chooser, depth = DEPTH): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return pick(odd, choose);
  const keys = Object.keys(value);
  if (keys.length === 0) return pick(odd, choose);
  const key = choose.of(keys);
  if (Array.isArray(value)) return value.with(Number(key), varied(value[Number(key)], odd, choose, depth - 1));
  const fields = value as Readonly<Record<string, unknown>>;
  return { ...fields, [key]: choose.oneIn(3) ? pick(odd, choose) : varied(fields[key], odd, choose, depth - 1) };
}

/** A text that was cut, or damaged in one place. */
export function hurt(text: string, choose: Chooser): string {
  const place = choose.below(text.length + 1);
  if (choose.oneIn(4)) return text.slice(0, place);
  return `${text.slice(0, place)}${String.fromCharCode(choose.below(choose.oneIn(3) ? 65_536 : 128))}${text.slice(place + 1)}`;
}
