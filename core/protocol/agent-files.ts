/**
 * Reads what an agent writes into its results folder: the result and the progress lines. An agent is an untrusted program, so
 * everything is validated, and nothing here throws.
 */
import { wellFormed, wellFormedValue } from '../domain/encoded-text.ts';
import { findExcess, hasMoreOf, hasTooManyMembers, JSON_DEPTH_MAX, JSON_VALUES_MAX } from './json-bounds.ts';
import { isStorableText } from './json-text.ts';

/** The largest result file that is read, bytes. */
export const RESULT_FILE_BYTES_MAX = 8_388_608;
/** A longer line of progress is skipped, characters. */
export const PROGRESS_LINE_CHARACTERS_MAX = 16_384;
/** How long a result that does not parse is reread after its run has ended, even if it keeps changing. */
const RESULT_UNFINISHED_MAX_MS = 30_000;
/** While its agent may still be writing it: how long it must be unchanged to count as invalid, and how long it is reread at most. */
const RESULT_IN_WORK_STILL_MS = 30_000;
const RESULT_IN_WORK_MAX_MS = 600_000;

/** Since when a result does not parse. Times are monotonic. */
export interface Unfinished {
  /** With its current content. */
  readonly sinceMs: number;
  /** With any content. */
  readonly firstMs: number;
}

/**
 * How much time it has left to become valid. `overSinceMs` null: its agent may still be writing it. `stillMs`: how long it must be unchanged
 * after the run.
 */
export function unfinishedLeftMs({ sinceMs, firstMs }: Unfinished, overSinceMs: number | null, stillMs: number, nowMs: number): number {
  if (overSinceMs === null) return Math.min(sinceMs + Math.max(stillMs, RESULT_IN_WORK_STILL_MS), firstMs + RESULT_IN_WORK_MAX_MS) - nowMs;
  return Math.min(sinceMs + stillMs, Math.max(firstMs, overSinceMs) + RESULT_UNFINISHED_MAX_MS) - nowMs;
}

/** Members and elements of a result: parsing and walking a million of them blocks for seconds. */
export const RESULT_VALUES_MAX = JSON_VALUES_MAX;
const TOO_MANY_VALUES = `holds more than ${RESULT_VALUES_MAX} values (a member of an object counts as five); write large data into a separate file and report its location`;
/** A result is sent inside a field of a frame, whose depth is bounded. */
const RESULT_DEPTH_MAX = JSON_DEPTH_MAX - 2;

export type ReadResult =
  /** `replaced`: characters that cannot be sent or stored became U+FFFD. */
  | { readonly kind: 'object'; readonly value: Readonly<Record<string, unknown>>; readonly replaced: boolean }
  /** Not, or not yet, a JSON object. `why` completes the sentence "The result …". */
  | { readonly kind: 'unreadable'; readonly why: string };

/** Of anything else under the name of a result. Completes the sentence "The result …". */
export const NOT_REGULAR = 'is not a regular file: links, folders and pipes are not read';

/** Reads the text of a result file. */
export function readResult(text: string): ReadResult {
  // There is a comma before each value but the first, so values can be counted without parsing.
  if (hasMoreOf(',', text, RESULT_VALUES_MAX) || hasTooManyMembers(text)) return { kind: 'unreadable', why: TOO_MANY_VALUES };
  const parsed = parseJson(text);
  if (parsed === null)
    return {
      kind: 'unreadable',
      why: text.trim() === '' ? 'is empty' : 'is not JSON: expected an object such as {"status": "success", "output": …}',
    };
  if (!isObject(parsed.value)) return { kind: 'unreadable', why: `is ${kindOf(parsed.value)}, not a JSON object` };
  const excess = findExcess(parsed.value, RESULT_DEPTH_MAX, RESULT_VALUES_MAX);
  if (excess === 'values') return { kind: 'unreadable', why: TOO_MANY_VALUES };
  if (excess !== null) return { kind: 'unreadable', why: `is nested more than ${RESULT_DEPTH_MAX} deep` };
  if (isStorable(parsed.value)) return { kind: 'object', value: parsed.value, replaced: false };
  return { kind: 'object', value: wellFormedValue(parsed.value) as Readonly<Record<string, unknown>>, replaced: true };
}

export interface ReadProgress {
  /** 0 to 100. */
  readonly percent: number | null;
  readonly message: string | null;
  readonly tokensUsed: number | null;
}

/** Reads one line of a progress file; null if it contains nothing we know. */
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
    return null; // Half written, or not JSON; both are expected.
  }
}

/** Whether every text in a value of bounded depth, including field names, can be sent and stored unchanged. */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return isStorableText(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, inner]) => isStorableText(name) && isStorable(inner));
}
