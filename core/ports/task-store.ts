/**
 * The durable store of tasks. It stores rows and makes no decisions. One transaction carries a whole batch of commands. All times are
 * milliseconds since 1970.
 */
import type { Agent, PendingStop } from '../domain/agent/agent.ts';
import type { AuditDraft } from '../domain/audit/audit-entry.ts';
import type { StoredEvent, TaskEvent } from '../domain/task/event.ts';
import type { HubMail } from '../domain/agent/hub-lease.ts';
import type { AgentId, Generation, TaskId } from '../domain/ids.ts';
import type { KeptResult } from '../domain/task/kept-results.ts';
import type { AgentRemoval, Removal, Removed, RemovedAgents } from '../domain/task/removal.ts';
import type { Tombstone } from '../domain/task/tombstone.ts';
import type { TaskRow, Requirement, RequirementGroup, Status, Priority, Task, TaskBody } from '../domain/task/task.ts';
import type { ActiveAgent, ClusterUnit, KnownAgents } from './cluster-unit.ts';
import type { EarlyTransaction } from './timing/turns.ts';

/** How stores differ. */
export interface StoreCapabilities {
  /** A commit survives a crash of the process and, if the disk honors sync, of the machine. */
  readonly durable: boolean;
  /** Several hubs can use it at once. */
  readonly shared: boolean;
}

/** Before `open` and after `close` of its storage, every call that returns a promise MUST reject with `AgentcomError` `AC_STORE_CLOSED`. */
export interface TaskStore {
  readonly capabilities: StoreCapabilities;

  /**
   * The store's time, as closely as it is known outside a transaction (core/domain/store-clock.ts). It follows the clock of this
   * machine or, if several hubs can use the store, of the database server. Whole milliseconds. MUST NOT throw. From the first `open` on
   * it MUST NOT go backwards, whatever those clocks do, not even across `close` and `open`. Before that, it is the time of this machine.
   */
  nowMs(): number;

  /** The time of the clock that the store's time follows, as far as it is trusted, to compare clocks. Never after `nowMs`. MUST NOT throw. */
  wallMs(): number;

  /** The store time at which the store was last known to be in use before this `open`; null for a new store. */
  lastUsedMs(): number | null;

  /**
   * Runs `work` in one transaction and, after the commit, resolves to what `work` returned.
   *
   * - MUST make the transactions of one store appear serial to each other.
   * - MAY run `work` again from its beginning, in a new transaction, as long as nothing is committed.
   * - If `work` or the commit fails, MUST roll back everything and reject with that failure.
   * - MUST report a failure that a retry may resolve (busy, deadlock, serialization) as `AC_STORE_RETRY`; a full disk, a broken file or a
   *   lost connection as `AC_STORE_UNAVAILABLE`; and a COMMIT whose outcome is unknown as `AC_COMMIT_UNKNOWN`.
   * - If `capabilities.durable`, MUST NOT resolve before the commit is on disk.
   * - MUST record `batchId` in the same commit, for `committed`. Need not if nothing was saved.
   * - With `early`, `work` MAY begin while the previous transaction is being committed, and then sees the state that that one will leave.
   *   MUST NOT commit or resolve before that one has ended and, unless it was committed, MUST reject with `AC_STORE_RETRY`.
   */
  transact<T>(batchId: string, work: (unit: StoreUnit) => Promise<T>, early?: EarlyTransaction): Promise<T>;

  /** Whether the batch was committed. Called after `AC_COMMIT_UNKNOWN`; MUST use a fresh connection. */
  committed(batchId: string): Promise<boolean>;

  /** A task with its body, its result and its newest events (`history` with `HISTORY_PAGE`); undefined if there is no such task. */
  read(id: TaskId): Promise<TaskRecord | undefined>;

  /**
   * A page of the events of a task, oldest first: the newest events, the newest with a `seq` below `before`, or the oldest with a `seq`
   * above `after`. The numbers (`seq`) have no gaps. At most `limit` events, and no further ones once they have `bytesMax` bytes, but at
   * least one. Empty for an unknown task.
   * MUST NOT load more than that.
   */
  history(id: TaskId, page: HistoryQuery): Promise<readonly StoredEvent[]>;

  /** A late or refused result, complete; undefined if there is none. */
  keptResult(key: KeptKey): Promise<KeptResult | undefined>;

  /**
   * A page of tasks, newest or oldest first by `createdAtMs`, with body and result but without events; tasks of the same millisecond in an
   * order of the store's own, which never changes and is the reverse in the other direction. MUST NOT skip or repeat a task that exists
   * throughout, however many are added between two pages.
   */
  list(query: TaskQuery): Promise<readonly TaskRow[]>;

  /** The first `limit` tasks, by id, whose id begins with `prefix` and is greater than `after`. MUST NOT read more tasks than that. */
  beginningWith(prefix: string, limit: number, after?: TaskId): Promise<readonly TaskRow[]>;

  /**
   * How many tasks have each status, and how many queued tasks have each priority (`queuedByPriority`). MUST list every status and priority, with 0 if
   * there are none.
   */
  stats(): Promise<TaskStats>;

  /**
   * When the longest-waiting task of each priority that is claimable at `nowMs` (`isClaimable`) became so; null: there is none. MUST NOT be
   * slowed down by the number of tasks: it MAY look at the tasks of only `OLDEST_REQUIREMENTS_MAX` requirements, the first by key.
   */
  oldestReady(nowMs: number): Promise<Readonly<Record<Priority, number | null>>>;

  /** The states of these tasks; omits unknown ones. For reads that need no transaction. */
  peek(ids: readonly TaskId[]): Promise<readonly Task[]>;

  /** The earliest `dueAtMs` of all tasks; null if none has one. */
  nextDueAtMs(): Promise<number | null>;
}

/**
 * The unit of work. Rows that it has loaded do not change until the transaction ends.
 *
 * Lock order, if several hubs use the store: to rule out deadlocks, every transaction waits for locks in the same order, which the shape
 * of this interface enforces: the lease of a hub (`cluster.renewLease`); then the rows that `load` names (idempotency keys, agents, tasks,
 * pending stops, each kind by id); then the rows that `save` adds (new agents by id, stops, event numbers, audit log). The caller calls `renewLease`
 * before `load`, `load` once, and `save` after it. Every other call MUST NOT wait for a lock: it reads without locking, or it skips rows
 * that another transaction has locked.
 *
 * Calls may be made without awaiting earlier ones. Each MUST take effect after those before it: a read that follows `load` sees what was
 * committed while `load` waited.
 */
export interface StoreUnit {
  /**
   * The store's time when the transaction began. All stored times are set and compared by it, so that the clocks of hubs need not
   * agree.
   */
  readonly nowMs: number;

  /** The time by which the age of rows is judged for removal, at most `nowMs`. Null: no clock is trusted, rows MUST NOT be removed. */
  readonly removableMs: number | null;

  /** No other hub writes to the store until this transaction ends. True if `capabilities.shared` is false. */
  readonly isExclusive: boolean;

  /** For clusters. Null if `capabilities.shared` is false: the only hub needs no lease, has every duty and gets no mail. */
  readonly cluster: ClusterUnit | null;

  /**
   * Loads and locks all rows that a batch needs, in one call, and waits for transactions that hold some of them.
   * MUST omit unknown ids, and return each known one once. MUST return numbers as numbers, and states as of after the wait.
   */
  load(names: LoadNames): Promise<Loaded>;

  /**
   * Tasks and agents as they were last committed, without locking: another hub may change them at any moment. The caller may rely only
   * on facts that never change back, such as that a task is completed.
   */
  read(names: Pick<LoadNames, 'tasks' | 'agents'>): Promise<Pick<Loaded, 'tasks' | 'tombstones' | 'agents'>>;

  /** Loads and locks these agents without waiting. MUST skip those that another transaction has locked. */
  takeAgents(ids: readonly AgentId[]): Promise<readonly Agent[]>;

  /**
   * The requirements (`waitingRequirement`) of the tasks that are claimable at `nowMs` (`isClaimable`), each once. `groups`: only these;
   * default: all. MUST read about `limit` requirements at most, however many tasks wait, and report in `isAll` whether these were all, and
   * in `readTo` how far it came: those of each group in the order of their keys.
   */
  waitingRequirements(filter: {
    readonly nowMs: number;
    readonly limit: number;
    readonly groups?: readonly RequirementGroup[] | undefined;
  }): Promise<WaitingRequirements>;

  /**
   * For each requirement key (`requirementKey` of `waitingRequirement`, which changes with `rejectedBy`) and priority, the first
   * `limitPerLane` tasks that are claimable at `nowMs` (`isClaimable`), locked. Those of one requirement are in the order of
   * `compareClaimable`. MUST skip those that another transaction has locked. MUST NOT be slowed down by tasks of other requirements.
   */
  claimable(filter: {
    readonly requirementKeys: readonly string[];
    readonly nowMs: number;
    readonly limitPerLane: number;
  }): Promise<readonly Task[]>;

  /**
   * Tasks whose `dueAtMs` is at or before `nowMs`, earliest first, at most `limit`, locked. MUST skip those that another transaction has
   * locked.
   */
  due(nowMs: number, limit: number): Promise<readonly Task[]>;

  /** The agents that the tasks that `due` would find are assigned to, each once, in any order. Locks nothing. */
  dueAssignees(nowMs: number, limit: number): Promise<readonly AgentId[]>;

  /**
   * Blocked tasks that depend on these tasks, each once and locked: the dependents of the first with an id above its `after`, by id, then
   * those of the second, and so on. MUST read `limit` dependencies at most, MUST stop before a dependent that another transaction has
   * locked, and MUST return in `left` each task with remaining dependents, with the `after` from which to continue.
   */
  dependentsOf(of: readonly DependentsOf[], limit: number): Promise<Dependents>;

  /** The bodies of these tasks, for their assignment. Omits unknown ids. */
  bodies(ids: readonly TaskId[]): Promise<readonly { readonly taskId: TaskId; readonly body: TaskBody }[]>;

  /**
   * The number of live assignments plus pending stops of each of these agents, all from one snapshot. Locks nothing: the count can become
   * too high if another hub ends one meanwhile, but not too low, because only the hub of an agent assigns tasks to it.
   */
  heldCounts(agentIds: readonly AgentId[]): Promise<readonly HeldCount[]>;

  /**
   * Agents that are connected or have a pending stop, except those that are connected to one of these hubs. By id. Locks nothing. If
   * exactly `known.count` agents are connected to the hub `known.hubId`, it knows them all: those without a pending stop MUST be left out.
   */
  activeAgents(exceptOf: readonly string[], known?: KnownAgents): Promise<readonly ActiveAgent[]>;

  /**
   * Removes old rows, at most `limit` of each kind, and returns how many. It removes a task with its body, results, history and
   * dependencies, and leaves a tombstone. It also removes enrollment secrets that expired by `nowMs`.
   *
   * - MUST keep the highest id of the removed events, for `EventFeed.marks`.
   * - MUST NOT remove a task or tombstone on which a task depends that is neither completed nor cancelled, nor a task that has a pending
   *   stop or a `dueAtMs`, nor the task of the newest event, from which streams know the current position.
   * - MUST read `lookedMax` ended tasks at most, oldest first, from `after` on.
   * - MUST pass tasks to `archive`, if it is given, before it removes them, in pieces of about `ARCHIVED_BYTES` or one larger task. If
   *   it fails, MUST fail with its error.
   * - MUST see what was saved before in the same transaction.
   */
  remove(old: Removal): Promise<Removed>;

  /**
   * Removes agents that no sidecar can use any more, with their tokens: those that are not connected, have no live tasks or pending stops,
   * and whose tokens (at least one) were all revoked or expired by `beforeMs`. MUST read `lookedMax` agents at most, by id, from `after`
   * on, and MUST skip those that another transaction has locked. Of each agent that it reads and that stays it keeps the newest
   * `eventsKept` events and, of those before them, the newest in `PRESENCE_EVENT_NAMES` and the newest that is not, so that the events that
   * are left give the agent's state. Of the agents that it removes it keeps no events. `EventFeed.marks` does not count these removals. MUST
   * NOT remove the newest event of the store.
   */
  removeAgents(old: AgentRemoval): Promise<RemovedAgents>;

  /**
   * Writes the changes of the batch. Returns the events with their ids; an event that was saved before keeps its id.
   *
   * - MUST tolerate a repeated insert of a task, key or event: it changes nothing.
   * - MUST number events in the order given.
   * - If `isExclusive`, keys that were not loaded may be saved: if one of them already exists with other tasks, MUST fail with
   *   `AC_STORE_RETRY`, and the transaction changes nothing.
   * - If `hasNamed`, a task that should be new may exist: if one of that ID is stored or has a tombstone, or if that ID is an idempotency key
   *   of its submitter, MUST fail with `AC_STORE_RETRY`, and the transaction changes nothing.
   * - If `kept` has two results with the same `KeptKey`, MUST keep the later one. `keptDropped` never names one that is in `kept`.
   * - `isLast` (default: false): `work` MUST NOT use the unit after this call and MUST NOT fail, so that the store can commit with the
   *   same statement.
   */
  save(changes: Changes, isLast?: boolean): Promise<readonly StoredEvent[]>;
}

/** A task whose dependents are wanted: those with an id above `after` (`''`: all). */
export interface DependentsOf {
  readonly id: TaskId;
  readonly after: TaskId | '';
}

/** Tasks that wait for others, as far as they were found. */
export interface Dependents {
  readonly tasks: readonly Task[];
  /** What to call `dependentsOf` with to continue; empty: these were all. */
  readonly left: readonly DependentsOf[];
}

/** The different requirements of queued tasks. `isAll`: there are no further ones. */
export interface WaitingRequirements {
  readonly requirements: readonly Requirement[];
  readonly isAll: boolean;
  /** For each of the groups, the last key that was read (`lastKeys`), even if no task with it is claimable yet; null: there was none. */
  readonly readTo?: readonly (string | null)[] | undefined;
}

/** How many dependents of `completing` tasks `load` locks, in total. */
export const DEPENDENTS_LOCKED = 500;

/** What a batch loads, by name. */
export interface LoadNames {
  readonly tasks?: readonly TaskId[] | undefined;
  readonly agents?: readonly AgentId[] | undefined;
  readonly keys?: readonly IdempotencyName[] | undefined;
  /**
   * Agents to load with their holdings: the tasks assigned to them, their pending stops and the tasks of those. An agent whose row cannot
   * be read is omitted, unless `agents` names it too.
   */
  readonly holders?: readonly AgentId[] | undefined;
  /**
   * Those of `tasks` that may be completed. About `DEPENDENTS_LOCKED` of their dependents, the first by id, are locked with them and may
   * be returned too, so that `dependentsOf` does not stop at locked ones among these.
   */
  readonly completing?: readonly TaskId[] | undefined;
  /** Those of `tasks` that may be blocked again by their dependencies. These dependencies are locked with them, and may be returned too. */
  readonly retried?: readonly TaskId[] | undefined;
}

/** What a batch has loaded and locked. What does not exist is left out. */
export interface Loaded {
  readonly tasks: readonly Task[];
  /** The tombstones of those of the named tasks that were removed. */
  readonly tombstones: readonly Tombstone[];
  readonly agents: readonly Agent[];
  readonly keys: readonly IdempotencyRecord[];
  /** One for each of `holders`, even if it holds nothing. */
  readonly holdings: readonly Holding[];
}

/** What an agent holds: the tasks assigned to it, and its pending stops. */
export interface Holding {
  readonly agentId: AgentId;
  readonly live: readonly Task[];
  readonly stops: readonly PendingStop[];
}

/** How many assignments an agent has, including its pending stops. */
export interface HeldCount {
  readonly agentId: AgentId;
  readonly held: number;
}

/** An idempotency key, which counts for the token that used it. */
export interface IdempotencyName {
  /** ID of the token that submitted. */
  readonly owner: string;
  readonly key: string;
}

/** What a submit with an idempotency key has created. */
export interface IdempotencyRecord extends IdempotencyName {
  /** SHA-256 of the request body, hexadecimal. */
  readonly digest: string;
  readonly taskIds: readonly TaskId[];
  readonly createdAtMs: number;
}

/** A task to save. `dueAtMs`: when the sweeper must handle it next, as computed by the domain; null: never. */
export interface TaskChange {
  readonly task: Task;
  readonly dueAtMs: number | null;
}

/** What one transaction writes. */
export interface Changes {
  readonly inserted: readonly (TaskChange & { readonly body: TaskBody })[];
  /** Whether idempotency keys name some of them. Default: false. */
  readonly hasNamed?: boolean | undefined;
  readonly updated: readonly TaskChange[];
  /** Those of one task in the order of their `seq`. A hub often puts them next to each other, which lets a store keep them together. */
  readonly events: readonly TaskEvent[];
  /** Results of completed tasks: JSON text, stored unchanged. */
  readonly results: readonly { readonly taskId: TaskId; readonly json: string }[];
  /** Late and refused results to store, and to delete. */
  readonly kept: readonly KeptResult[];
  readonly keptDropped: readonly KeptKey[];
  readonly agents: readonly Agent[];
  readonly stopsSet: readonly PendingStop[];
  readonly stopsCleared: readonly Pick<PendingStop, 'agentId' | 'taskId' | 'generation'>[];
  readonly keys: readonly IdempotencyRecord[];
  /** Frames for other hubs to send. Mail to a hub without a lease is dropped; so is all mail if `cluster` is null. */
  readonly mail: readonly HubMail[];
  /** Appended to the audit log in this commit, after everything else that the commit waits for. Default: nothing. */
  readonly audit?: readonly AuditDraft[] | undefined;
}

/** A task with everything that is shown about it. */
export interface TaskRecord extends TaskRow {
  /** Its newest events, oldest first. */
  readonly events: readonly StoredEvent[];
}

/** Identifies a late or refused result. */
export interface KeptKey {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly agentId: AgentId;
}

/** A page of the history of a task. `before` and `after` are never combined. */
export interface HistoryQuery {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly limit: number;
  readonly bytesMax: number;
}

/** The newest events that are returned with a task. Details have at most 16 KiB each, so a page has little more than a mebibyte. */
export const HISTORY_PAGE = { limit: 500, bytesMax: 1_048_576 } as const satisfies HistoryQuery;

/** The bytes that an event counts towards `bytesMax`, in addition to its details. */
export const EVENT_BYTES = 256;

/** Which tasks are listed: at most `limit` that match every given field. */
export interface TaskQuery {
  readonly status?: Status | undefined;
  readonly priority?: Priority | undefined;
  readonly assignedTo?: AgentId | undefined;
  readonly submittedBy?: string | undefined;
  readonly sinceMs?: number | undefined; // created at or after this time
  readonly oldestFirst?: boolean | undefined;
  readonly after?: { readonly createdAtMs: number; readonly id: TaskId } | undefined; // the last row of the previous page
  readonly limit: number;
}

/** How many requirements `oldestReady` considers. */
export const OLDEST_REQUIREMENTS_MAX = 1_024;

/** How many tasks there are. */
export interface TaskStats {
  readonly statuses: Readonly<Record<Status, number>>;
  /** Queued tasks by priority. */
  readonly queuedByPriority: Readonly<Record<Priority, number>>;
}
