/**
 * Bounds of parsed JSON that comes from outside: how deep it nests and how many values it holds. Bytes are bounded where
 * they arrive; these bound the work and the stack of everything that walks the value later.
 */
import { JSON_VALUES_MAX, VALUES_PER_MEMBER } from '../domain/json-members.ts';

export { hasMoreOf, hasTooManyMembers, JSON_VALUES_MAX, VALUES_PER_MEMBER } from '../domain/json-members.ts';

/** Nesting of objects and arrays in a frame, a body or a result. */
export const JSON_DEPTH_MAX = 32;

export type Excess = 'depth' | 'values';

/** Which bound a parsed value exceeds; null for none. The work and the stack of the check are bounded by the same numbers. */
export function findExcess(value: unknown, depthMax: number = JSON_DEPTH_MAX, valuesMax: number = JSON_VALUES_MAX): Excess | null {
  const left = { values: valuesMax };
  return typeof value === 'object' && value !== null ? excessIn(value, depthMax, left) : null;
}

function excessIn(value: object, depthLeft: number, left: { values: number }): Excess | null {
  if (depthLeft === 0) return 'depth';
  if (Array.isArray(value)) left.values -= value.length;
  else for (const _ in value) left.values -= VALUES_PER_MEMBER;
  if (left.values < 0) return 'values';
  if (!Array.isArray(value)) {
    // Runs for each frame and body: V8 iterates over names several times as fast as it builds a list of values.
    for (const name in value) {
      const found = excessOf((value as Readonly<Record<string, unknown>>)[name], depthLeft, left);
      if (found !== null) return found;
    }
    return null;
  }
  for (const inner of value as readonly unknown[]) {
    const found = excessOf(inner, depthLeft, left);
    if (found !== null) return found;
  }
  return null;
}

const excessOf = (inner: unknown, depthLeft: number, left: { values: number }): Excess | null =>
  typeof inner === 'object' && inner !== null ? excessIn(inner, depthLeft - 1, left) : null;

/** The text of the error, to follow the name of the field or of the whole value. */
export const excessText = (excess: Excess, depthMax: number = JSON_DEPTH_MAX, valuesMax: number = JSON_VALUES_MAX): string =>
  excess === 'depth'
    ? `must not be nested more than ${depthMax} deep`
    : `must not hold more than ${valuesMax} values; a member of an object counts as ${VALUES_PER_MEMBER}`;
