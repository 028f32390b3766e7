/**
 * `queue.json` as text: `{"version":1,"length":…,"sha256":"…","state":…}`. It is plain JSON, so that an operator can
 * read it; `length` and `sha256` are those of the bytes of `state` as they stand, so that no damage passes for a state.
 */
import { createHash } from 'node:crypto';

/** The version that this program writes and the newest that it reads. */
export const JOURNAL_VERSION = 1;

const HEAD = /^\{"version":1,"length":([0-9]{1,10}),"sha256":"([0-9a-f]{64})","state":/;
const TAIL = '}\n';

export type Unpacked =
  | { readonly kind: 'good'; readonly state: unknown }
  /** `why` completes the sentence "The file …". */
  | { readonly kind: 'bad'; readonly why: string }
  /** Whole JSON, written by a newer program. */
  | { readonly kind: 'newer'; readonly version: number };

/** `stateText` is JSON. */
export function pack(stateText: string): Buffer {
  const length = Buffer.byteLength(stateText);
  return Buffer.from(`{"version":${JOURNAL_VERSION},"length":${length},"sha256":"${digestOf(stateText)}","state":${stateText}${TAIL}`);
}

export function unpack(bytes: Buffer): Unpacked {
  if (bytes.length === 0) return bad('is empty');
  // Latin 1 keeps one character for each byte, so that lengths in `text` are lengths in bytes.
  const text = bytes.toString('latin1');
  const head = HEAD.exec(text);
  if (head === null) return withoutOurHead(bytes);
  const [{ length: headLength }, lengthDigits, sha256] = head;
  const stateLength = Number(lengthDigits);
  const wantedLength = headLength + stateLength + TAIL.length;
  if (bytes.length !== wantedLength) return bad(`has ${bytes.length} bytes where it says ${wantedLength}`);
  const state = bytes.subarray(headLength, headLength + stateLength);
  if (digestOf(state) !== sha256) return bad('does not match its SHA-256 digest');
  if (!text.endsWith(TAIL)) return bad('does not end as it should');
  const value = jsonIn(state.toString('utf8'));
  return value === null ? bad('has a state that is not JSON') : { kind: 'good', state: value.parsed };
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
