/** One of the two databases of a move, opened exclusively: no hub uses it until `close`. */
import type { Row } from '../engine.ts';
import type { Column, Table } from './stored-table.ts';

export interface Side {
  /** As it is shown to people. */
  readonly place: string;
  readonly text: SideText;
  tables(): Promise<readonly Table[]>;
  /** `parameter`: any JSON value. */
  rows(sql: string, parameter?: unknown): Promise<readonly Row[]>;
  change(sql: string, parameter?: unknown): Promise<number>;
  close(): Promise<void>;
}

/** Where a store is or will be; nothing is opened yet. */
export interface Place {
  /** As it is shown to people. */
  readonly shown: string;
  /** What it locks when it is opened: two places that share it, such as two files of one folder, cannot be open at once. */
  readonly takes: string;
  /**
   * Opens it to read from. Fails with `AC_STORAGE_OPEN` if there is no store, `AC_STORAGE_LOCKED` while a hub runs on it,
   * `AC_SCHEMA_UNKNOWN`, `AC_SCHEMA_OLD`, or `AC_MOVE_UNFINISHED`.
   */
  source(): Promise<Side>;
  /**
   * Opens it to write to, empty, with this schema, and marked as unfinished, which keeps every hub off until `finish`. Also fails with
   * `AC_TARGET_EXISTS` if it is not empty. `emptyUnfinished`: what an interrupted move has left is removed first.
   */
  target(options: { readonly emptyUnfinished: boolean }): Promise<Target>;
}

export interface Target extends Side {
  /** The next event gets a higher number. */
  setLastEvent(last: number): Promise<void>;
  /** Counts the copied tasks, if no trigger has. */
  countTasks(): Promise<void>;
  /** Removes the mark, with a commit that is on disk, as is everything before it. */
  finish(): Promise<void>;
}

/** The SQL of one database. */
export interface SideText {
  /** Parameter: `[{…the key of the row before}]`, or nothing for the first page. */
  page(table: Table, limit: number, isFirst: boolean): string;
  /** Parameter: rows, each by the names of its columns. */
  insert(table: Table): string;
  /** One row with `last`: the highest number that an event ever had. */
  readonly lastEvent: string;
}

/** The same on both: how many tasks there are, by status and lane. */
export const COUNTS = `
  SELECT status, lane, CAST(sum(tasks) AS bigint) AS tasks FROM task_counts
  GROUP BY status, lane HAVING sum(tasks) <> 0 ORDER BY status, lane`;

export const columnNames = (columns: readonly Column[]): string => columns.map(({ name }) => name).join(', ');

/** `SELECT … ORDER BY` the key; `after` makes the SQL for the values of the key that the page begins after. */
export function pageText(
  { name, columns, key }: Table,
  limit: number,
  own: { readonly after: ((column: Column) => string) | null; readonly ordered: (column: Column) => string },
): string {
  const keys = key.map((wanted) => columns.find((column) => column.name === wanted) as Column);
  const where = own.after === null ? '' : `WHERE (${key.join(', ')}) > (${keys.map(own.after).join(', ')})`;
  return `SELECT ${columnNames(columns)} FROM ${name} ${where} ORDER BY ${keys.map(own.ordered).join(', ')} LIMIT ${limit}`;
}
