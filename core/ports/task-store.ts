/**
 * Where tasks live. The store keeps rows and knows no rule; everything that decides is in core/domain. One transaction
 * carries a whole batch of commands. All times are milliseconds since 1970.
 */
import type { Agent, PendingStop } from '../domain/agent.ts';
import type { StoredEvent, TaskEvent } from '../domain/event.ts';
import type { HubLease, HubMail } from '../domain/hub-lease.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';
import type { Tombstone } from '../domain/tombstone.ts';
import type { Requirement, Status, Priority, Task, TaskBody } from '../domain/task.ts';

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
   * The store's time as well as it is known outside a transaction: that of this machine, or, where several hubs may use it
   * at once, that of the server, as it was last heard and went on since. Whole milliseconds. MUST NOT throw; before `open` this machine's.
   */
  nowMs(): number;

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

  /** The task with its body, result and events; undefined if there is none. Events oldest first. */
  read(id: TaskId): Promise<TaskRecord | undefined>;

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

/** The unit of work. What it loaded stays true until the end of the transaction. */
export interface StoreUnit {
  /**
   * The store's time when the transaction began. Whatever is stored is set and judged by it, so that the clocks of several
   * hubs need not agree.
   */
  readonly nowMs: number;

  /**
   * Loads what a batch names, in one go.
   * MUST leave unknown ids out. MUST answer numbers as numbers.
   */
  load(names: LoadNames): Promise<Loaded>;

  /** The requirements of queued tasks that are not parked and eligible by `nowMs`, each once. */
  waitingRequirements(nowMs: number): Promise<readonly Requirement[]>;

  /**
   * The first `limitPerLane` queued, unparked tasks eligible by `nowMs` of each (requirement key, lane), in order of
   * (eligibleAtMs, id) within each. MUST NOT be slowed by tasks of other requirements.
   */
  claimable(filter: {
    readonly requirementKeys: readonly string[];
    readonly nowMs: number;
    readonly limitPerLane: number;
  }): Promise<readonly Task[]>;

  /** Tasks whose `dueAtMs` is at or before `nowMs`, earliest first, at most `limit`. */
  due(nowMs: number, limit: number): Promise<readonly Task[]>;

  /** Blocked tasks that name one of these in `dependsOn`. */
  dependentsOf(ids: readonly TaskId[]): Promise<readonly Task[]>;

  /** The bodies of these tasks, for their assignment; unknown ids are left out. */
  bodies(ids: readonly TaskId[]): Promise<readonly { readonly taskId: TaskId; readonly body: TaskBody }[]>;

  /** Live assignments and pending stops of these agents: one answer for each, also for one that holds nothing. */
  holdingsOf(agentIds: readonly AgentId[]): Promise<readonly Holding[]>;

  /**
   * How many live assignments and pending stops each of these agents has, together; all of them as of one moment. Locks nothing:
   * a hub that takes one away meanwhile leaves the count too high, and only the hub of an agent gives it more.
   */
  heldCounts(agentIds: readonly AgentId[]): Promise<readonly HeldCount[]>;

  /** Agents that are connected now, or that have a live assignment or a pending stop; without those connected to one of these hubs. */
  activeAgents(exceptOf: readonly string[]): Promise<readonly Agent[]>;

  /** Agents that are connected to this hub, as far as the store knows. */
  agentsOf(hubId: string): Promise<readonly Agent[]>;

  /**
   * Makes or prolongs the lease of a hub, until `leaseMs` after `nowMs`. `made`: there was none, so it is new or was buried.
   * MUST wait for a transaction that buries it.
   */
  renewHub(hubId: string, leaseMs: number): Promise<'made' | 'renewed'>;

  /**
   * Removes the leases that ended by `nowMs`, with the mail of whoever has none, and answers both.
   * MUST NOT wait for a hub that renews its lease at this moment, and MUST count it as living.
   */
  buryHubs(): Promise<{ readonly living: readonly string[]; readonly dead: readonly HubLease[] }>;

  /** Whether this transaction is the one among all hubs that does this, until its end. MUST NOT wait. */
  takeDuty(duty: Duty): Promise<boolean>;

  /** Takes the oldest mail for this hub out of the store, at most `limit`. */
  takeMail(hubId: string, limit: number): Promise<readonly HubMail[]>;

  /**
   * Removes what has been over for long, at most `limit` of each kind, and answers how many. A task leaves a tombstone;
   * its body, result, history and dependencies go with it.
   * MUST NOT remove a task or a tombstone that one which is neither completed nor cancelled depends on, nor a task with a
   * pending stop, nor that of the newest event, by which streams know where they are. MUST see what was saved before in the same transaction.
   */
  remove(old: Removal): Promise<Removed>;

  /**
   * Writes what the batch changed, and answers the events with their places, repeated ones with the place they have.
   * MUST tolerate a repeat of an inserted task, key or event (same id): it changes nothing.
   * MUST number events in the order given.
   * `isLast` (default false): `work` MUST NOT use the unit after it and MUST NOT fail, so that the store may commit with it.
   */
  save(changes: Changes, isLast?: boolean): Promise<readonly StoredEvent[]>;
}

/** What one hub does for all: look for what is due, for hubs that died, for what is over for long. */
export type Duty = 'sweep';

export interface LoadNames {
  readonly tasks: readonly TaskId[];
  readonly agents: readonly AgentId[];
  readonly keys: readonly IdempotencyName[];
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
}
export interface Removed {
  readonly tasks: number;
  readonly tombstones: number;
  readonly keys: number;
}

export interface Loaded {
  readonly tasks: readonly Task[];
  /** Of the named tasks that were removed. */
  readonly tombstones: readonly Tombstone[];
  readonly agents: readonly Agent[];
  readonly keys: readonly IdempotencyRecord[];
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
  readonly agents: readonly Agent[];
  readonly stopsSet: readonly PendingStop[];
  readonly stopsCleared: readonly Pick<PendingStop, 'agentId' | 'taskId' | 'generation'>[];
  readonly keys: readonly IdempotencyRecord[];
  /** For other hubs to send. Dropped where the hub has no lease. */
  readonly mail: readonly HubMail[];
}

export interface TaskRow {
  readonly task: Task;
  readonly body: TaskBody;
  /** JSON text. */
  readonly result: string | null;
}

export interface TaskRecord extends TaskRow {
  readonly events: readonly StoredEvent[];
}

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
