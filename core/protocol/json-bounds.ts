/**
 * Bounds of parsed JSON that comes from outside: how deep it nests and how many values it holds. Bytes are bounded where
 * they arrive; these bound the work and the stack of everything that walks the value later.
 */

/** Nesting of objects and arrays in a frame, a body or a result. */
export const JSON_DEPTH_MAX = 32;
/** Members of objects and elements of arrays together, in one frame or body: about 10 bytes each in a frame of 1 MiB. */
export const JSON_VALUES_MAX = 100_000;

export type Excess = 'depth' | 'values';

/** Which bound a parsed value exceeds; null for none. The work and the stack of the check are bounded by the same numbers. */
export function findExcess(value: unknown, depthMax: number = JSON_DEPTH_MAX, valuesMax: number = JSON_VALUES_MAX): Excess | null {
  const left = { values: valuesMax };
  return typeof value === 'object' && value !== null ? excessIn(value, depthMax, left) : null;
}

function excessIn(value: object, depthLeft: number, left: { values: number }): Excess | null {
  if (depthLeft === 0) return 'depth';
  const inners: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  left.values -= inners.length;
  if (left.values < 0) return 'values';
  for (const inner of inners) {
    if (typeof inner !== 'object' || inner === null) continue;
    const found = excessIn(inner, depthLeft - 1, left);
    if (found !== null) return found;
  }
  return null;
}

/** What an error says of it, after the name of the field or of the whole. */
export const excessText = (excess: Excess, depthMax: number = JSON_DEPTH_MAX, valuesMax: number = JSON_VALUES_MAX): string =>
  excess === 'depth' ? `must not be nested more than ${depthMax} deep` : `must not hold more than ${valuesMax} values`;
