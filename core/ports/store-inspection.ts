/** A read-only view of a hub's database, for consistency checks. Works while its hub runs, and when it is stopped. */
import type { Agent, PendingStop } from '../domain/agent/agent.ts';
import type { StoredEvent } from '../domain/task/event.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task/task.ts';
import type { Tombstone } from '../domain/task/tombstone.ts';
import type { AuditPage } from './storage.ts';
import type { IdempotencyRecord } from './task-store.ts';

/** What a storage checks by itself, before the invariants of the domain are checked. */
export const STORE_CHECKS = [
  /** The schema is not ours, so that nothing else can be checked; or it is of another version, or only a part of a store was copied. */
  'schema',
  'schema_newer',
  'schema_older',
  'schema_unfinished',
  /** The database's own check of its file failed: pages, indexes, keys. */
  'file',
  /** The ID of the store is missing: a hub would make a new one. */
  'store_id',
  /** A row cannot be read, or a table cannot be read from some row on. */
  'unreadable',
  /** A task has no body, or one that cannot be read. */
  'body',
  /** A completed task has no result, or the stored late and refused results are not those that the task lists. */
  'result',
  /** A dependency of a task is missing from the table that is read when a task completes. */
  'dependency',
  /** A column differs from the field of the stored state that it copies. */
  'copies',
  /** The counts that `stats` returns are wrong. */
  'counts',
  /** A row belongs to no task. */
  'orphan',
] as const;
/** A check of a whole store; see `STORE_CHECKS`. */
export type StoreCheck = (typeof STORE_CHECKS)[number];

/** One thing that is wrong in a store. */
export interface StoreDamage {
  readonly check: StoreCheck;
  /** One sentence for people, without the final period. */
  readonly what: string;
  /** For damage of an agent's event: `agentHistoryId`. */
  readonly taskId: TaskId | null;
}

/** What was found in some rows. MUST have everything that could be read, and in `damage` what could not. */
export interface FoundRows<T> {
  readonly found: readonly T[];
  readonly damage: readonly StoreDamage[];
}

/** A page of rows, in any stable order. */
export interface FoundPage<T> extends FoundRows<T> {
  /** The `after` of the next page; null: this was the last. */
  readonly next: string | null;
}

/** A stored task; `dueAtMs` as in `TaskChange`. */
export interface InspectedTask {
  readonly task: Task;
  readonly dueAtMs: number | null;
}

/** MUST read one committed state from the first call until `close`. MUST NOT lock, migrate or write anything. */
export interface StoreInspection {
  /**
   * Damage of the schema, or of the file if that keeps it from being read; empty if this program can read the database. If there is any,
   * nothing else may be called. Fails with `AC_STORE_UNAVAILABLE` if it cannot be read for another reason.
   */
  schema(): Promise<readonly StoreDamage[]>;
  /**
   * The database's own check of its file, if it takes seconds at most. Null if the file is too large for that, or if checking it is the
   * job of the server's tools.
   */
  quick(): Promise<readonly StoreDamage[] | null>;
  /**
   * Checks the file completely, and the tables as a whole. Reads the whole database. If the file is damaged, MUST return that
   * damage only: whatever else is found is then a consequence of it.
   */
  whole(): Promise<readonly StoreDamage[]>;
  /** Tasks in the order of their ids, and the damage of what is stored with each, except for its history. */
  tasks(after: string | null, limit: number): Promise<FoundPage<InspectedTask>>;
  /** Those of these tasks that exist and can be read. */
  tasksById(ids: readonly TaskId[]): Promise<readonly Task[]>;
  /** The tombstones of those of these tasks that were removed, if they can be read. */
  tombstonesById(ids: readonly TaskId[]): Promise<readonly Tombstone[]>;
  tombstones(after: string | null, limit: number): Promise<FoundPage<Tombstone>>;
  /** All events of these tasks, lowest id first. */
  eventsOf(ids: readonly TaskId[]): Promise<FoundRows<StoredEvent>>;
  /** All events, lowest id first. `limit`: rows, each of which holds a few. */
  events(after: string | null, limit: number): Promise<FoundPage<StoredEvent>>;
  agents(): Promise<FoundRows<Agent>>;
  stops(): Promise<FoundRows<PendingStop>>;
  keys(after: string | null, limit: number): Promise<FoundPage<IdempotencyRecord>>;
  /** Like `AuditLog.read`. */
  audit(query: { readonly after: number; readonly limit: number }): Promise<AuditPage>;
  close(): Promise<void>;
}
