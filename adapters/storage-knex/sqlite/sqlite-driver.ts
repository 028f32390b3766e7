/**
 * What runs SQLite in this process: the package sqlite3, which brings a library of its own, or `node:sqlite`, which Node has. Both
 * keep the same files with the same locks. A process MUST use one of them only for a file: two libraries in one process drop each
 * other's locks.
 */
import type { Knex } from 'knex';
import type { OpenSqlite, SqliteConnection, SqliteMode } from './connection.ts';

/** As the option `driver` of `sqlite()` has them. */
export const SQLITE_DRIVERS = ['sqlite3', 'node'] as const;
export type SqliteDriverName = (typeof SQLITE_DRIVERS)[number];

/** A connection as Knex' pool lends it. */
export interface RawDatabase {
  /** Ends the statement that runs with `SQLITE_INTERRUPT`. */
  interrupt(): void;
}

export interface SqlitePool {
  /** Absolute. */
  readonly file: string;
  readonly mode: 'read' | 'write';
  readonly max: number;
  /** Said to each connection before anything else. */
  readonly pragmas: readonly string[];
}

export interface SqliteDriver {
  readonly name: SqliteDriverName;
  /** Of its SQLite library, such as 3.51.3. */
  readonly version: string;
  /** Opens a file that Knex has no part in: the lock, a first look, a copy. `write` wants it to be there. */
  open(file: string, mode: SqliteMode): Promise<OpenSqlite>;
  /** What Knex needs to make connections to a file, beside what is the same for each driver. */
  poolConfig(knex: (config: Knex.Config) => Knex, pool: SqlitePool): Knex.Config;
  /** A connection of a pool, with its statements prepared once. */
  connectionOver(raw: RawDatabase): SqliteConnection;
}

/** The first that has `jsonb_each`. */
const SQLITE_WITH_JSONB_EACH = [3, 51] as const;

/** `version`: such as 3.51.3. */
export const isAtLeast = (version: string, [major, minor]: readonly [number, number]): boolean => {
  const [foundMajor = 0, foundMinor = 0] = version.split('.').map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
};

/**
 * A statement as a library of this version takes it. An older one has `json_each` only, which makes a text of each element, for every
 * field to parse: the same rows, at more of the processor.
 */
export const statementFor = (version: string): ((sql: string) => string) =>
  isAtLeast(version, SQLITE_WITH_JSONB_EACH) ? (sql) => sql : (sql) => sql.replaceAll('jsonb_each(', 'json_each(');
