/**
 * Where tasks live. The store keeps rows and knows no rule; everything that decides is in core/domain. One transaction
 * carries a whole batch of commands. All times are milliseconds since 1970.
 */
import type { Agent, PendingStop } from '../domain/agent/agent.ts';
import type { StoredEvent, TaskEvent } from '../domain/task/event.ts';
import type { HubMail } from '../domain/agent/hub-lease.ts';
import type { AgentId, Generation, TaskId } from '../domain/ids.ts';
import type { KeptResult } from '../domain/task/kept-results.ts';
import type { Tombstone } from '../domain/task/tombstone.ts';
import type { TaskRow, Requirement, RequirementGroup, Status, Priority, Task, TaskBody } from '../domain/task/task.ts';
import type { ActiveAgent, ClusterUnit } from './cluster-unit.ts';

/** Differences between stores, as data. */
export interface StoreCapabilities {
  /** What was committed survives the death of the process and, where the disk honours sync, of the machine. */
  readonly durable: boolean;
  /** Several hubs may use it at once. */
  readonly shared: boolean;
}

/**
 * MUST make `open` and `close` safe to call twice and at once; MUST answer anything else before `open` or after
 * `close` with `AgentcomError` `AC_STORE_CLOSED`.
 */
export interface TaskStore {
  readonly capabilities: StoreCapabilities;

  /**
   * The store's time as well as it is known outside a transaction (core/domain/store-clock.ts): it follows the clock of this machine,
   * or, where several hubs may use it at once, of the server. Whole milliseconds. MUST NOT throw, nor go back from the first `open` on,
   * over any step of those clocks and over `close` and `open`; before `open` this machine's.
   */
  nowMs(): number;

  /** The clock that the store's time follows, as far as it is believed: for whoever compares clocks. Never after `nowMs`. MUST NOT throw. */
  wallMs(): number;

  /** The store's time at which it was last known to be in use before this `open`; null for a new store. */
  lastUsedMs(): number | null;

  /**
   * Runs `work` in one transaction and answers what it answered, after the commit.
   * MUST run transactions of one store one after the other as far as any of them can see.
   * MUST leave nothing of it behind when `work` or the commit fails, and pass the failure on.
   * MUST report a failure that a repeat may cure (busy, deadlock, serialization) as `AC_STORE_RETRY`, a full disk, a
   * broken file or a lost connection as `AC_STORE_UNAVAILABLE`, and a COMMIT whose outcome is unknown as
   * `AC_COMMIT_UNKNOWN`.
   * MUST NOT answer before the commit is on disk, where `capabilities.durable`.
   * MUST record `batchId` in the same commit, for `committed`; need not, where nothing was saved.
   */
  transact<T>(batchId: string, work: (unit: StoreUnit) => Promise<T>): Promise<T>;

  /** Whether the batch was committed. Asked after `AC_COMMIT_UNKNOWN`, on a fresh connection. */
  committed(batchId: string): Promise<boolean>;

  /** The task with its body, result and newest events, as `history` answers `HISTORY_PAGE` of them; undefined if there is none. */
  read(id: TaskId): Promise<TaskRecord | undefined>;

  /**
   * A page of the events of a task, oldest first: the newest, the newest before a number (`before`), or the oldest after one
   * (`after`); numbers are `seq`, which have no gap. At most `limit` of them, and no more once they have `bytesMax` bytes, but one
   * at least. None for an unknown task.
   * MUST NOT load more than that.
   */
  history(id: TaskId, page: HistoryQuery): Promise<readonly StoredEvent[]>;

  /** A result that is kept apart, whole; undefined if there is none. */
  keptResult(key: KeptKey): Promise<KeptResult | undefined>;

  /**
   * A page of tasks, newest first by (createdAtMs, id), each with body and result but without events.
   * MUST NOT skip or repeat a task that existed throughout, however many are added between two pages.
   */
  list(query: TaskQuery): Promise<readonly TaskRow[]>;

  /** How many tasks stand in each status and, of the queued ones, in each lane. Statuses and lanes without any are 0. */
  stats(): Promise<TaskStats>;

  /** The states of these tasks only; unknown ones are left out. For reads that need no transaction. */
  peek(ids: readonly TaskId[]): Promise<readonly Task[]>;

  /** The earliest `dueAtMs` of all tasks; null when nothing has one. */
  nextDueAtMs(): Promise<number | null>;
}

/**
 * The unit of work. What it loaded stays true until the end of the transaction.
 *
 * Where several hubs use one store, a transaction waits for the rows of others in one order, kept by the shape of this
 * interface: leases of hubs (`cluster.renewLease`), then what `load` names (idempotency keys, agents, tasks, pending stops, each kind by
 * id), then what `save` adds (new agents by id, stops, the numbers of events). `renewLease` comes before `load`, which is called
 * once, and `save` after it. Nothing else MUST wait: it reads without a lock, or locks and steps over what another has.
 */
export interface StoreUnit {
  /**
   * The store's time when the transaction began. Whatever is stored is set and judged by it, so that the clocks of several
   * hubs need not agree.
   */
  readonly nowMs: number;

  /** The time by which things are old enough to be removed, at most `nowMs`; null: the clocks are in doubt, and nothing MUST be removed. */
  readonly removableMs: number | null;

  /** What several hubs on one store need of it. Null where `capabilities.shared` is false: the one hub needs no lease, has every duty and gets no mail. */
  readonly cluster: ClusterUnit | null;

  /**
   * Loads and locks all that a batch needs, in one go, and waits for whoever has some of it.
   * MUST leave unknown ids out, and give each known one once. MUST answer numbers as numbers, and states as of after the wait.
   */
  load(names: LoadNames): Promise<Loaded>;

  /**
   * Tasks and agents as they were last committed, without a lock: another hub may change them at any moment. Only what never
   * changes back, such as that a task is completed, may be relied on.
   */
  read(names: Pick<LoadNames, 'tasks' | 'agents'>): Promise<Pick<Loaded, 'tasks' | 'tombstones' | 'agents'>>;

  /** Loads and locks these agents without waiting: those that another transaction has are left out. */
  takeAgents(ids: readonly AgentId[]): Promise<readonly Agent[]>;

  /**
   * The requirements of tasks that are claimable at `nowMs` (`isClaimable`), each once. `groups`: only of these; default all.
   * MUST look at about `limit` requirements at most, however many wait, and answer whether that was all there are.
   */
  waitingRequirements(filter: {
    readonly nowMs: number;
    readonly limit: number;
    readonly groups?: readonly RequirementGroup[] | undefined;
  }): Promise<WaitingRequirements>;

  /**
   * The first `limitPerLane` tasks of each requirement key and priority that are claimable at `nowMs` (`isClaimable`); those of one
   * requirement in the order of `compareClaimable`. MUST NOT be slowed by tasks of other requirements.
   */
  claimable(filter: {
    readonly requirementKeys: readonly string[];
    readonly nowMs: number;
    readonly limitPerLane: number;
  }): Promise<readonly Task[]>;

  /** Tasks whose `dueAtMs` is at or before `nowMs`, earliest first, at most `limit`. Those that another transaction has are left out. */
  due(nowMs: number, limit: number): Promise<readonly Task[]>;

  /** Who has those tasks that `due` would find, each once, in no order. Locks nothing. */
  dueAssignees(nowMs: number, limit: number): Promise<readonly AgentId[]>;

  /**
   * Blocked tasks that name one of these in `dependsOn`, each once: of the first the dependents with an id after `after`, by id, then
   * of the second, and so on. MUST look at `limit` dependencies at most, MUST stop before one that another transaction has, and MUST
   * answer in `left` from where on each is to be asked again that it is not through with.
   */
  dependentsOf(of: readonly DependentsOf[], limit: number): Promise<Dependents>;

  /** The bodies of these tasks, for their assignment; unknown ids are left out. */
  bodies(ids: readonly TaskId[]): Promise<readonly { readonly taskId: TaskId; readonly body: TaskBody }[]>;

  /**
   * How many live assignments and pending stops each of these agents has, together; all of them as of one moment. Locks nothing:
   * a hub that takes one away meanwhile leaves the count too high, and only the hub of an agent gives it more.
   */
  heldCounts(agentIds: readonly AgentId[]): Promise<readonly HeldCount[]>;

  /** Agents that are connected now, or that have a pending stop; without those connected to one of these hubs. By id; locks nothing. */
  activeAgents(exceptOf: readonly string[]): Promise<readonly ActiveAgent[]>;

  /**
   * Removes what has been over for long, at most `limit` of each kind, and answers how many. A task leaves a tombstone;
   * its body, results, history and dependencies go with it. MUST keep the highest number of the events that went, for `EventFeed.marks`.
   * Enrolment secrets that are over by `nowMs` go too.
   * MUST NOT remove a task or a tombstone that one which is neither completed nor cancelled depends on, nor a task with a
   * pending stop, nor one that is due, nor that of the newest event, by which streams know where they are. MUST look at `lookedMax` ended tasks at most, oldest first from `after` on. MUST see what was saved before in the same transaction.
   */
  remove(old: Removal): Promise<Removed>;

  /**
   * Removes agents that nobody can be any more, each with its tokens: those that are not connected, hold nothing, and whose every
   * token (one at least) was revoked or had expired by `beforeMs`. MUST look at `lookedMax` agents at most, by id from `after` on, and
   * MUST leave out those that another transaction has.
   */
  removeAgents(old: AgentRemoval): Promise<RemovedAgents>;

  /**
   * Writes what the batch changed, and answers the events with their places, repeated ones with the place they have.
   * MUST tolerate a repeat of an inserted task, key or event (same id): it changes nothing.
   * MUST number events in the order given.
   * MUST keep the later of two results of one name in `kept`. `keptDropped` names none that `kept` has.
   * `isLast` (default false): `work` MUST NOT use the unit after it and MUST NOT fail, so that the store may commit with it.
   */
  save(changes: Changes, isLast?: boolean): Promise<readonly StoredEvent[]>;
}

/** A task whose dependents are looked up, those with an id after `after` (`''`: all). */
export interface DependentsOf {
  readonly id: TaskId;
  readonly after: TaskId | '';
}

export interface Dependents {
  readonly tasks: readonly Task[];
  readonly left: readonly DependentsOf[];
}

export interface WaitingRequirements {
  readonly requirements: readonly Requirement[];
  readonly isAll: boolean;
}

/** Dependents that `load` locks with what may be completed, all together. */
export const DEPENDENTS_LOCKED = 500;

export interface LoadNames {
  readonly tasks?: readonly TaskId[] | undefined;
  readonly agents?: readonly AgentId[] | undefined;
  readonly keys?: readonly IdempotencyName[] | undefined;
  /**
   * Agents to load with what they hold: their live assignments, their pending stops and the tasks of those. One that cannot be
   * read is left out, unless `agents` names it too.
   */
  readonly holders?: readonly AgentId[] | undefined;
  /**
   * Of `tasks`: those that may be completed. Of what depends on them about as many as `DEPENDENTS_LOCKED` are locked with them, the first by id,
   * and may be answered too; `dependentsOf` steps over nobody's lock for those.
   */
  readonly completing?: readonly TaskId[] | undefined;
  /** Of `tasks`: those that may have to wait again. What they depend on is locked with them, and may be answered too. */
  readonly retried?: readonly TaskId[] | undefined;
}

/** What is over for long: ended or made at or before these times. */
export interface Removal {
  readonly nowMs: number;
  /** Completed and cancelled tasks. */
  readonly endedBeforeMs: number;
  readonly deadBeforeMs: number;
  readonly tombstonesBeforeMs: number;
  readonly keysBeforeMs: number;
  readonly limit: number;
  /** Of the ended tasks only those after this place. Default: all. */
  readonly after?: EndedPlace | null | undefined;
  /** How many ended tasks are looked at, those that must stay included. Default: all there are. */
  readonly lookedMax?: number | undefined;
}
/** The order in which ended tasks are removed. */
export interface EndedPlace {
  readonly endedAtMs: number;
  readonly id: TaskId;
}
export interface Removed {
  /** The place after which old tasks have not been looked at; null: there are none. */
  readonly next: EndedPlace | null;
  readonly tasks: number;
  readonly tombstones: number;
  readonly keys: number;
  readonly secrets: number;
}

export interface AgentRemoval {
  readonly beforeMs: number;
  readonly after: AgentId | null;
  readonly lookedMax: number;
}
export interface RemovedAgents {
  readonly agents: readonly AgentId[];
  /** The last one looked at; null: that was all. */
  readonly next: AgentId | null;
}

export interface Loaded {
  readonly tasks: readonly Task[];
  /** Of the named tasks that were removed. */
  readonly tombstones: readonly Tombstone[];
  readonly agents: readonly Agent[];
  readonly keys: readonly IdempotencyRecord[];
  /** One for each of `holders`, also for one that holds nothing. */
  readonly holdings: readonly Holding[];
}

/** What an agent holds: its assigned tasks and the stops it has not confirmed. */
export interface Holding {
  readonly agentId: AgentId;
  readonly live: readonly Task[];
  readonly stops: readonly PendingStop[];
}

export interface HeldCount {
  readonly agentId: AgentId;
  readonly held: number;
}

export interface IdempotencyName {
  /** The token's id. */
  readonly owner: string;
  readonly key: string;
}

export interface IdempotencyRecord extends IdempotencyName {
  /** SHA-256 of the request's body, hexadecimal. */
  readonly digest: string;
  readonly taskIds: readonly TaskId[];
  readonly createdAtMs: number;
}

/** A task to save, with when the sweeper must look at it next (null: never), which the domain works out. */
export interface TaskChange {
  readonly task: Task;
  readonly dueAtMs: number | null;
}

export interface Changes {
  readonly inserted: readonly (TaskChange & { readonly body: TaskBody })[];
  readonly updated: readonly TaskChange[];
  readonly events: readonly TaskEvent[];
  /** Results of tasks that completed: JSON text, kept as given. */
  readonly results: readonly { readonly taskId: TaskId; readonly json: string }[];
  /** Results that are kept apart, and such that go. */
  readonly kept: readonly KeptResult[];
  readonly keptDropped: readonly KeptKey[];
  readonly agents: readonly Agent[];
  readonly stopsSet: readonly PendingStop[];
  readonly stopsCleared: readonly Pick<PendingStop, 'agentId' | 'taskId' | 'generation'>[];
  readonly keys: readonly IdempotencyRecord[];
  /** For other hubs to send. Dropped where the hub has no lease, and so wherever `cluster` is null. */
  readonly mail: readonly HubMail[];
}

export interface TaskRecord extends TaskRow {
  /** The newest, oldest first. */
  readonly events: readonly StoredEvent[];
}

/** Names a result that is kept apart. */
export interface KeptKey {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly agentId: AgentId;
}

/** Of the history of one task. `before` and `after` are not given together. */
export interface HistoryQuery {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly limit: number;
  readonly bytesMax: number;
}

/** The newest events that come with a task: with at most 16 KiB of details each, some more than a mebibyte. */
export const HISTORY_PAGE = { limit: 500, bytesMax: 1_048_576 } as const satisfies HistoryQuery;

/** What an event counts in `bytesMax` of a page beside its details. */
export const EVENT_BYTES = 256;

export interface TaskQuery {
  readonly status?: Status | undefined;
  readonly priority?: Priority | undefined;
  readonly assignedTo?: AgentId | undefined;
  readonly submittedBy?: string | undefined;
  /** The last row of the page before. */
  readonly after?: { readonly createdAtMs: number; readonly id: TaskId } | undefined;
  readonly limit: number;
}

export interface TaskStats {
  readonly statuses: Readonly<Record<Status, number>>;
  readonly lanes: Readonly<Record<Priority, number>>;
}
