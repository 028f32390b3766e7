/**
 * Postgres' text cannot contain U+0000, and its JSON functions refuse `\u0000` and lone surrogates anywhere. Parameters of a statement are
 * therefore made plain first, and texts that come back are restored.
 *
 * U+0001 begins an escape: `U+0001 0` stands for U+0000, `U+0001 1` for U+0001 itself. Hardly any text contains either, and equal texts
 * stay equal. The JSON texts in columns contain neither: JSON escapes both.
 */
import type { Row } from '../engine.ts';

/** A parameter as JSON text. In a list of objects, values that are objects (`state`, `body`) become JSON text too. */
export function parameterText(parameter: unknown): string {
  if (!Array.isArray(parameter)) return JSON.stringify(plain(parameter));
  return JSON.stringify(
    parameter.map((element: unknown) => {
      if (!isObject(element)) return plain(element);
      return columnsOf(element);
    }),
  );
}

/** A row as it was saved. */
export function rowOf(row: Row): Row {
  for (const value of Object.values(row)) {
    if (typeof value === 'string' && value.includes('\u0001'))
      return Object.fromEntries(Object.entries(row).map(([name, found]) => [name, typeof found === 'string' ? original(found) : found]));
  }
  return row;
}

function columnsOf(element: object): Readonly<Record<string, unknown>> {
  const columns: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(element) as [string, unknown][])
    columns[name] = isObject(value) ? JSON.stringify(value) : plain(value);
  return columns;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** A text that Postgres can store. A lone surrogate becomes U+FFFD. */
export const plainText = (text: string): string =>
  NOT_PLAIN.test(text) ? text.replace(/\p{Surrogate}/gu, '\ufffd').replace(/[\u0000\u0001]/g, (found) => (found === '\u0000' ? '\u00010' : '\u00011')) : text; // prettier-ignore
const NOT_PLAIN = /[\u0000\u0001]|\p{Surrogate}/u;

const plain = (value: unknown): unknown => (typeof value === 'string' ? plainText(value) : value);

const original = (text: string): string => text.replace(/\u0001([01])/g, (_, which: string) => (which === '0' ? '\u0000' : '\u0001'));
