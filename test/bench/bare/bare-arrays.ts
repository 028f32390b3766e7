/**
 * Columns of rows as binary Postgres arrays, which `unnest` turns into rows again. The server reads each value with
 * its type, and nothing is escaped; `adapters/storage-knex/postgres/given-columns.ts` explains why.
 */

/** Postgres' OIDs of these types, and the bytes of a value. */
const NUMBERS = { int2: { oid: 21, bytes: 2 }, int4: { oid: 23, bytes: 4 }, int8: { oid: 20, bytes: 8 } } as const;
const TEXT_OID = 25;
/** One dimension whose first index is 1, which may contain NULLs. */
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
const NULL_LENGTH = -1;
/** A UTF-16 unit in UTF-8, at most. */
const UNIT_BYTES_MAX = 3;
/** The weight of the upper four of eight bytes. */
const HIGH = 2 ** 32;

/** For whole numbers from 0 on. */
export function numbersOf<Row>(rows: readonly Row[], type: keyof typeof NUMBERS, numberOf: (row: Row) => number): Buffer {
  const { oid, bytes } = NUMBERS[type];
  const buffer = begun(oid, rows.length, rows.length * (LENGTH_BYTES + bytes));
  let at = HEADER_BYTES;
  for (const row of rows) {
    const number = numberOf(row);
    at = buffer.writeInt32BE(bytes, at);
    if (bytes === 2) {
      at = buffer.writeInt16BE(number, at);
    } else if (bytes === 4) {
      at = buffer.writeInt32BE(number, at);
    } else {
      at = buffer.writeUInt32BE(Math.floor(number / HIGH), at);
      at = buffer.writeUInt32BE(number % HIGH, at);
    }
  }
  return buffer;
}

export function textsOf(texts: readonly (string | null)[]): Buffer {
  const bytesMax = texts.reduce((sum, text) => sum + LENGTH_BYTES + UNIT_BYTES_MAX * (text?.length ?? 0), 0);
  const buffer = begun(TEXT_OID, texts.length, bytesMax);
  let at = HEADER_BYTES;
  for (const text of texts) {
    const bytes = text === null ? 0 : buffer.write(text, at + LENGTH_BYTES);
    at = buffer.writeInt32BE(text === null ? NULL_LENGTH : bytes, at) + bytes;
  }
  return buffer.subarray(0, at);
}

/** An array of this many values, with its header. */
function begun(oid: number, length: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + bytes);
  for (const [n, value] of [1, 1, oid, length, 1].entries()) buffer.writeInt32BE(value, n * 4);
  return buffer;
}
