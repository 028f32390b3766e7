/** A connection of SQLite, whichever driver it belongs to. */
import type { Row } from '../engine.ts';

/** Undefined: none. */
export type SqliteParameter = string | number | null | undefined;

export interface SqliteConnection {
  /** The rows of a statement. */
  rows(sql: string, ...parameters: readonly SqliteParameter[]): Promise<readonly Row[]>;
  /** How many rows a statement changed, without those of triggers. */
  change(sql: string, ...parameters: readonly SqliteParameter[]): Promise<number>;
  /** Releases the prepared statements; until then the connection cannot be closed. */
  finalize(): Promise<void>;
}

/** `write` and `create` differ only if there is no such file. */
export type SqliteMode = 'read' | 'write' | 'create';

/** A file that is opened without Knex. */
export interface OpenSqlite {
  readonly connection: SqliteConnection;
  /** Also finalizes the statements. */
  close(): Promise<void>;
}

/** The parameters that are given. */
export const givenOf = (parameters: readonly SqliteParameter[]): (string | number | null)[] =>
  parameters.filter((one) => one !== undefined);
