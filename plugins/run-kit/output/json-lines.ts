/** For agents that print JSON, an object a line, as most of them can. */
import { hasTooManyMembers } from '../../../core/domain/json-members.ts';
import type { Hear, SaidEvent } from './follow-output.ts';

/** What a line of JSON holds; nothing is known of it. */
export type SaidObject = Readonly<Record<string, unknown>>;

/**
 * Hears the lines that are JSON objects, and passes over all others: warnings of libraries, words for people, a last line
 * that was cut off when the program was killed.
 */
export const jsonLines =
  (hear: (said: SaidObject) => SaidEvent | readonly SaidEvent[] | undefined): Hear =>
  (line) => {
    const said = objectIn(line);
    return said === null ? undefined : hear(said);
  };

/** As `lineSplitter` knows them: what it leaves out as an object is one here. A byte order mark counts, too. */
const BLANKS_BEFORE = /^[\t\v\f\r \ufeff]+/;

/** The object that a line of JSON holds; null for any other line, and for one with more members than a result may have. */
export function objectIn(line: string): SaidObject | null {
  const text = line.replace(BLANKS_BEFORE, '');
  if (!text.startsWith('{') || hasTooManyMembers(text)) return null;
  try {
    return JSON.parse(text) as SaidObject;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
