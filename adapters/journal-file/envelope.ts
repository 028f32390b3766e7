/**
 * `queue.json` as text: `{"version":2,"length":…,"sha256":"…","ended":…,"state":…}`. It is plain JSON, so that an operator
 * can read it; `length` and `sha256` are those of the bytes from `"ended"` to the end of the state as they stand, so that no
 * damage passes for a state. Version 1 had no `ended`, and its length and digest were those of the state.
 */
import { createHash } from 'node:crypto';
import { isMark, type EndedMark } from './ended-log.ts';

/** The version that this program writes and the newest that it reads. */
export const JOURNAL_VERSION = 2;

const HEAD = /^\{"version":([12]),"length":([0-9]{1,10}),"sha256":"([0-9a-f]{64})",/;
const STATE_ALONE = '"state":';
const TAIL = '}\n';

export type Unpacked =
  /** `ended` marks the list that stands beside the state; null when it has none, or has it within. */
  | { readonly kind: 'good'; readonly state: unknown; readonly ended: EndedMark | null }
  /** `why` completes the sentence "The file …". */
  | { readonly kind: 'bad'; readonly why: string }
  /** Whole JSON, written by a newer program. */
  | { readonly kind: 'newer'; readonly version: number };

/** `stateText` is JSON. */
export function pack(stateText: string, ended: EndedMark | null): Buffer {
  const body = `"ended":${JSON.stringify(ended)},${STATE_ALONE}${stateText}`;
  return Buffer.from(`{"version":${JOURNAL_VERSION},"length":${Buffer.byteLength(body)},"sha256":"${digestOf(body)}",${body}${TAIL}`);
}

export function unpack(bytes: Buffer): Unpacked {
  if (bytes.length === 0) return bad('is empty');
  // Latin 1 keeps one character for each byte, so that lengths in `text` are lengths in bytes.
  const text = bytes.toString('latin1');
  const head = HEAD.exec(text);
  if (head === null) return withoutOurHead(bytes);
  const [{ length: headLength }, version, lengthDigits, sha256] = head;
  const isFirst = version === '1';
  const from = headLength + (isFirst ? STATE_ALONE.length : 0);
  const bodyLength = Number(lengthDigits);
  const wantedLength = from + bodyLength + TAIL.length;
  if (bytes.length !== wantedLength) return bad(`has ${bytes.length} bytes where it says ${wantedLength}`);
  const body = bytes.subarray(from, from + bodyLength);
  if (digestOf(body) !== sha256) return bad('does not match its SHA-256 digest');
  if (!text.endsWith(TAIL) || (isFirst && !text.startsWith(STATE_ALONE, headLength))) return bad('does not end as it should');
  const value = jsonIn(isFirst ? body.toString('utf8') : `{${body.toString('utf8')}}`);
  if (value === null) return bad('has a state that is not JSON');
  if (isFirst) return { kind: 'good', state: value.parsed, ended: null };
  const { ended, state } = value.parsed as { readonly ended?: unknown; readonly state?: unknown };
  if (state === undefined || !(ended === null || isMark(ended))) return bad('has no state as a sidecar writes it');
  return { kind: 'good', state, ended };
}

/** A file of another version still says its version; anything else is damage. */
function withoutOurHead(bytes: Buffer): Unpacked {
  const version = versionIn(bytes.toString('utf8'));
  return version !== null && version > JOURNAL_VERSION ? { kind: 'newer', version } : bad('does not begin as a journal does');
}

function versionIn(text: string): number | null {
  const value = jsonIn(text)?.parsed as { readonly version?: unknown } | null | undefined;
  return Number.isSafeInteger(value?.version) ? (value?.version as number) : null;
}

function jsonIn(text: string): { readonly parsed: unknown } | null {
  try {
    return { parsed: JSON.parse(text) as unknown };
  } catch {
    return null; // not JSON, so damage: the caller says so
  }
}

const digestOf = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

const bad = (why: string): Unpacked => ({ kind: 'bad', why });
