/** A step from one schema to the next. Steps are code, in a list: nothing is searched for on disk when the hub starts. */
import type { Row } from '../rows/row.ts';

export interface Migration {
  /** Unique and never changed: the database records by name which steps it has taken. */
  readonly name: string;
  /** The statements for each database, run in order in one transaction with all other new steps. */
  readonly sqlite: readonly string[];
  readonly postgres: readonly string[];
  /**
   * Hubs that do not know this step can continue to use the store beside those that do, on Postgres, where it is stored with the step.
   * Default: no hub may be connected, and one that was disconnected meanwhile writes nothing more.
   */
  readonly besideOlderHubs?: true;
  /** What SQL alone cannot do: run after the statements, in the same transaction. MUST hold a bounded number of rows in memory. */
  readonly code?: (database: MigratedDatabase) => Promise<void>;
}

/** A database in the middle of its steps. A statement has at most one parameter, a text: `?` for SQLite, `$1` for Postgres. */
export interface MigratedDatabase {
  readonly dialect: 'sqlite' | 'postgres';
  rows(sql: string, parameter?: string): Promise<readonly Row[]>;
  change(sql: string, parameter?: string): Promise<void>;
}
