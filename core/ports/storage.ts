/** One database behind the three stores: opened and closed as a whole. */
import type { AgentStore } from './agent-store.ts';
import type { EventFeed } from './event-feed.ts';
import type { HubNotifier } from './hub-notifier.ts';
import type { TaskStore } from './task-store.ts';

export interface Storage {
  readonly name: string;
  readonly tasks: TaskStore;
  readonly agents: AgentStore;
  readonly events: EventFeed;
  readonly notifier: HubNotifier;

  /**
   * Makes ready: locks, migrates, verifies.
   * MUST fail with `AC_STORAGE_LOCKED` when another hub holds a store that is not `shared`, with `AC_STORAGE_OPEN` when
   * it cannot be opened (naming the file or server and what to do), and with `AC_SCHEMA_UNKNOWN` when the schema is
   * newer than this program. MUST be safe to call twice and at once, and again after a failure.
   */
  open(): Promise<StorageOpened>;

  /** Lets go of everything. MUST be safe to call twice, at once, and before `open`. */
  close(): Promise<void>;

  /** Whether it can commit at this moment. MUST NOT throw. */
  healthy(): Promise<boolean>;

  /**
   * How many transactions the database ended because they waited for each other, since this storage was made. Left out where
   * only one hub writes. MUST NOT throw.
   */
  deadlocks?(): number;
}

export interface StorageOpened {
  /** Names this database; made with it, renewed by a restore. */
  readonly storeId: string;
}
