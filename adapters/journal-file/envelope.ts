/**
 * The format of `queue.json`: `{"version":3,"length":…,"sha256":"…","ended":…,"held":…,"state":…}`. Plain JSON that an operator
 * can read. `length` and `sha256` cover the bytes from `"ended"` to the end of the state, so that damage is always
 * detected. `held` is the number of tasks that the state refers to. Version 2 has no such number, and is written if there are none, so that
 * an earlier program can read it.
 * Version 1 had no `ended`; its length and digest covered the state only.
 */
import { createHash } from 'node:crypto';
import { isMark, type EndedMark } from './ended-log.ts';

/** The newest version that this program reads. */
export const ENVELOPE_VERSION = 3;
const VERSION_WITHOUT_HELD = 2;

const HEAD = /^\{"version":([123]),"length":([0-9]{1,10}),"sha256":"([0-9a-f]{64})",/;
const STATE_ALONE = '"state":';
const TAIL = '}\n';

export type Unpacked =
  /** `ended` refers to the list stored beside the state; null if there is none, or if the state contains it. */
  | { readonly kind: 'good'; readonly state: unknown; readonly ended: EndedMark | null; readonly held: number }
  /** `why` completes the sentence "The file …". */
  | { readonly kind: 'bad'; readonly why: string }
  /** Valid JSON from a newer program. */
  | { readonly kind: 'newer'; readonly version: number };

/** `stateText` is JSON. `held`: how many tasks in `held/` it refers to. */
export function pack(stateText: string, ended: EndedMark | null, held = 0): Buffer {
  const body = `"ended":${JSON.stringify(ended)},${held === 0 ? '' : `"held":${held},`}${STATE_ALONE}${stateText}`;
  return Buffer.from(
    `{"version":${held === 0 ? VERSION_WITHOUT_HELD : ENVELOPE_VERSION},"length":${Buffer.byteLength(body)},"sha256":"${digestOf(body)}",${body}${TAIL}`,
  );
}

export function unpack(bytes: Buffer): Unpacked {
  if (bytes.length === 0) return bad('is empty');
  // Latin-1 maps each byte to one character, so lengths in `text` are lengths in bytes.
  const text = bytes.toString('latin1');
  const head = HEAD.exec(text);
  if (head === null) return unknownHead(bytes);
  const [{ length: headLength }, version, lengthDigits, sha256] = head;
  const isFirst = version === '1';
  const from = headLength + (isFirst ? STATE_ALONE.length : 0);
  const bodyLength = Number(lengthDigits);
  const wantedLength = from + bodyLength + TAIL.length;
  if (bytes.length !== wantedLength) return bad(`has ${bytes.length} bytes instead of ${wantedLength}`);
  const body = bytes.subarray(from, from + bodyLength);
  if (digestOf(body) !== sha256) return bad('does not match its SHA-256 digest');
  if (!text.endsWith(TAIL) || (isFirst && !text.startsWith(STATE_ALONE, headLength))) return bad('has an invalid ending');
  const value = jsonIn(isFirst ? body.toString('utf8') : `{${body.toString('utf8')}}`);
  if (value === null) return bad('has a state that is not JSON');
  if (isFirst) return { kind: 'good', state: value.parsed, ended: null, held: 0 };
  const { ended, state, held = 0 } = value.parsed as { readonly ended?: unknown; readonly state?: unknown; readonly held?: unknown };
  if (state === undefined || !(ended === null || isMark(ended))) return bad('has no valid state');
  const isCount = typeof held === 'number' && Number.isSafeInteger(held);
  if (!isCount || held > 0 !== (version === String(ENVELOPE_VERSION))) return bad('has no valid number of tasks stored apart');
  return { kind: 'good', state, ended, held };
}

/** A newer version still states its version; anything else is damage. */
function unknownHead(bytes: Buffer): Unpacked {
  const version = versionIn(bytes.toString('utf8'));
  return version !== null && version > ENVELOPE_VERSION ? { kind: 'newer', version } : bad('does not start like a journal');
}

function versionIn(text: string): number | null {
  const value = jsonIn(text)?.parsed as { readonly version?: unknown } | null | undefined;
  return Number.isSafeInteger(value?.version) ? (value?.version as number) : null;
}

function jsonIn(text: string): { readonly parsed: unknown } | null {
  try {
    return { parsed: JSON.parse(text) as unknown };
  } catch {
    return null; // Not JSON: the caller reports the damage.
  }
}

export const digestOf = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

const bad = (why: string): Unpacked => ({ kind: 'bad', why });
