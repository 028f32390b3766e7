/** For agents that print one JSON object per line, as most can. */
import { hasTooManyMembers } from '../../../core/domain/json-members.ts';
import type { LineParser, ParsedEvent } from './follow-output.ts';

/** A parsed JSON object of unknown shape. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Parses lines that are JSON objects and skips all others: warnings of libraries, messages for people, a last line
 * truncated by a kill.
 */
export const jsonLines =
  (onLine: (object: JsonObject) => ParsedEvent | readonly ParsedEvent[] | undefined): LineParser =>
  (line) => {
    const object = objectIn(line);
    return object === null ? undefined : onLine(object);
  };

/** The same set as in `lineSplitter`, so that both agree on what is an object. Includes a byte order mark. */
const BLANKS_BEFORE = /^[\t\v\f\r \ufeff]+/;

/**
 * The object on a line of JSON; null for any other line, and for an object with more members than a result may have.
 */
export function objectIn(line: string): JsonObject | null {
  const text = line.replace(BLANKS_BEFORE, '');
  if (!text.startsWith('{') || hasTooManyMembers(text)) return null;
  try {
    return JSON.parse(text) as JsonObject;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
