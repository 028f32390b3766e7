/** Which JSON values can be stored, and one canonical text for equal values. */
import type { FieldError } from './field-errors.ts';
import { excessText, findExcess, JSON_DEPTH_MAX } from './json-bounds.ts';

/** U+0000, which databases and program arguments do not allow, and lone surrogates, which are not characters. */
const UNSTORABLE_TEXT = /[\u0000\p{Surrogate}]/u;

export const isStorableText = (text: string): boolean => !UNSTORABLE_TEXT.test(text);

/** What JSON text must contain for one of its strings to be unfit. */
const ESCAPE = '\\u';

/**
 * The first thing in a parsed JSON value that cannot be stored unchanged; null if there is none: text that is unfit, a
 * number that JSON.parse has rounded (an integer beyond 2^53, or a number too large to represent), nesting over `depthMax`,
 * more values than a body may hold. `text`: what the value was parsed from, as decoded from UTF-8; most texts show that nothing is unfit.
 */
export function findUnstorable(value: unknown, text: string | null = null, depthMax: number = JSON_DEPTH_MAX): FieldError | null {
  const excess = findExcess(value, depthMax);
  if (excess !== null) return { field: '', error: excess, detail: excessText(excess, depthMax) };
  const mayBeUnfit = text === null || text.includes(ESCAPE) || hasUnfitNumber(value);
  return mayBeUnfit ? unfitIn(value, '') : null;
}

/** Whether JSON.parse cannot have rounded it. */
const isKept = (number: number): boolean => (Number.isInteger(number) ? Number.isSafeInteger(number) : Number.isFinite(number));

/** Whether `unfitIn` would find a number. That one builds the path of every value it visits, which costs more than everything else here. */
function hasUnfitNumber(value: unknown): boolean {
  if (typeof value === 'number') return !isKept(value);
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(hasUnfitNumber);
  // Faster than a list of the values, which would cost more than everything else here.
  for (const name in value) if (hasUnfitNumber((value as Readonly<Record<string, unknown>>)[name])) return true;
  return false;
}

function unfitIn(value: unknown, path: string): FieldError | null {
  if (typeof value === 'string') {
    return isStorableText(value) ? null : { field: path, error: 'text', detail: 'must not contain U+0000 or a lone surrogate' };
  }
  if (typeof value === 'number') {
    return isKept(value)
      ? null
      : { field: path, error: 'number', detail: 'cannot be stored exactly; send a number of this size as a string' };
  }
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    if (!isStorableText(key)) return { field: path, error: 'text', detail: 'has a name with U+0000 or a lone surrogate' };
    const found = unfitIn(inner, path === '' ? key : `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}

/**
 * JSON with the members of every object sorted by name, so that equal bodies have the same text. Duplicate names and the
 * form of numbers are as JSON.parse leaves them. `value` is a parsed value of bounded depth.
 */
export function canonicalJson(value: unknown): string {
  const copy = sorted(value);
  return copy === UNSORTABLE ? written(value) : JSON.stringify(copy);
}

function written(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`;
  const object = value as Readonly<Record<string, unknown>>;
  const members = sortedNames(object).map((name) => `${JSON.stringify(name)}:${written(object[name])}`);
  return `{${members.join(',')}}`;
}

/** Represents a value with an object that cannot keep its names in order. */
const UNSORTABLE = Symbol('unsortable');

/** A copy with the members of every object sorted by name, because V8 serializes that in a third of the time of its single members. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const copies = value.map(sorted);
    return copies.includes(UNSORTABLE) ? UNSORTABLE : copies;
  }
  const copy: Record<string, unknown> = {};
  for (const name of sortedNames(value)) {
    const member = keepsOrder(name) ? sorted((value as Readonly<Record<string, unknown>>)[name]) : UNSORTABLE;
    if (member === UNSORTABLE) return UNSORTABLE;
    copy[name] = member;
  }
  return copy;
}

/** An object lists names that are whole numbers before all others, and `__proto__` sets its prototype. */
const keepsOrder = (name: string): boolean => !(name >= '0' && name < ':') && name !== '__proto__';

/** Up to this many names are sorted here: for five, V8's sort costs as much as everything else that is done with their object. */
const FEW_NAMES = 16;

function sortedNames(value: object): readonly string[] {
  const names = Object.keys(value);
  if (names.length > FEW_NAMES) return names.sort();
  for (let at = 1; at < names.length; at += 1) {
    const name = names[at] as string;
    let to = at;
    for (; to > 0 && (names[to - 1] as string) > name; to -= 1) names[to] = names[to - 1] as string;
    names[to] = name;
  }
  return names;
}
