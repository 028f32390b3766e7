/**
 * What an agent writes into its results folder, as text: the result and the progress lines. An agent is a stranger's
 * program, so nothing here is believed before it was looked at, and nothing here throws.
 */
import { wellFormed, wellFormedValue } from '../domain/encoded-text.ts';
import { findExcess, hasMoreOf, hasTooManyMembers, JSON_DEPTH_MAX, JSON_VALUES_MAX } from './json-bounds.ts';
import { isFitText } from './json-text.ts';

/** The largest result file that is read, bytes. */
export const RESULT_FILE_BYTES_MAX = 8_388_608;
/** A longer line of progress is passed over, characters. */
export const PROGRESS_LINE_CHARACTERS_MAX = 16_384;
/** How long a result that does not parse is read again once its run is over, even though it still changes. */
export const RESULT_UNFINISHED_MAX_MS = 30_000;
/** While its agent may be at work on it: how long it must be still to count as invalid, and how long it is read again at most. */
export const RESULT_IN_WORK_STILL_MS = 30_000;
export const RESULT_IN_WORK_MAX_MS = 600_000;

/** Since when a result does not parse. Times are monotonic. */
export interface Unfinished {
  /** As it is now. */
  readonly sinceMs: number;
  /** At all. */
  readonly firstMs: number;
}

/** How long it may still become one; null of `overSinceMs`: its agent may be at work on it. `stillMs`: what it must be still once that is over. */
export function unfinishedLeftMs({ sinceMs, firstMs }: Unfinished, overSinceMs: number | null, stillMs: number, nowMs: number): number {
  if (overSinceMs === null) return Math.min(sinceMs + Math.max(stillMs, RESULT_IN_WORK_STILL_MS), firstMs + RESULT_IN_WORK_MAX_MS) - nowMs;
  return Math.min(sinceMs + stillMs, Math.max(firstMs, overSinceMs) + RESULT_UNFINISHED_MAX_MS) - nowMs;
}

/** Members and elements of a result: parsing and walking a million of them takes seconds, in which nothing else is done. */
export const RESULT_VALUES_MAX = JSON_VALUES_MAX;
const TOO_MANY_VALUES = `holds more than ${RESULT_VALUES_MAX} values (a member of an object counts as five); write so many into a file of your own and report where it is`;
/** A result stands inside a frame (and there inside a field), whose depth is bounded. */
const RESULT_DEPTH_MAX = JSON_DEPTH_MAX - 2;

export type ReadResult =
  /** `replaced`: characters that cannot be sent or stored became U+FFFD. All words are kept as the agent gave them. */
  | { readonly kind: 'object'; readonly value: Readonly<Record<string, unknown>>; readonly replaced: boolean }
  /** Not, or not yet, a JSON object. `why` completes the sentence "The result …". */
  | { readonly kind: 'unreadable'; readonly why: string };

/** Reads the text of a result file. */
export function readResult(text: string): ReadResult {
  // A comma stands before each value but the first: that there are so many is known without parsing it.
  if (hasMoreOf(',', text, RESULT_VALUES_MAX) || hasTooManyMembers(text)) return { kind: 'unreadable', why: TOO_MANY_VALUES };
  const parsed = parseJson(text);
  if (parsed === null) return { kind: 'unreadable', why: text.trim() === '' ? 'is empty' : 'is not JSON' };
  if (!isObject(parsed.value)) return { kind: 'unreadable', why: `is JSON, but ${kindOf(parsed.value)} where an object is wanted` };
  const excess = findExcess(parsed.value, RESULT_DEPTH_MAX, RESULT_VALUES_MAX);
  if (excess === 'values') return { kind: 'unreadable', why: TOO_MANY_VALUES };
  if (excess !== null) return { kind: 'unreadable', why: `is nested more than ${RESULT_DEPTH_MAX} deep` };
  if (isFit(parsed.value)) return { kind: 'object', value: parsed.value, replaced: false };
  return { kind: 'object', value: wellFormedValue(parsed.value) as Readonly<Record<string, unknown>>, replaced: true };
}

export interface ReadProgress {
  /** 0 to 100. */
  readonly percent: number | null;
  readonly message: string | null;
  readonly tokensUsed: number | null;
}

/** Reads one line of a progress file; null when it says nothing that we know. */
export function readProgress(line: string): ReadProgress | null {
  if (line.length > PROGRESS_LINE_CHARACTERS_MAX) return null;
  const value = parseJson(line)?.value;
  if (!isObject(value)) return null;
  const percent = value['percent'];
  const message = value['message'];
  const tokensUsed = value['tokens_used'];
  const progress: ReadProgress = {
    percent: typeof percent === 'number' && percent >= 0 && percent <= 100 ? percent : null,
    message: typeof message === 'string' ? wellFormed(message) : null,
    tokensUsed: typeof tokensUsed === 'number' && Number.isSafeInteger(tokensUsed) && tokensUsed >= 0 ? tokensUsed : null,
  };
  return progress.percent === null && progress.message === null && progress.tokensUsed === null ? null : progress;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`);

/** Null when it does not parse. Some programs put a byte order mark first. */
function parseJson(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text) as unknown };
  } catch {
    return null; // half written, or no JSON: an expected answer, told as a value
  }
}

/** Whether every text in a value of bounded depth, names of fields too, can be sent and stored as it is. */
function isFit(value: unknown): boolean {
  if (typeof value === 'string') return isFitText(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, inner]) => isFitText(name) && isFit(inner));
}
