/** One database with its stores, opened and closed as a whole. */
import type { WholeTask } from '../domain/task/removal.ts';
import type { AgentStore } from './agent-store.ts';
import type { EventFeed } from './event-feed.ts';
import type { HubNotifier } from './hub-notifier.ts';
import type { OutputStore } from './output-store.ts';
import type { TaskStore } from './task-store.ts';

export interface Storage {
  readonly name: string;
  readonly tasks: TaskStore;
  readonly agents: AgentStore;
  readonly events: EventFeed;
  readonly output: OutputStore;
  readonly notifier: HubNotifier;

  /**
   * Locks, migrates and verifies the database.
   * MUST reject with `AC_STORAGE_LOCKED` if another hub uses a store that is not `shared`, with `AC_STORAGE_OPEN` if it cannot be opened
   * (naming the file or server, and what to do), and with `AC_SCHEMA_UNKNOWN` if the schema is newer than this program. MUST be safe to
   * call twice, concurrently, and again after a failure.
   */
  open(): Promise<StorageOpened>;

  /** Closes the database and releases its lock. MUST be safe to call twice, concurrently, and before `open`. */
  close(): Promise<void>;

  /** Resolves to whether it can commit now. MUST NOT reject. */
  healthy(): Promise<boolean>;

  /**
   * How many transactions the database has aborted because of deadlocks since this storage was created. Omitted by a store for one
   * hub. MUST NOT throw.
   */
  deadlocks?(): number;
}

/** Where tasks go when they are removed from the store. */
export interface TaskArchive {
  /**
   * Resolves once the tasks would survive a crash of the machine; rejects with `AC_ARCHIVE`. A task is passed again if its removal was
   * not committed.
   */
  append(tasks: readonly WholeTask[], nowMs: number): Promise<void>;
}

export interface StorageOpened {
  /** Identifies this database. Created with it, and replaced by a restore. */
  readonly storeId: string;
}
