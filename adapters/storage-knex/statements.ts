/**
 * The statements that write, and those that a transaction reads with: each a constant text with at most one parameter, a JSON value for any
 * number of rows. A database has its own text of each. `Rows`: what a row has; `Changes`: only the number of changed rows counts. A
 * statement that `reads` writes nothing, though it may lock rows: a transaction without any other needs no commit.
 */
export const STATEMENTS = {
  /** Parameter: a batch id. Changes. Keeps a bounded number of the newest. */
  recordBatch: 'writes',
  /** No parameter. Changes one row, so that a real commit is tried. */
  probe: 'writes',

  /** Parameter: task ids. Rows: tasks (`taskRead`). Locks them. */
  loadTasks: 'reads',
  /**
   * Parameter: `{tasks, holders, completing, retried}`, lists of ids as in `LoadNames`. Rows: tasks (`taskRead`) of all tasks that must be locked for
   * them. Locks them at once.
   */
  loadAllTasks: 'reads',
  /** Parameter: task ids. Rows: tasks (`taskRead`). */
  readTasks: 'reads',
  /** Parameter: task ids. Rows: `task_id` and `state` of their tombstones. */
  loadTombstones: 'reads',
  /** Parameter: agent ids. Rows: `state`. Locks them. */
  loadAgents: 'reads',
  /** Parameter: agent ids. Rows: `state`. Locks them, and skips those that others have locked. */
  takeAgents: 'reads',
  /** Parameter: agent ids. Rows: `state`. */
  readAgents: 'reads',
  /** Parameter: `{owner, key}`s. Rows: `owner`, `key`, `digest`, `task_ids`, `created_at`. */
  loadKeys: 'reads',
  /** Parameter: task ids. Rows: `task_id`, `body`. */
  loadBodies: 'reads',
  /**
   * Parameter: `{nowMs, ranges, steps}`; ranges of keys as `{from, until}`. Rows: each key with waiting tasks, by key, and `eligible`: 1 if
   * one of them is, else 0 or null. Makes at most `steps` steps, one for each key and one for the end of each range.
   */
  waitingRequirements: 'reads',
  /** Parameter: `{keys, nowMs, limitPerLane}`. Rows: tasks (`taskRead`), by key, lane, readiness, id. */
  claimable: 'reads',
  /** Parameter: `{key, lane, afterMs, afterId, limit}`. Rows: waiting tasks (`taskRead`) of a lane behind that readiness and id, eligible or not. */
  waitingBehind: 'reads',
  /** Parameter: `{nowMs, limit}`. Rows: tasks (`taskRead`), earliest first. */
  due: 'reads',
  /** The same tasks. Rows: `assigned_to`, each once. */
  dueAssignees: 'reads',
  /**
   * Parameter: `{of, limit}`; of: `{id, after}`s. Rows: the dependents of each with an id above `after`: `place`, the index of that one in
   * the list, `id`, `waits`, 1 if it is blocked, and then its `state`, null if another transaction has locked the row. By place and id, at
   * most `limit`.
   */
  dependents: 'reads',
  /** No parameter. Rows: one if a task exists that ever depended on another. */
  someDependency: 'reads',
  /** Parameter: agent ids. Rows: tasks (`taskRead`), by id. */
  liveTasks: 'reads',
  /** Parameter: agent ids. Rows: their name and `state`, by task and generation. */
  pendingStops: 'reads',
  /** Parameter: agent ids. Rows: `agent_id` and `held`, how many live tasks and pending stops it has. */
  heldCounts: 'reads',
  /**
   * Parameter: `{exceptOf, hubId, count}`; exceptOf: ids of hubs. Rows: `id` and `has_stops`, by id. If exactly `count` agents are
   * connected to that hub, those of them without stops are left out.
   */
  activeAgents: 'reads',

  /** Parameter: task columns (rows.ts). Changes; existing rows stay as they are. */
  insertTasks: 'writes',
  /** Parameter: `{taskId, body}`s. Changes; existing rows stay as they are. */
  insertBodies: 'writes',
  /** Parameter: `{taskId, dependsOn}`s. Changes. */
  insertDependencies: 'writes',
  /** Parameter: task columns, each id once. Changes. Does not touch what never changes: lane, submitter, age. */
  updateTasks: 'writes',
  /**
   * Parameter: rows of events (event-rows.ts). Rows: `id`, `task_id`, `seq` of those that are new; a row that shares an event with an
   * existing one is skipped. Ids follow the given order, one for each event.
   */
  insertEvents: 'writes',
  /** Parameter: `{taskId, seq}`s. Rows: `id`, `task_id`, `seq` of those of these events that exist. */
  findEvents: 'reads',
  /** Parameter: `{taskId, json}`s. Changes. */
  saveResults: 'writes',
  /** Parameter: kept results (rows.ts). Changes; existing rows are replaced. */
  saveKept: 'writes',
  /** Parameter: `{taskId, generation, agentId}`s. Changes. */
  dropKept: 'writes',
  /** Parameter: `{id, connected, hubId, state}`s. Changes. */
  saveAgents: 'writes',
  /** Parameter: pending stops. Changes. */
  saveStops: 'writes',
  /** Parameter: `{agentId, taskId, generation}`s. Changes. */
  clearStops: 'writes',
  /** Parameter: idempotency records. Changes; existing rows stay as they are. */
  insertKeys: 'writes',

  /**
   * Parameter: a removal with `afterMs`, `afterId` and `lookedMax`. Rows: `ended_at`, `id` of old tasks, those that ended longest ago
   * first, with the `state` of those to remove, null for those that stay.
   */
  removable: 'reads',
  /** No parameter. Rows: one, with how many `tasks` are completed or cancelled. */
  countEnded: 'reads',
  /** Parameter: task ids. Rows: `task_id`, `bytes` of its body and results. */
  sizesOfTasks: 'reads',
  /** Parameter: task ids. Rows: `task_id`, `json`. */
  loadResults: 'reads',
  /** Parameter: task ids. Rows: their late and refused results (rows.ts). */
  loadKept: 'reads',
  /** Parameter: task ids. Rows: their rows of events (event-rows.ts), by task and number. */
  loadEvents: 'reads',
  /** Parameter: task ids. Changes: stores the highest number of the events that are removed next. */
  noteRemovedEvents: 'writes',
  /** Parameter: task ids. Changes. */
  removeEvents: 'writes',
  /** Parameter: task ids. Changes; also removes what belongs to them, except their events. */
  removeTasks: 'writes',
  /** Parameter: tombstones. Changes; existing rows stay as they are. */
  insertTombstones: 'writes',
  /** Parameter: a removal. Changes. */
  removeTombstones: 'writes',
  /** Parameter: a removal. Changes. */
  removeKeys: 'writes',
  /** Parameter: a removal. Changes: expired enrollment secrets. */
  removeSecrets: 'writes',

  /** Parameter: output chunks. Changes: those whose agent was assigned their task in their generation. */
  appendOutput: 'writes',
  /**
   * Parameter: `{of, bytesMax, chunksMax}`; of: `{taskId, generation}`s, each once. Changes: the oldest chunks of each that exceed these
   * bounds.
   */
  trimOutput: 'writes',
  /** Parameter: `{beforeMs, limit}`. Changes: chunks that are older. */
  removeOutput: 'writes',

  /** Parameter: `{after, limit}`. Rows: `id` of agents, by id. */
  agentsAfter: 'reads',
  /**
   * Parameter: `{ids, beforeMs}`. Rows: `id` of those of these agents that no sidecar can use any more, locked; without those that another
   * transaction has locked.
   */
  takeUnneededAgents: 'reads',
  /** Parameter: agent ids. Changes; tokens that another transaction has locked stay. */
  removeTokensOf: 'writes',
  /** Parameter: agent ids. Rows: `id` of those removed: those that have no token left. */
  removeAgents: 'writes',
  /**
   * Parameter: `{historyIds, kept}`. Removes the old events of these agents: all but their newest `kept`. Unless that is 0, the newest old
   * one of each kind stays, too. The newest event of all stays in any case.
   */
  removeAgentEvents: 'writes',

  /** Parameter: `{agentId, nowMs}`. Rows: one if it has a token that is neither revoked nor expired. */
  liveTokenOf: 'reads',
  /** Parameter: `{name, role, nowMs}`. Rows: one if there is such a token of no agent, neither revoked nor expired. */
  liveTokenNamed: 'reads',
  /** Parameter: tokens. Changes; existing rows stay as they are. */
  insertTokens: 'writes',
  /** Parameter: `{id, connected, hubId, state}`s. Changes; existing rows stay as they are. */
  insertAgents: 'writes',
  /** Parameter: `{id?, agentId?, nowMs}`. Rows: the tokens revoked. */
  revokeTokens: 'writes',
  /** Parameter: `{id, replacedBy, expiresAtMs, nowMs}`. Rows: the token, if it was live and not replaced. */
  rotateToken: 'writes',
  /** Parameter: `{id, atMs}`s, each id once. Changes; an earlier time than the stored one changes nothing. */
  noteTokensUsed: 'writes',
  /** Parameter: `{hash, expiresAtMs}`. Changes. */
  saveEnrolSecret: 'writes',
  /** Parameter: a hash. Rows: `expires_at`. Removes it. */
  takeEnrolSecret: 'writes',

  /** No parameter. Rows: `seq`, `hash`, `removed_seq`, `removed_hash`; none before the first entry. Locks the chain. */
  lockAuditEnds: 'reads',
  /** Parameter: entries. Changes. */
  insertAudit: 'writes',
  /** Parameter: `{seq, hash, start}`; start: what the first entry follows. Changes. */
  moveAuditHead: 'writes',
  /** Parameter: `{limit}`. Rows: `seq`, `at`, `hash`, lowest first. */
  oldestAudit: 'reads',
  /** Parameter: `{seq}`. Changes: all up to that one. */
  removeAudit: 'writes',
  /** Parameter: `{seq, hash}`. Changes. */
  moveAuditAnchor: 'writes',
} as const satisfies Readonly<Record<string, 'reads' | 'writes'>>;

/** The statements of a database that several hubs use at once; one that serves one hub has none of them. */
const CLUSTER_STATEMENTS = {
  /** Parameter: `{hubId, untilMs}`. Changes one row if that hub has a lease. */
  renewLease: 'writes',
  /** Parameter: `{hubId, untilMs}`. Changes one row if that hub had none. */
  insertLease: 'writes',
  /** Parameter: `{nowMs}`. Rows: `hub_id`, `lease_until` of expired leases that nobody is renewing at this moment. */
  expiredLeases: 'reads',
  /** No parameter. Rows: `hub_id` of all. */
  leases: 'reads',
  /** Parameter: ids of hubs. Changes. */
  removeLeases: 'writes',
  /** Parameter: the name of a duty. Rows: one, with `taken` 1 if this transaction now has it until its end. */
  tryTakeDuty: 'reads',
  /** Parameter: a hub's id. Rows: `id` and `has_stops` of its agents, in the order of their ids. */
  agentsOf: 'reads',
  /** Parameter: mail. Changes; existing mail, and mail for a hub without a lease, is skipped. */
  insertMail: 'writes',
  /** Parameter: `{hubId, limit}`. Rows: `state` of mail that it removes, in any order; `place` gives the order. */
  takeMail: 'writes',
  /** No parameter. Changes: mail for hubs without a lease. */
  dropMail: 'writes',
} as const satisfies Readonly<Record<string, 'reads' | 'writes'>>;

/** The statements of a database whose tasks are counted by the code that saves them; one that counts them itself has none of these. */
const COUNTING_STATEMENTS = {
  /** Parameter: task ids. Rows: `id`, `status`, `lane`. */
  countedPlaces: 'reads',
  /** Parameter: `{status, lane, tasks}`s, each status and lane once; tasks: how their number changes. Changes. */
  saveCounts: 'writes',
} as const satisfies Readonly<Record<string, 'reads' | 'writes'>>;

export type StatementName = keyof typeof STATEMENTS;
export type ClusterStatementName = keyof typeof CLUSTER_STATEMENTS;
export type CountingStatementName = keyof typeof COUNTING_STATEMENTS;
/** A database's text of each. */
export type Statements = Readonly<Record<StatementName, string>>;
export type ClusterStatements = Readonly<Record<ClusterStatementName, string>>;
export type CountingStatements = Readonly<Record<CountingStatementName, string>>;

const ALL = { ...STATEMENTS, ...CLUSTER_STATEMENTS, ...COUNTING_STATEMENTS };
export const isWrite = (name: keyof typeof ALL): boolean => ALL[name] === 'writes';

/** The columns of a kept result that a later one with the same name replaces. */
export const KEPT_CHANGING = ['kind', 'reason', 'bytes', 'sha256', 'kept_at', 'result', 'details'] as const;

/**
 * Maximum number of rows in one parameter: room for all events of a bulk of 500, and few enough that making its JSON takes the event loop
 * only some milliseconds.
 */
export const ROWS_IN_STATEMENT = 2_000;

export function* slices<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += ROWS_IN_STATEMENT) yield rows.slice(from, from + ROWS_IN_STATEMENT);
}
