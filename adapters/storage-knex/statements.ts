/**
 * The statements that write, and those that a transaction reads by: each a constant text with at most one parameter, a JSON
 * value for any number of rows. A database has its own text of each. `rows`: what a row has; `changes`: only the number of rows counts.
 * One that `reads` writes nothing, though it may lock rows: a transaction of nothing else needs no commit.
 */
export const STATEMENTS = {
  /** Parameter: a batch id. Changes. Keeps a bounded number of the newest. */
  recordBatch: 'writes',
  /** No parameter. Changes one row, so that a commit is tried in earnest. */
  probe: 'writes',

  /** Parameter: task ids. Rows: `state`. Locks them. */
  loadTasks: 'reads',
  /**
   * Parameter: `{tasks, holders, completing, retried}`, lists of ids as in `LoadNames`. Rows: `state` of all that is to be locked for
   * them. Locks them in one go.
   */
  loadAllTasks: 'reads',
  /** Parameter: task ids. Rows: `state`. */
  readTasks: 'reads',
  /** Parameter: task ids. Rows: `state` of their tombstones. */
  loadTombstones: 'reads',
  /** Parameter: agent ids. Rows: `state`. Locks them. */
  loadAgents: 'reads',
  /** Parameter: agent ids. Rows: `state`. Locks them, and leaves out those that others have. */
  takeAgents: 'reads',
  /** Parameter: agent ids. Rows: `state`. */
  readAgents: 'reads',
  /** Parameter: `{owner, key}`s. Rows: `owner`, `key`, `digest`, `task_ids`, `created_at`. */
  loadKeys: 'reads',
  /** Parameter: task ids. Rows: `task_id`, `body`. */
  loadBodies: 'reads',
  /**
   * Parameter: `{nowMs, ranges, steps}`; ranges of keys as `{from, until}`. Rows: each key with waiting tasks, by key, and `eligible`: 1 if one
   * of them is, else 0 or null. Makes at most so many steps, one for each key and one for the end of each range.
   */
  waitingRequirements: 'reads',
  /** Parameter: `{keys, nowMs, limitPerLane}`. Rows: `state`, by key, lane, readiness, id. */
  claimable: 'reads',
  /** Parameter: `{nowMs, limit}`. Rows: `state`, earliest first. */
  due: 'reads',
  /** The same tasks. Rows: `assigned_to`, each once. */
  dueAssignees: 'reads',
  /**
   * Parameter: `{of, limit}`; of: `{id, after}`s. Rows: dependents of these that come after, `place` of the one in the list, `id`, `waits` 1 if
   * it is blocked, and then its `state`, null where another has the row. By place and id, `limit` at most.
   */
  dependents: 'reads',
  /** No parameter. Rows: one if any task ever depended on another and is still there. */
  someDependency: 'reads',
  /** Parameter: agent ids. Rows: `state`, by id. */
  liveTasks: 'reads',
  /** Parameter: agent ids. Rows: `state`, by task and generation. */
  pendingStops: 'reads',
  /** Parameter: agent ids. Rows: `agent_id` and `held`, how many live tasks and pending stops it has. */
  heldCounts: 'reads',
  /**
   * Parameter: `{exceptOf, hubId, count}`; exceptOf: ids of hubs. Rows: `id` and `has_stops`, by id; without agents of that hub that have no
   * stops if so many are connected to it.
   */
  activeAgents: 'reads',

  /** Parameter: task columns (rows.ts). Changes; what is there already stays. */
  insertTasks: 'writes',
  /** Parameter: `{taskId, body}`s. Changes; what is there already stays. */
  insertBodies: 'writes',
  /** Parameter: `{taskId, dependsOn}`s. Changes. */
  insertDependencies: 'writes',
  /** Parameter: task columns, each id once. Changes. Leaves alone what never changes: lane, submitter, age. */
  updateTasks: 'writes',
  /**
   * Parameter: rows of events (event-rows.ts). Rows: `id`, `task_id`, `seq` of those that are new; one that shares an event with what is there
   * stays out. Ids follow the order given, one for each event.
   */
  insertEvents: 'writes',
  /** Parameter: `{taskId, seq}`s. Rows: `id`, `task_id`, `seq` of those of these events that are there. */
  findEvents: 'reads',
  /** Parameter: `{taskId, json}`s. Changes. */
  saveResults: 'writes',
  /** Parameter: kept results (rows.ts). Changes; what is there already is replaced. */
  saveKept: 'writes',
  /** Parameter: `{taskId, generation, agentId}`s. Changes. */
  dropKept: 'writes',
  /** Parameter: `{id, connected, hubId, state}`s. Changes. */
  saveAgents: 'writes',
  /** Parameter: pending stops. Changes. */
  saveStops: 'writes',
  /** Parameter: `{agentId, taskId, generation}`s. Changes. */
  clearStops: 'writes',
  /** Parameter: idempotency records. Changes; what is there already stays. */
  insertKeys: 'writes',

  /**
   * Parameter: a removal with `afterMs`, `afterId` and `lookedMax`. Rows: `ended_at`, `id` of old tasks, longest ended first, with `state` of
   * those to remove, null of those that stay.
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
  /** Parameter: task ids. Changes: the highest number of the events that are removed next. */
  noteRemovedEvents: 'writes',
  /** Parameter: task ids. Changes. */
  removeEvents: 'writes',
  /** Parameter: task ids. Changes, with what belongs to them but their events. */
  removeTasks: 'writes',
  /** Parameter: tombstones. Changes; what is there already stays. */
  insertTombstones: 'writes',
  /** Parameter: a removal. Changes. */
  removeTombstones: 'writes',
  /** Parameter: a removal. Changes. */
  removeKeys: 'writes',
  /** Parameter: a removal. Changes: enrolment secrets that are over. */
  removeSecrets: 'writes',

  /** Parameter: output chunks. Changes: those whose agent was assigned their task in their generation. */
  appendOutput: 'writes',
  /** Parameter: `{of, bytesMax, chunksMax}`; of: `{taskId, generation}`s, each once. Changes: the oldest chunks of each that are over these bounds. */
  trimOutput: 'writes',
  /** Parameter: `{beforeMs, limit}`. Changes: chunks that are older. */
  removeOutput: 'writes',

  /** Parameter: `{after, limit}`. Rows: `id` of agents, by id. */
  agentsAfter: 'reads',
  /** Parameter: `{ids, beforeMs}`. Rows: `id` of those of these agents that nobody can be any more, locked; without those that another transaction has. */
  takeUnneededAgents: 'reads',
  /** Parameter: agent ids. Changes; tokens that another transaction has stay. */
  removeTokensOf: 'writes',
  /** Parameter: agent ids. Rows: `id` of those removed: those that have no token left. */
  removeAgents: 'writes',
  /** Parameter: `{historyIds, kept}`. Changes: all but the newest events of these agents, which have a row each; the newest event of all stays. */
  removeAgentEvents: 'writes',

  /** Parameter: `{agentId, nowMs}`. Rows: one if it has a token that is neither revoked nor expired. */
  liveTokenOf: 'reads',
  /** Parameter: `{name, role, nowMs}`. Rows: one if there is such a token of no agent, neither revoked nor expired. */
  liveTokenNamed: 'reads',
  /** Parameter: tokens. Changes; what is there already stays. */
  insertTokens: 'writes',
  /** Parameter: `{id, connected, hubId, state}`s. Changes; what is there already stays. */
  insertAgents: 'writes',
  /** Parameter: `{id?, agentId?, nowMs}`. Rows: the tokens revoked. */
  revokeTokens: 'writes',
  /** Parameter: `{id, replacedBy, expiresAtMs, nowMs}`. Rows: the token, if it was live and not replaced. */
  rotateToken: 'writes',
  /** Parameter: `{id, atMs}`s, each id once. Changes; an earlier time than the one that is there changes nothing. */
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

/** Those of a database that several hubs use at once; one that serves one hub has none of them. */
export const CLUSTER_STATEMENTS = {
  /** Parameter: `{hubId, untilMs}`. Changes one row if that hub has a lease. */
  renewLease: 'writes',
  /** Parameter: `{hubId, untilMs}`. Changes one row if that hub had none. */
  insertLease: 'writes',
  /** Parameter: `{nowMs}`. Rows: `hub_id`, `lease_until` of leases that ended and that nobody renews at this moment. */
  expiredLeases: 'reads',
  /** No parameter. Rows: `hub_id` of all. */
  leases: 'reads',
  /** Parameter: ids of hubs. Changes. */
  removeLeases: 'writes',
  /** Parameter: the name of a duty. Rows: one with `taken` 1 for whoever has it until the end of the transaction. */
  tryTakeDuty: 'reads',
  /** Parameter: a hub's id. Rows: `id` and `has_stops` of its agents, in the order of their ids. */
  agentsOf: 'reads',
  /** Parameter: mail. Changes; what is there already, or is for a hub without a lease, is left out. */
  insertMail: 'writes',
  /** Parameter: `{hubId, limit}`. Rows: `state` of mail that it removes, in no order; `place` gives it. */
  takeMail: 'writes',
  /** No parameter. Changes: mail for hubs without a lease. */
  dropMail: 'writes',
} as const satisfies Readonly<Record<string, 'reads' | 'writes'>>;

/** Those of a database whose tasks are counted by who saves them; one that counts them itself has none of these. */
export const COUNTING_STATEMENTS = {
  /** Parameter: task ids. Rows: `id`, `status`, `lane`. */
  countedPlaces: 'reads',
  /** Parameter: `{status, lane, tasks}`s, each status and lane once; tasks: by how many they change. Changes. */
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

/** What of a kept result a later one of its name replaces. */
export const KEPT_CHANGING = ['kind', 'reason', 'bytes', 'sha256', 'kept_at', 'result', 'details'] as const;

/** Rows in one parameter: all events of a bulk of 500, and so few that the making of its JSON takes some milliseconds of the loop. */
export const ROWS_IN_STATEMENT = 2_000;

export function* slices<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += ROWS_IN_STATEMENT) yield rows.slice(from, from + ROWS_IN_STATEMENT);
}
