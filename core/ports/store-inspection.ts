/**
 * A stored hub as it lies there, opened only to be looked at: while its hub runs or when it is stopped, one committed state
 * throughout. Nothing of it is locked, migrated or written.
 */
import type { Agent, PendingStop } from '../domain/agent/agent.ts';
import type { StoredEvent } from '../domain/task/event.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task/task.ts';
import type { Tombstone } from '../domain/task/tombstone.ts';
import type { IdempotencyRecord } from './task-store.ts';

/** What a storage finds wrong by itself, before any rule of the domain is asked. */
export const STORE_CHECKS = [
  /** Not ours, written by a newer version, or not migrated yet: nothing else can be checked. */
  'schema',
  /** The file: pages, indexes, keys, as the database itself checks them. */
  'file',
  /** A row, or a whole table from some row on, that cannot be read. */
  'unreadable',
  /** A task without what its submitter said. */
  'body',
  /** A completed task without its result, or other results kept apart than the task names. */
  'result',
  /** A task whose dependency is not noted where completing it is looked up. */
  'dependency',
  /** A column that does not say what the row's state says. */
  'copies',
  /** The numbers of tasks that `stats` shows. */
  'counts',
  /** A row that belongs to no task. */
  'orphan',
] as const;
export type StoreCheck = (typeof STORE_CHECKS)[number];

export interface StoreDamage {
  readonly check: StoreCheck;
  /** One sentence for people, without its full stop. */
  readonly what: string;
  readonly taskId: TaskId | null;
}

/** Some rows in the order of their ids. */
export interface TaskPage {
  /** Those that could be read, with when the sweeper is to look at them. */
  readonly tasks: readonly { readonly task: Task; readonly dueAtMs: number | null }[];
  readonly damage: readonly StoreDamage[];
  /** Where the next page begins; null after the last. */
  readonly next: string | null;
}

/** MUST read one committed state until `close`, and MUST NOT change anything. */
export interface StoreInspection {
  /** Whether this program can read it as it is. With damage of the schema nothing else may be asked. */
  schema(): Promise<readonly StoreDamage[]>;
  /**
   * What the database finds wrong with its file, where that takes seconds: null where the file is too large for that, or is checked by
   * the tools of its server.
   */
  quick(): Promise<readonly StoreDamage[] | null>;
  /**
   * What the database finds wrong with its file and with the tables as a whole. Reads all of it. MUST answer the damage of the
   * file alone where there is any: what else is found then only repeats it.
   */
  whole(): Promise<readonly StoreDamage[]>;
  /** MUST answer what can be read of the page and say in `damage` what cannot. */
  tasks(after: string | null, limit: number): Promise<TaskPage>;
  /** These tasks, as far as they are there. */
  tasksById(ids: readonly TaskId[]): Promise<readonly Task[]>;
  /** What is left of these tasks, as far as they were removed. */
  tombstonesById(ids: readonly TaskId[]): Promise<readonly Tombstone[]>;
  /** All events of these tasks, lowest id first. */
  eventsOf(ids: readonly TaskId[]): Promise<readonly StoredEvent[]>;
  /** Events with a higher id, lowest first. */
  events(afterId: number, limit: number): Promise<readonly StoredEvent[]>;
  agents(): Promise<readonly Agent[]>;
  stops(): Promise<readonly PendingStop[]>;
  /** Keys after that place, in an order of the storage's own. */
  keys(after: string | null, limit: number): Promise<{ readonly keys: readonly IdempotencyRecord[]; readonly next: string | null }>;
  close(): Promise<void>;
}
