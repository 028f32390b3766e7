/**
 * What runs SQLite in this process: the package sqlite3, which includes a library of its own, or `node:sqlite`, which is part of Node. Both
 * use the same files with the same locks. A process MUST use only one of them for a file: two libraries in one process drop each other's
 * locks.
 */
import type { Knex } from 'knex';
import type { OpenSqlite, SqliteConnection, SqliteMode } from './connection.ts';

/** The values of the option `driver` of `sqlite()`. */
export const SQLITE_DRIVERS = ['sqlite3', 'node'] as const;
export type SqliteDriverName = (typeof SQLITE_DRIVERS)[number];

/** A connection as Knex' pool lends it. */
export interface RawDatabase {
  /** Ends the running statement with `SQLITE_INTERRUPT`. */
  interrupt(): void;
}

export interface SqlitePool {
  /** Absolute. */
  readonly file: string;
  readonly mode: 'read' | 'write';
  readonly max: number;
  /** Run on each connection before anything else. */
  readonly pragmas: readonly string[];
}

export interface SqliteDriver {
  readonly name: SqliteDriverName;
  /** Of its SQLite library, such as 3.51.3. */
  readonly version: string;
  /** Opens a file without Knex: the lock, a first check, a copy. `write` requires that it exists. */
  open(file: string, mode: SqliteMode): Promise<OpenSqlite>;
  /** What Knex needs to make connections to a file, in addition to what is the same for each driver. */
  poolConfig(knex: (config: Knex.Config) => Knex, pool: SqlitePool): Knex.Config;
  /** A connection of a pool, with its statements prepared once. */
  connectionOver(raw: RawDatabase): SqliteConnection;
}

/** The first version that has `jsonb_each`. */
const SQLITE_WITH_JSONB_EACH = [3, 51] as const;

/** `version`: such as 3.51.3. */
export const isAtLeast = (version: string, [major, minor]: readonly [number, number]): boolean => {
  const [foundMajor = 0, foundMinor = 0] = version.split('.').map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
};

/**
 * A statement in the form that a library of this version accepts. An older one has only `json_each`, which turns each element into text
 * that is parsed again for every field: the same rows, for more CPU time.
 */
export const statementFor = (version: string): ((sql: string) => string) =>
  isAtLeast(version, SQLITE_WITH_JSONB_EACH) ? (sql) => sql : (sql) => sql.replaceAll('jsonb_each(', 'json_each(');
