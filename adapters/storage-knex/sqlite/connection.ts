/** A connection of SQLite, whichever driver it is of. */
import type { Row } from '../engine.ts';

/** Undefined: none. */
export type SqliteParameter = string | number | null | undefined;

export interface SqliteConnection {
  /** The rows of a statement. */
  rows(sql: string, ...parameters: readonly SqliteParameter[]): Promise<readonly Row[]>;
  /** How many rows a statement changed, without those of triggers. */
  change(sql: string, ...parameters: readonly SqliteParameter[]): Promise<number>;
  /** Lets go of the prepared statements, without which the connection cannot be closed. */
  finalize(): Promise<void>;
}

/** `write` and `create` differ where there is no such file. */
export type SqliteMode = 'read' | 'write' | 'create';

/** A file that Knex has no part in. */
export interface OpenSqlite {
  readonly connection: SqliteConnection;
  /** Also finalizes. */
  close(): Promise<void>;
}

/** Without those that are not given. */
export const givenOf = (parameters: readonly SqliteParameter[]): (string | number | null)[] =>
  parameters.filter((one) => one !== undefined);
