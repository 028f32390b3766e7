/** Describes a value in a message without revealing secrets. */

/** Texts of the config are shown up to this many characters. */
const SHOWN_CHARACTERS = 60;

/** A value for a message: its kind, and for plain values the value itself, without passwords in addresses. */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    const shown = withoutCredentials(value);
    return JSON.stringify(shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown);
  }
  if (typeof value === 'function') return 'a function (call it)';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length} items`;
  if (value instanceof Promise) return 'a promise (await it)';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

/** A secret for a message: none of its characters. */
export function describeHidden(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} ${value.length === 1 ? 'character' : 'characters'}`;
  return Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`;
}

/** The parts of an address before `@` and after `?` may be secret. */
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/\s]*@/g, '//…@').replace(/^([a-z]+:\/\/[^?]*)\?.*$/is, '$1?…');
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Promise);
