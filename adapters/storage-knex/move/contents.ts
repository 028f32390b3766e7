/** The contents of a store, read in an order and written in a form that are the same for every database. */
import { createHash } from 'node:crypto';
import type { Row } from '../engine.ts';
import { COUNTS, type Side } from './side.ts';
import type { Table } from './stored-table.ts';

/** Rows in memory at a time. A body has at most 256 KiB, an event about 16 KiB, so this is at most about 64 MiB. */
const ROWS_AT_ONCE = 250;
/** For tables whose rows may be as large as a frame, which is 1 MiB unless the config says otherwise. */
const LARGE_ROWS_AT_ONCE = 32;
const LARGE_ROWS: ReadonlySet<string> = new Set(['task_results', 'task_kept_results']);

/** The rows of a table in the order of its key, a page at a time. */
export async function* pagesOf(side: Side, table: Table): AsyncGenerator<readonly Row[]> {
  const atOnce = LARGE_ROWS.has(table.name) ? LARGE_ROWS_AT_ONCE : ROWS_AT_ONCE;
  let last: Row | undefined;
  for (;;) {
    const sql = side.text.page(table, atOnce, last === undefined);
    const page = await side.rows(sql, last === undefined ? undefined : [keyOf(table, last)]);
    if (page.length > 0) yield page;
    if (page.length < atOnce) return;
    last = page.at(-1);
  }
}

const keyOf = ({ key }: Table, row: Row): Row => Object.fromEntries(key.map((name) => [name, row[name]]));

/** How many rows a part of a store has, and the SHA-256 of all of them. */
export interface PartDigest {
  /** A table, or `events: last number`, or `tasks: counted`. */
  readonly part: string;
  readonly rows: number;
  readonly sha256: string;
}

/**
 * The digests of a whole side, part by part: each row is one line, a JSON array of its values by the names of the
 * columns, in the order of the key. Two sides with equal digests have the same contents.
 */
export async function digestsOf(side: Side, tables: readonly Table[], onRows: (rows: number) => void): Promise<readonly PartDigest[]> {
  const digests: PartDigest[] = [];
  for (const table of tables) {
    const digest = digestOf(table.name);
    for await (const page of pagesOf(side, table)) {
      for (const row of page) digest.add(table.columns.map(({ name }) => row[name]));
      onRows(page.length);
    }
    digests.push(digest.end());
  }
  const counted = digestOf('tasks: counted');
  for (const { status, lane, tasks } of await side.rows(COUNTS)) counted.add([status, lane, tasks]);
  const last = digestOf('events: last number');
  last.add([await lastEventOf(side)]);
  return [...digests, counted.end(), last.end()];
}

/** The highest number that an event of this store ever had. */
export const lastEventOf = async (side: Side): Promise<number> => Number((await side.rows(side.text.lastEvent))[0]?.['last'] ?? 0);

function digestOf(part: string): { add(values: readonly unknown[]): void; end(): PartDigest } {
  const hash = createHash('sha256');
  let rows = 0;
  return {
    add(values) {
      rows += 1;
      hash.update(`${JSON.stringify(values)}\n`);
    },
    end: () => ({ part, rows, sha256: hash.digest('hex') }),
  };
}
