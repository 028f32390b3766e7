/**
 * What a database offers to the stores of this folder. The stores know rows, JSON and the names of statements; an engine
 * knows one database: how to open it, its text of each statement, its transactions and its failures.
 */
import type { Knex } from 'knex';
import type { TaskId } from '../../core/domain/ids.ts';
import type { StoreClock } from '../../core/domain/store-clock.ts';
import type { TaskBody } from '../../core/domain/task/task.ts';
import type { HubNotifier } from '../../core/ports/hub-notifier.ts';
import type { EarlyTransaction } from '../../core/ports/opening.ts';
import type { Changes, StoreCapabilities } from '../../core/ports/task-store.ts';
import type { EventRow } from './rows/event-rows.ts';
import type { Row } from './rows/row.ts';
import type { agentColumns, keptColumns, taskColumns } from './rows/rows.ts';
import type { ClusterStatementName, CountingStatementName, StatementName } from './statements.ts';

export type { Row } from './rows/row.ts';
export type { CountingStatementName } from './statements.ts';

/** Runs statements by their names. A statement's parameter is any JSON value. */
export interface StatementsRun<Name extends string> {
  /** The rows that the statement answers. */
  rows(statement: Name, parameter?: unknown): Promise<readonly Row[]>;
  /** How many rows the statement changed. */
  change(statement: Name, parameter?: unknown): Promise<number>;
}

/** One transaction. Statements may be asked for together: they run in the order of the calls, and none after one that failed. */
export interface Transaction extends StatementsRun<StatementName> {
  /** The store's time when it began. */
  readonly nowMs: number;
  /** The time by which things are old enough to be removed; null: nothing is. */
  readonly removableMs: number | null;
  /**
   * While nobody else writes the database, the same object in each transaction: what was read or saved under it is still true. Null: others
   * may write at any moment.
   */
  readonly exclusive: object | null;
  /** The statements that several hubs need; null where the database serves one hub. */
  readonly cluster: StatementsRun<ClusterStatementName> | null;
  /** The statements by which who saves tasks counts them; null where the database counts them itself. */
  readonly counting: StatementsRun<CountingStatementName> | null;
  /** Records the batch, together with the last statements. Where nobody asks for it, that is done after the work. */
  readonly record?: () => Promise<void>;
  /**
   * Saves all of it in one go and commits, as the last thing that is done in the transaction; answers the number of the newest event before.
   * Null: nothing was done, and it is to be saved by one statement after the other. Undefined: this database cannot.
   * `counts`: where `counting` is not null, what the rows change of the counts if every new task is new. With one that is not, nothing is done.
   */
  readonly saveAndCommit?: (rows: SavedRows, counts: readonly CountChange[]) => Promise<number | null>;
}

/** Where a task is counted: by its status, and its lane, which never changes. */
export interface CountedPlace {
  readonly status: string;
  readonly lane: number;
}

/** By how many the tasks of a place change; never 0. */
export interface CountChange extends CountedPlace {
  readonly tasks: number;
}

/** What a batch saves, by the statement that saves it, in the order of the statements. */
export interface SavedRows {
  readonly insertTasks: readonly ReturnType<typeof taskColumns>[];
  readonly insertBodies: readonly { readonly taskId: TaskId; readonly body: TaskBody }[];
  readonly insertDependencies: readonly { readonly dependsOn: TaskId; readonly taskId: TaskId }[];
  readonly updateTasks: readonly ReturnType<typeof taskColumns>[];
  readonly saveResults: Changes['results'];
  readonly dropKept: Changes['keptDropped'];
  readonly saveKept: readonly ReturnType<typeof keptColumns>[];
  readonly saveAgents: readonly ReturnType<typeof agentColumns>[];
  readonly clearStops: Changes['stopsCleared'];
  readonly saveStops: Changes['stopsSet'];
  readonly insertKeys: Changes['keys'];
  readonly insertEvents: readonly EventRow[];
}

export interface Engine {
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  /** Works from `open` on. */
  readonly notifier: HubNotifier;
  /** As `Storage.deadlocks`. */
  readonly deadlocks?: (() => number) | undefined;
  /** Locks, migrates, verifies. Fails with the codes of `Storage.open`, and then holds nothing. */
  open(): Promise<OpenEngine>;
}

export interface OpenEngine {
  readonly storeId: string;
  /** Whose time the transactions have. Still asked after `close`. */
  readonly clock: StoreClock;

  /**
   * Runs `work` in a transaction, after those asked for before it, and answers after the commit; nothing stays when it
   * fails. `batchId` is recorded in the same commit. Fails with the codes of `TaskStore.transact`.
   *
   * With `early`, statements of a transaction that began early wait for the end of the one before.
   */
  write<T>(batchId: string | null, work: (transaction: Transaction) => Promise<T>, early?: EarlyTransaction): Promise<T>;

  /**
   * Runs `work` on one committed state, beside the writer, limited in time. `asksOnce`: it asks one statement, which needs no transaction
   * around it for that. Fails with `AC_STORE_UNAVAILABLE`.
   */
  read<T>(work: (snapshot: Knex) => Promise<T>, asksOnce?: boolean): Promise<T>;

  /**
   * As `read` of one statement, on a connection that nothing else uses: who may speak is never behind what anybody reads. MUST be
   * asked one at a time, and for rows that an index finds.
   */
  lookUp<T>(work: (snapshot: Knex) => Promise<T>): Promise<T>;

  /** This database's text of `oldestReadyText`. */
  readonly oldestReady: string;

  /**
   * Whether a batch was committed. MUST wait for the end of a transaction that may still be about to commit it, or fail
   * with `AC_STORE_UNAVAILABLE`; MUST NOT wait for what runs in `write`.
   */
  committed(batchId: string): Promise<boolean>;

  /** Lets running work end, then lets go of everything. */
  close(): Promise<void>;
}
