/**
 * The tables of the memory store, as maps. Several storages may be opened on one database: shared ones at once, others one after the other.
 */
import type { Agent, PendingStop } from '../../core/domain/agent/agent.ts';
import { AUDIT_START, type AuditEntry, type AuditPlace } from '../../core/domain/audit/audit-entry.ts';
import type { HubLease, HubMail } from '../../core/domain/agent/hub-lease.ts';
import type { StoredEvent } from '../../core/domain/task/event.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { KeptResult } from '../../core/domain/task/kept-results.ts';
import type { StoredClock } from '../../core/domain/store-clock.ts';
import type { Tombstone } from '../../core/domain/task/tombstone.ts';
import type { TaskBody } from '../../core/domain/task/task.ts';
import type { TokenRecord } from '../../core/ports/agent-store.ts';
import type { ChangeHint } from '../../core/ports/hub-notifier.ts';
import type { StoredOutput } from '../../core/ports/output-store.ts';
import { turns, type Turn } from '../../core/ports/timing/turns.ts';
import type { IdempotencyRecord, KeptKey, TaskChange } from '../../core/ports/task-store.ts';
import type { Layer } from './layer.ts';
import { rowLocks, type RowLocks } from './row-locks.ts';

export interface MemoryDatabase {
  readonly storeId: string;
  readonly tasks: Map<TaskId, KeptTask>;
  /** The tasks that have not ended or will become due: what queues and sweeps scan. */
  readonly current: Map<TaskId, KeptTask>;
  readonly results: Map<TaskId, string>;
  /** Late and refused results, by `keptKeyOf`. */
  readonly kept: Map<string, KeptResult>;
  /** Of removed tasks. */
  readonly tombstones: Map<TaskId, Tombstone>;
  /** All events that were not removed, by id. */
  readonly events: StoredEvent[];
  /** The highest event id ever assigned. */
  lastEventId: number;
  /** The highest id of the removed events. */
  removedEventId: number;
  readonly eventsOf: Map<TaskId, StoredEvent[]>;
  /** Lowest `n` first. That of a removed task stays until its time. */
  readonly outputOf: Map<TaskId, StoredOutput[]>;
  readonly agents: Map<AgentId, Agent>;
  readonly stops: Map<string, PendingStop>;
  readonly keys: Map<string, IdempotencyRecord>;
  readonly tokens: Map<string, TokenRecord>;
  /** When each enrollment secret expires, by its hash. */
  readonly secrets: Map<string, number>;
  /** Lowest number first. */
  readonly audit: AuditEntry[];
  /** The place of the newest entry that was removed. */
  auditAnchor: AuditPlace;
  readonly hubs: Map<string, HubLease>;
  /** By id, oldest first. */
  readonly mail: Map<string, HubMail>;
  /** The listeners of each storage, for notifications from the others. */
  readonly listeners: Map<object, Set<(hint: ChangeHint) => void>>;
  /** Committed batches, oldest first, at most `BATCHES_KEPT`. */
  readonly batches: Set<string>;
  /** The locks of the transactions of shared storages, which run concurrently. */
  readonly locks: RowLocks;
  /** Serializes the writes of a storage that is not shared. */
  readonly inTurn: ReturnType<typeof turns>;
  /** The state left by the transaction that is being committed while the next one begins. Only for a storage that is not shared. */
  leaving: Changed | undefined;
  /** The store's clock as of the last transaction; null before the first. */
  clock: StoredClock | null;
  /** The storage that has it open; null if none has. Only for storages that are not shared. */
  holder: object | null;
}

/** The tables as a transaction leaves them, and the events that it adds, by task and number. */
export interface Changed {
  readonly tables: { readonly [T in TableName]: Layer<string, ValueOf<T>> };
  readonly addedBy: ReadonlyMap<string, StoredEvent>;
  /** The highest event id after it. */
  readonly lastEventId: number;
}
export type TableName =
  'tasks' | 'current' | 'results' | 'kept' | 'agents' | 'stops' | 'keys' | 'secrets' | 'tokens' | 'tombstones' | 'hubs' | 'mail';
export type ValueOf<T extends TableName> = MemoryDatabase[T] extends Map<string, infer V> ? V : never;

/** Serializes the writes of one storage: transactions and tokens. */
export type InTurn = <T>(database: MemoryDatabase, work: (turn: Turn) => Promise<T>, isEarly?: boolean) => Promise<T>;

export interface KeptTask extends TaskChange {
  readonly body: TaskBody;
}

/** How many committed batches are remembered. A hub asks about a batch right after its commit, so only a few later ones come in between. */
export const BATCHES_KEPT = 4_096;

export const stopKeyOf = (stop: Pick<PendingStop, 'agentId' | 'taskId' | 'generation'>): string =>
  `${stop.agentId} ${stop.taskId} ${stop.generation}`;

export const keptKeyOf = ({ taskId, generation, agentId }: KeptKey): string => `${taskId} ${generation} ${agentId}`;

export const keyOf = (name: { readonly owner: string; readonly key: string }): string => JSON.stringify([name.owner, name.key]);

/** By id. Ids are ASCII, so databases sort them the same way. */
export const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** A new, empty database, identified by `storeId`. */
export const memoryDatabase = (storeId: string): MemoryDatabase => ({
  storeId,
  tasks: new Map(),
  current: new Map(),
  results: new Map(),
  kept: new Map(),
  tombstones: new Map(),
  lastEventId: 0,
  removedEventId: 0,
  events: [],
  eventsOf: new Map(),
  outputOf: new Map(),
  agents: new Map(),
  stops: new Map(),
  keys: new Map(),
  tokens: new Map(),
  secrets: new Map(),
  audit: [],
  auditAnchor: AUDIT_START,
  hubs: new Map(),
  mail: new Map(),
  listeners: new Map(),
  batches: new Set(),
  locks: rowLocks(),
  inTurn: turns(),
  leaving: undefined,
  clock: null,
  holder: null,
});
