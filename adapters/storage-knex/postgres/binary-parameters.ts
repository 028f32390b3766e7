/** The parameters of a statement: one JSON text, or the columns of rows as Postgres arrays in binary format, which need no escaping. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { ClusterStatementName, StatementName } from '../statements.ts';
import type { Columns, ColumnType } from '../rows/columns.ts';
import { GIVEN_COLUMNS, KEEPS_WHOLE } from './given-columns.ts';
import type { Parameter } from './connection.ts';
import { parameterText, plainText } from './text.ts';

type Given = Readonly<Record<string, unknown>>;

/** Postgres' OIDs of these types, and how many bytes one value of the last two takes. */
const TYPES: Readonly<Record<ColumnType, readonly [oid: number, bytes: number]>> = { text: [25, 0], integer: [23, 4], bigint: [20, 8] };
/** The header of a one-dimensional array whose first index is 1 and which may contain NULLs. */
const HEADER_BYTES = 20;
const NULL_LENGTH = -1;
/** Maximum number of bytes that one UTF-16 unit takes in UTF-8. */
const UNIT_BYTES_MAX = 3;
/** The value of a 1 in the upper four of eight bytes. */
const HIGH = 2 ** 32;
/** The initial size of the buffer; it doubles as needed. */
const BUFFER_BYTES = 65_536;
/** A larger buffer is not kept for the next rows. */
const KEPT_BYTES_MAX = 4_194_304;

const COLUMNS: Partial<Readonly<Record<string, Columns>>> = GIVEN_COLUMNS;

/** The parameters of a statement. Fails with `AC_INTERNAL` for a value that its column cannot have. */
export function parametersOf(statement: StatementName | ClusterStatementName, parameter: unknown): readonly Parameter[] {
  if (parameter === undefined) return [];
  const columns = COLUMNS[statement];
  if (columns === undefined) return [parameterText(parameter)];
  const rows = parameter as readonly Given[];
  const isWhole = KEEPS_WHOLE.has(statement);
  return Object.values(columns).map(([field, type]) => {
    const writer = new ArrayWriter(type, rows.length);
    for (const row of rows) writer.add(isWhole && field === 'state' ? row : row[field]);
    return writer.end();
  });
}

/** Used by one writer at a time, which copies its result out: allocating a large buffer for each column would cost more. */
let shared = Buffer.allocUnsafe(BUFFER_BYTES);

/** One array in Postgres' binary format: its header, then each value preceded by its length. */
class ArrayWriter {
  readonly #type: ColumnType;
  #buffer = shared;
  #at = HEADER_BYTES;

  constructor(type: ColumnType, length: number) {
    this.#type = type;
    for (const [n, value] of [1, 1, TYPES[type][0], length, 1].entries()) this.#buffer.writeInt32BE(value, n * 4);
  }

  add(value: unknown): void {
    if (value === null || value === undefined) {
      this.#reserve(4);
      this.#at = this.#buffer.writeInt32BE(NULL_LENGTH, this.#at);
    } else if (this.#type === 'text') {
      this.#addText(typeof value === 'object' ? JSON.stringify(value) : plainText(String(value)));
    } else {
      this.#addInteger(value);
    }
  }

  end(): Buffer {
    const written = Buffer.from(this.#buffer.subarray(0, this.#at));
    shared = this.#buffer.length <= KEPT_BYTES_MAX ? this.#buffer : Buffer.allocUnsafe(BUFFER_BYTES);
    return written;
  }

  #addText(text: string): void {
    this.#reserve(4 + text.length * UNIT_BYTES_MAX);
    const bytes = this.#buffer.write(text, this.#at + 4);
    this.#at = this.#buffer.writeInt32BE(bytes, this.#at) + bytes;
  }

  #addInteger(value: unknown): void {
    if (!Number.isSafeInteger(value))
      throw new AgentcomError('AC_INTERNAL', `Cannot save ${String(value)} in Postgres: expected an integer.`);
    const bytes = TYPES[this.#type][1];
    this.#reserve(4 + bytes);
    this.#at = this.#buffer.writeInt32BE(bytes, this.#at);
    const integer = value as number;
    if (bytes === 8) this.#at = this.#buffer.writeInt32BE(Math.floor(integer / HIGH), this.#at);
    this.#at =
      bytes === 8
        ? this.#buffer.writeUInt32BE(integer - Math.floor(integer / HIGH) * HIGH, this.#at)
        : this.#buffer.writeInt32BE(integer, this.#at);
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
