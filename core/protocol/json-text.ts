/** Which JSON values can be stored, and one canonical text for equal values. */
import type { FieldError } from './field-errors.ts';
import { excessText, findExcess, JSON_DEPTH_MAX } from './json-bounds.ts';

/** U+0000, which databases and arguments of programs refuse, and lone surrogates, which are not characters. */
const UNFIT_TEXT = /[\u0000\p{Surrogate}]/u;

export const isFitText = (text: string): boolean => !UNFIT_TEXT.test(text);

/** What a text must have for one of its values to be unfit: an escape in a string, or an exponent or sixteen digits in a number. */
const MAY_BE_UNFIT = /\\u|\d[eE]|\d{16}/;

/**
 * The first thing in a parsed JSON value that cannot be stored unchanged; null if there is none: text that is unfit, a
 * number that JSON.parse has rounded (an integer beyond 2^53, or beyond all numbers), nesting over `depthMax`,
 * more values than a body may hold. `text`: what the value was parsed from, as decoded from UTF-8; most texts can have nothing unfit.
 */
export function findUnstorable(value: unknown, text: string | null = null, depthMax: number = JSON_DEPTH_MAX): FieldError | null {
  const excess = findExcess(value, depthMax);
  if (excess !== null) return { field: '', error: excess, detail: excessText(excess, depthMax) };
  return text === null || MAY_BE_UNFIT.test(text) ? unfitIn(value, '') : null;
}

function unfitIn(value: unknown, path: string): FieldError | null {
  if (typeof value === 'string') {
    return isFitText(value) ? null : { field: path, error: 'text', detail: 'must not contain U+0000 or a lone surrogate' };
  }
  if (typeof value === 'number') {
    const isKept = Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
    return isKept ? null : { field: path, error: 'number', detail: 'cannot be stored exactly; send a number of this size as a string' };
  }
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    if (!isFitText(key)) return { field: path, error: 'text', detail: 'has a name with U+0000 or a lone surrogate' };
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
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  let text = '';
  for (const name of sortedNames(value)) {
    const member = `${JSON.stringify(name)}:${canonicalJson((value as Record<string, unknown>)[name])}`;
    text = text === '' ? member : `${text},${member}`;
  }
  return `{${text}}`;
}

/** Most have few, and many are in order. */
function sortedNames(value: object): readonly string[] {
  const names = Object.keys(value);
  for (let at = 1; at < names.length; at += 1) if ((names[at - 1] as string) > (names[at] as string)) return names.sort();
  return names;
}
