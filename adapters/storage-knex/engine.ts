/**
 * What a database offers to the stores of this folder. The stores know rows, JSON and the names of statements; an engine
 * knows one database: how to open it, its text of each statement, its transactions and its failures.
 */
import type { Knex } from 'knex';
import type { HubCalls } from '../../core/ports/hub-calls.ts';
import type { StoreCapabilities } from '../../core/ports/task-store.ts';
import type { Statements } from './statements.ts';

export type Row = Readonly<Record<string, unknown>>;

/** One transaction. A statement's parameter is any JSON value. */
export interface Transaction {
  /** The database's time when it began; that of this machine where nobody else uses the database. */
  readonly nowMs: number;
  /** The rows that the statement answers. */
  rows(statement: keyof Statements, parameter?: unknown): Promise<readonly Row[]>;
  /** How many rows the statement changed. */
  change(statement: keyof Statements, parameter?: unknown): Promise<number>;
}

export interface Engine {
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  /** Works from `open` on. */
  readonly calls: HubCalls;
  /** Locks, migrates, verifies. Fails with the codes of `Storage.open`, and then holds nothing. */
  open(): Promise<OpenEngine>;
}

export interface OpenEngine {
  readonly storeId: string;
  /** The database's time as well as it is known outside a transaction. */
  nowMs(): number;

  /**
   * Runs `work` in a transaction, after those asked for before it, and answers after the commit; nothing stays when it
   * fails. `batchId` is recorded in the same commit. Fails with the codes of `TaskStore.transact`.
   */
  write<T>(batchId: string | null, work: (transaction: Transaction) => Promise<T>): Promise<T>;

  /** Runs `work` on one committed state, beside the writer, limited in time. Fails with `AC_STORE_UNAVAILABLE`. */
  read<T>(work: (snapshot: Knex.Transaction) => Promise<T>): Promise<T>;

  /**
   * Whether a batch was committed. MUST wait for the end of a transaction that may still be about to commit it, or fail
   * with `AC_STORE_UNAVAILABLE`; MUST NOT wait for what runs in `write`.
   */
  committed(batchId: string): Promise<boolean>;

  /** Lets running work end, then lets go of everything. */
  close(): Promise<void>;
}
