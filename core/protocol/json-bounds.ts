/**
 * Bounds of parsed JSON that comes from outside: how deep it nests and how many values it holds. Bytes are bounded where
 * they arrive; these bound the work and the stack of everything that walks the value later.
 */

/** Nesting of objects and arrays in a frame, a body or a result. */
export const JSON_DEPTH_MAX = 32;
/** Elements of arrays and members of objects together, in one frame or body: about 10 bytes each in a frame of 1 MiB. */
export const JSON_VALUES_MAX = 100_000;
/** A member of an object counts as so many: its name takes longer to parse than any element of an array. */
export const VALUES_PER_MEMBER = 5;
/** Members of objects that no value within the bounds can have more of. */
const MEMBERS_MAX = JSON_VALUES_MAX / VALUES_PER_MEMBER;
/** Text of this length can have more: a name, a colon, a value and a comma. Characters. */
const MEMBERS_TEXT_MIN = MEMBERS_MAX * 5;

export type Excess = 'depth' | 'values';

/** Which bound a parsed value exceeds; null for none. The work and the stack of the check are bounded by the same numbers. */
export function findExcess(value: unknown, depthMax: number = JSON_DEPTH_MAX, valuesMax: number = JSON_VALUES_MAX): Excess | null {
  const left = { values: valuesMax };
  return typeof value === 'object' && value !== null ? excessIn(value, depthMax, left) : null;
}

function excessIn(value: object, depthLeft: number, left: { values: number }): Excess | null {
  if (depthLeft === 0) return 'depth';
  const isArray = Array.isArray(value);
  const inners: readonly unknown[] = isArray ? value : Object.values(value);
  left.values -= isArray ? inners.length : inners.length * VALUES_PER_MEMBER;
  if (left.values < 0) return 'values';
  for (const inner of inners) {
    if (typeof inner !== 'object' || inner === null) continue;
    const found = excessIn(inner, depthLeft - 1, left);
    if (found !== null) return found;
  }
  return null;
}

/**
 * Whether JSON text has more members than a value within the bounds can have. To parse an object of many names takes far longer
 * than to count them. Of text that is no JSON the answer means nothing.
 */
export function hasTooManyMembers(text: string): boolean {
  return text.length >= MEMBERS_TEXT_MIN && hasMoreOf(':', text, MEMBERS_MAX);
}

/** Whether more than `most` such characters stand in JSON text outside of its strings. */
export function hasMoreOf(character: ':' | ',', text: string, most: number): boolean {
  const wanted = character.charCodeAt(0);
  let found = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) at = endOfString(text, at);
    else if (unit === wanted && (found += 1) > most) return true;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Where the string that begins at this quote ends. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** What an error says of it, after the name of the field or of the whole. */
export const excessText = (excess: Excess, depthMax: number = JSON_DEPTH_MAX, valuesMax: number = JSON_VALUES_MAX): string =>
  excess === 'depth'
    ? `must not be nested more than ${depthMax} deep`
    : `must not hold more than ${valuesMax} values; a member of an object counts as ${VALUES_PER_MEMBER}`;
