/** One database with its stores, opened and closed as a whole. */
import type { WholeTask } from '../domain/task/removal.ts';
import type { AuditDraft, AuditEntry, AuditPlace } from '../domain/audit/audit-entry.ts';
import type { AgentStore } from './agent-store.ts';
import type { EventFeed } from './event-feed.ts';
import type { HubNotifier } from './hub-notifier.ts';
import type { OutputStore } from './output-store.ts';
import type { TaskStore } from './task-store.ts';

/** All that a hub stores, in one database. */
export interface Storage {
  readonly name: string;
  readonly tasks: TaskStore;
  readonly agents: AgentStore;
  readonly events: EventFeed;
  readonly output: OutputStore;
  readonly audit: AuditLog;
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

  /** Resolves to whether it can commit now; small commits that succeed on a full disk do not count. MUST NOT reject. */
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

/** What is known about a storage once it is open. */
export interface StorageOpened {
  /** Identifies this database. Created with it, and replaced by a restore. */
  readonly storeId: string;
}

/**
 * The audit log of the store: one chain, whichever hub appends to it. Most entries are appended in the commit of the act itself (`AgentStore`,
 * `Changes.audit`).
 */
export interface AuditLog {
  /**
   * Appends these in one commit, in this order. MUST number entries without gaps, and link each to the previous one, as `entriesAfter` does.
   * MUST wait for a transaction of another hub that is appending, and this MUST be the last thing that it waits for.
   */
  append(drafts: readonly AuditDraft[]): Promise<void>;

  /** Entries with a higher number than `after`, lowest first, and both ends of the chain, all from one snapshot. */
  read(query: { readonly after: number; readonly limit: number }): Promise<AuditPage>;

  /**
   * Removes the oldest entries that `removableEntries` names, and keeps the place of the last of them as the anchor. Returns how many. MUST
   * remove none while no clock is trusted (`StoreUnit.removableMs`).
   */
  remove(old: AuditRemoval): Promise<number>;
}

/** Entries in the order of their numbers, and where the chain begins and ends. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** The newest entry that was removed, which the oldest one follows; `AUDIT_START` if none was. */
  readonly anchor: AuditPlace;
  /** The newest entry. */
  readonly head: AuditPlace;
}

/** Which of the oldest entries are removed, at most `limit`. */
export interface AuditRemoval {
  /** Milliseconds, by store time. */
  readonly keptMs: number;
  /** The newest entries that stay, if they are not too old. */
  readonly entriesMax: number;
  readonly limit: number;
}

/** Those of the oldest entries, lowest number first, that are to be removed: up to the first that stays. */
export function removableEntries<E extends AuditPlace & { readonly atMs: number }>(
  oldest: readonly E[],
  head: AuditPlace,
  { keptMs, entriesMax, nowMs }: AuditRemoval & { readonly nowMs: number },
): readonly E[] {
  const stays = oldest.findIndex(({ seq, atMs }) => atMs > nowMs - keptMs && seq > head.seq - entriesMax);
  return stays === -1 ? oldest : oldest.slice(0, stays);
}
