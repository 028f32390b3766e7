/**
 * What a database offers to the stores in this folder. The stores know rows, JSON and the names of statements; an engine knows one
 * database: how to open it, its text for each statement, its transactions and its failures.
 */
import type { Knex } from 'knex';
import type { TaskId } from '../../core/domain/ids.ts';
import type { StoreClock } from '../../core/domain/store-clock.ts';
import type { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { TaskBody } from '../../core/domain/task/task.ts';
import type { HubNotifier } from '../../core/ports/hub-notifier.ts';
import type { EarlyTransaction } from '../../core/ports/timing/turns.ts';
import type { Changes, StoreCapabilities } from '../../core/ports/task-store.ts';
import type { EventRow } from './rows/event-rows.ts';
import type { Row } from './rows/row.ts';
import type { agentColumns, keptColumns, taskColumns } from './rows/rows.ts';
import type { ClusterStatementName, CountingStatementName, StatementName } from './statements.ts';

export type { Row } from './rows/row.ts';
export type { CountingStatementName } from './statements.ts';

/** Runs statements by name. A statement's parameter is any JSON value. */
export interface StatementsRun<Name extends string> {
  /** The rows that the statement returns. */
  rows(statement: Name, parameter?: unknown): Promise<readonly Row[]>;
  /** How many rows the statement changed. */
  change(statement: Name, parameter?: unknown): Promise<number>;
}

/**
 * One transaction. Statements may be issued without awaiting earlier ones: they run in the order of the calls, and none runs after one that
 * failed.
 */
export interface Transaction extends StatementsRun<StatementName> {
  /** The store's time when it began. */
  readonly nowMs: number;
  /** The time by which age is judged for removal; null: nothing may be removed. */
  readonly removableMs: number | null;
  /**
   * While nobody else writes to the database, the same object in each transaction: what was read or saved under it is still valid. Null:
   * others may write at any moment.
   */
  readonly exclusive: object | null;
  /** The statements that several hubs need; null if the database serves one hub. */
  readonly cluster: StatementsRun<ClusterStatementName> | null;
  /** The statements with which the code that saves tasks counts them; null if the database counts them itself. */
  readonly counting: StatementsRun<CountingStatementName> | null;
  /** Records the batch, together with the last statements. If it is not called, the batch is recorded after the work. */
  readonly record?: () => Promise<void>;
  /**
   * Runs a statement that reads, behind everything that was saved in earlier transactions, also after the end of this one, and delays nothing
   * else. It sees what this one and later ones save, or does not. Null: this database cannot do it.
   */
  readonly readAhead: ((statement: 'waitingBehind' | 'loadBodies', parameter: unknown) => Promise<readonly Row[]>) | null;
  /**
   * Saves all rows at once and commits, as the last action of the transaction; returns the number of the newest event before. Null: nothing
   * was done, and the rows must be saved statement by statement. Undefined: this database cannot do it. `counts`: if `counting` is not
   * null, how the rows change the counts if every new task is really new. If one is not, nothing is done. `isCertain`: the database must
   * accept the rows if every new task and key is really new.
   */
  readonly saveAndCommit?: (rows: SavedRows, counts: readonly CountChange[], isCertain: boolean) => Promise<number | null>;
}

/** Where a task is counted: by its status, and its lane, which never changes. */
export interface CountedPlace {
  readonly status: string;
  readonly lane: number;
}

/** By how much the number of tasks in a place changes; never 0. */
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
  /** Whether a `write` failed with this because the database has no space left. */
  isOutOfSpace(failure: AgentcomError): boolean;
  /** Locks, migrates, verifies. Fails with the codes of `Storage.open`, and then holds nothing. */
  open(): Promise<OpenEngine>;
}

export interface OpenEngine {
  readonly storeId: string;
  /** Gives the transactions their time. Still read after `close`. */
  readonly clock: StoreClock;

  /**
   * Runs `work` in a transaction, after those requested before it, and resolves after the commit; if it fails, everything is rolled back.
   * `batchId` is recorded in the same commit. Fails with the codes of `TaskStore.transact`.
   *
   * With `early`, statements of a transaction that began early wait for the end of the one before.
   */
  write<T>(batchId: string | null, work: (transaction: Transaction) => Promise<T>, early?: EarlyTransaction): Promise<T>;

  /**
   * Runs `work` on one committed state, concurrently with the writer, within a time limit. `isSingleStatement`: it runs a single statement, which
   * needs no transaction for that. Fails with `AC_STORE_UNAVAILABLE`.
   */
  read<T>(work: (snapshot: Knex) => Promise<T>, isSingleStatement?: boolean): Promise<T>;

  /**
   * As `read` of one statement, on a connection that nothing else uses, so that checks of tokens never wait for other reads. MUST be called
   * one at a time, and for rows that an index finds.
   */
  lookUp<T>(work: (snapshot: Knex) => Promise<T>): Promise<T>;

  /** This database's text of `oldestReadyText`. */
  readonly oldestReady: string;

  /** The column of `tasks` by which lists order tasks that were created in the same millisecond: the last one of their indexes. */
  readonly listTie: 'id' | 'rowid';

  /** Whether an index has all tasks in the order of lists. */
  readonly hasListOfAll: boolean;

  /**
   * Whether a batch was committed. MUST wait for the end of a transaction that may still be about to commit it, or fail
   * with `AC_STORE_UNAVAILABLE`; MUST NOT wait for what runs in `write`.
   */
  committed(batchId: string): Promise<boolean>;

  /** Waits for running work to end, then releases everything. */
  close(): Promise<void>;
}
