/**
 * The records of the commit log: one for each batch, with the values that its statement takes. A record is a mark of 4 bytes, the CRC-32 of
 * all that follows, its length in bytes, its number, the number of its values and 1 if it is certain; then the values, each as a byte for
 * its type, and a text as its length in bytes and UTF-8. Numbers are little-endian. The mark has a control character, which JSON escapes:
 * what a batch contains cannot be taken for a record.
 */
import { crc32 } from 'node:zlib';
import type { BatchValue } from '../save.ts';

export interface LoggedBatch {
  /** Each batch has the number after that of the one before. */
  readonly number: number;
  /** The database cannot refuse it. */
  readonly isCertain: boolean;
  readonly values: readonly BatchValue[];
}

const MARK = 0x31434101;
const MARK_BYTES = Buffer.from([0x01, 0x41, 0x43, 0x31]);
export const RECORD_HEADER_BYTES = 28;
const TYPES = { null: 0, text: 1, number: 2 } as const;
/** UTF-8 takes at most this many bytes for each UTF-16 unit. */
const BYTES_OF_UNIT_MAX = 3;
/** The bytes of longer texts are counted. */
const COUNTED_FROM = 65_536;

/** The size that the record of these values does not exceed, bytes. */
export function recordBytesMax(values: readonly BatchValue[]): number {
  let bytes = RECORD_HEADER_BYTES;
  for (const value of values) {
    bytes += 9;
    if (typeof value === 'string') bytes += value.length > COUNTED_FROM ? Buffer.byteLength(value) : value.length * BYTES_OF_UNIT_MAX;
  }
  return bytes;
}

/** Writes a record to the start of `buffer`, which has `recordBytesMax`, and returns its length. */
export function writeRecord(buffer: Buffer, { number, isCertain, values }: LoggedBatch): number {
  let at = RECORD_HEADER_BYTES;
  for (const value of values) {
    if (typeof value === 'string') {
      const bytes = buffer.write(value, at + 5);
      buffer[at] = TYPES.text;
      buffer.writeUInt32LE(bytes, at + 1);
      at += 5 + bytes;
    } else if (value === null) {
      buffer[at] = TYPES.null;
      at += 1;
    } else {
      buffer[at] = TYPES.number;
      buffer.writeDoubleLE(value, at + 1);
      at += 9;
    }
  }
  buffer.writeUInt32LE(MARK, 0);
  buffer.writeUInt32LE(at, 8);
  buffer.writeDoubleLE(number, 12);
  buffer.writeUInt32LE(values.length, 20);
  buffer.writeUInt32LE(isCertain ? 1 : 0, 24);
  buffer.writeUInt32LE(crc32(buffer.subarray(8, at)), 4);
  return at;
}

export interface RecordsFound {
  readonly records: readonly LoggedBatch[];
  /** The highest number of a complete record after the first that is not; 0: there is none. */
  readonly highestAfter: number;
}

/** The records from the start of `bytes`, until one is missing, incomplete or from an earlier pass. */
export function recordsIn(bytes: Buffer): RecordsFound {
  const records: LoggedBatch[] = [];
  let at = 0;
  for (;;) {
    const found = recordAt(bytes, at);
    const before = records.at(-1);
    if (found === null || (before !== undefined && found.record.number !== before.number + 1)) break;
    records.push(found.record);
    at = found.end;
  }
  let highestAfter = 0;
  for (let mark = bytes.indexOf(MARK_BYTES, at); mark !== -1; mark = bytes.indexOf(MARK_BYTES, mark + 1))
    highestAfter = Math.max(highestAfter, recordAt(bytes, mark)?.record.number ?? 0);
  return { records, highestAfter };
}

function recordAt(bytes: Buffer, start: number): { readonly record: LoggedBatch; readonly end: number } | null {
  if (start + RECORD_HEADER_BYTES > bytes.length || bytes.readUInt32LE(start) !== MARK) return null;
  const end = start + bytes.readUInt32LE(start + 8);
  if (end < start + RECORD_HEADER_BYTES || end > bytes.length) return null;
  if (crc32(bytes.subarray(start + 8, end)) !== bytes.readUInt32LE(start + 4)) return null;
  const values: BatchValue[] = [];
  let at = start + RECORD_HEADER_BYTES;
  for (let left = bytes.readUInt32LE(start + 20); left > 0; left -= 1) {
    const type = bytes[at];
    if (type === TYPES.text) {
      const from = at + 5;
      at = from + bytes.readUInt32LE(at + 1);
      values.push(bytes.toString('utf8', from, at));
    } else if (type === TYPES.number) {
      values.push(bytes.readDoubleLE(at + 1));
      at += 9;
    } else {
      values.push(null);
      at += 1;
    }
  }
  const isCertain = bytes.readUInt32LE(start + 24) === 1;
  return { record: { number: bytes.readDoubleLE(start + 12), isCertain, values }, end };
}
