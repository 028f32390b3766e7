/**
 * The statements that write, and those that a transaction reads by: each a constant text with at most one parameter, a JSON
 * value for any number of rows. A database has its own text of each. `rows`: what a row has; `changes`: only the number of rows counts.
 */
export interface Statements {
  /** Parameter: a batch id. Changes. Keeps a bounded number of the newest. */
  readonly recordBatch: string;
  /** No parameter. Changes one row, so that a commit is tried in earnest. */
  readonly probe: string;

  /** Parameter: task ids. Rows: `state`. Locks them. */
  readonly loadTasks: string;
  /**
   * Parameter: `{tasks, holders, completing, retried}`, lists of ids as in `LoadNames`. Rows: `state` of all that is to be locked for
   * them. Locks them in one go.
   */
  readonly loadAllTasks: string;
  /** Parameter: task ids. Rows: `state`. */
  readonly readTasks: string;
  /** Parameter: task ids. Rows: `state` of their tombstones. */
  readonly loadTombstones: string;
  /** Parameter: agent ids. Rows: `state`. Locks them. */
  readonly loadAgents: string;
  /** Parameter: agent ids. Rows: `state`. Locks them, and leaves out those that others have. */
  readonly takeAgents: string;
  /** Parameter: agent ids. Rows: `state`. */
  readonly readAgents: string;
  /** Parameter: `{owner, key}`s. Rows: `owner`, `key`, `digest`, `task_ids`, `created_at`. */
  readonly loadKeys: string;
  /** Parameter: task ids. Rows: `task_id`, `body`. */
  readonly loadBodies: string;
  /**
   * Parameter: `{nowMs, ranges, steps}`; ranges of keys as `{from, until}`. Rows: for each key with waiting tasks, by key, `state` of one
   * that is eligible, null where none is. Makes at most so many steps, one for each key and one for the end of each range.
   */
  readonly waitingRequirements: string;
  /** Parameter: `{keys, nowMs, limitPerLane}`. Rows: `state`, by key, lane, readiness, id. */
  readonly claimable: string;
  /** Parameter: `{nowMs, limit}`. Rows: `state`, earliest first. */
  readonly due: string;
  /** The same tasks. Rows: `assigned_to`, each once. */
  readonly dueAssignees: string;
  /**
   * Parameter: `{of, limit}`; of: `{id, after}`s. Rows: dependents of these that come after, `place` of the one in the list, `id`, `waits` 1 if
   * it is blocked, and then its `state`, null where another has the row. By place and id, `limit` at most.
   */
  readonly dependents: string;
  /** No parameter. Rows: one if any task ever depended on another and is still there. */
  readonly someDependency: string;
  /** Parameter: agent ids. Rows: `state`, by id. */
  readonly liveTasks: string;
  /** Parameter: agent ids. Rows: `state`, by task and generation. */
  readonly pendingStops: string;
  /** Parameter: agent ids. Rows: `agent_id` and `held`, how many live tasks and pending stops it has. */
  readonly heldCounts: string;
  /** Parameter: ids of hubs. Rows: `id`, in their order. */
  readonly activeAgents: string;

  /** Parameter: task columns (rows.ts). Changes; what is there already stays. */
  readonly insertTasks: string;
  /** Parameter: `{taskId, body}`s. Changes; what is there already stays. */
  readonly insertBodies: string;
  /** Parameter: `{taskId, dependsOn}`s. Changes. */
  readonly insertDependencies: string;
  /** Parameter: task columns, each id once. Changes. Leaves alone what never changes: lane, requirement, submitter, age. */
  readonly updateTasks: string;
  /** Parameter: events. Rows: `id`, `task_id`, `seq` of those that are new. Ids follow the order given. */
  readonly insertEvents: string;
  /** Parameter: `{taskId, seq}`s. Rows: `id`, `task_id`, `seq`. */
  readonly findEvents: string;
  /** Parameter: `{taskId, json}`s. Changes. */
  readonly saveResults: string;
  /** Parameter: kept results (rows.ts). Changes; what is there already is replaced. */
  readonly saveKept: string;
  /** Parameter: `{taskId, generation, agentId}`s. Changes. */
  readonly dropKept: string;
  /** Parameter: `{id, connected, hubId, state}`s. Changes. */
  readonly saveAgents: string;
  /** Parameter: pending stops. Changes. */
  readonly saveStops: string;
  /** Parameter: `{agentId, taskId, generation}`s. Changes. */
  readonly clearStops: string;
  /** Parameter: idempotency records. Changes; what is there already stays. */
  readonly insertKeys: string;

  /**
   * Parameter: a removal with `afterMs`, `afterId` and `lookedMax`. Rows: `ended_at`, `id` of old tasks, longest ended first, with `state` of
   * those to remove, null of those that stay.
   */
  readonly removable: string;
  /** Parameter: task ids. Changes: the highest number of the events that are removed next. */
  readonly noteRemovedEvents: string;
  /** Parameter: task ids. Changes. */
  readonly removeEvents: string;
  /** Parameter: task ids. Changes, with what belongs to them but their events. */
  readonly removeTasks: string;
  /** Parameter: tombstones. Changes; what is there already stays. */
  readonly insertTombstones: string;
  /** Parameter: a removal. Changes. */
  readonly removeTombstones: string;
  /** Parameter: a removal. Changes. */
  readonly removeKeys: string;
  /** Parameter: a removal. Changes: enrolment secrets that are over. */
  readonly removeSecrets: string;

  /** Parameter: `{after, limit}`. Rows: `id` of agents, by id. */
  readonly agentsAfter: string;
  /** Parameter: `{ids, beforeMs}`. Rows: `id` of those of these agents that nobody can be any more, locked; without those that another transaction has. */
  readonly takeUnneededAgents: string;
  /** Parameter: agent ids. Changes; tokens that another transaction has stay. */
  readonly removeTokensOf: string;
  /** Parameter: agent ids. Rows: `id` of those removed: those that have no token left. */
  readonly removeAgents: string;

  /** Parameter: `{agentId, nowMs}`. Rows: one if it has a token that is neither revoked nor expired. */
  readonly liveTokenOf: string;
  /** Parameter: `{name, role, nowMs}`. Rows: one if there is such a token of no agent, neither revoked nor expired. */
  readonly liveTokenNamed: string;
  /** Parameter: tokens. Changes; what is there already stays. */
  readonly insertTokens: string;
  /** Parameter: `{id, connected, hubId, state}`s. Changes; what is there already stays. */
  readonly insertAgents: string;
  /** Parameter: `{id?, agentId?, nowMs}`. Rows: the tokens revoked. */
  readonly revokeTokens: string;
  /** Parameter: `{id, atMs}`s, each id once. Changes; an earlier time than the one that is there changes nothing. */
  readonly noteTokensUsed: string;
  /** Parameter: `{hash, expiresAtMs}`. Changes. */
  readonly saveEnrolSecret: string;
  /** Parameter: a hash. Rows: `expires_at`. Removes it. */
  readonly takeEnrolSecret: string;
}

/** Those of a database that several hubs use at once; one that serves one hub has none of them. */
export interface ClusterStatements {
  /** Parameter: `{hubId, untilMs}`. Changes one row if that hub has a lease. */
  readonly renewLease: string;
  /** Parameter: `{hubId, untilMs}`. Changes one row if that hub had none. */
  readonly insertLease: string;
  /** Parameter: `{nowMs}`. Rows: `hub_id`, `lease_until` of leases that ended and that nobody renews at this moment. */
  readonly expiredLeases: string;
  /** No parameter. Rows: `hub_id` of all. */
  readonly leases: string;
  /** Parameter: ids of hubs. Changes. */
  readonly removeLeases: string;
  /** Parameter: the name of a duty. Rows: one with `taken` 1 for whoever has it until the end of the transaction. */
  readonly tryTakeDuty: string;
  /** Parameter: a hub's id. Rows: `id` and `has_stops` of its agents, in the order of their ids. */
  readonly agentsOf: string;
  /** Parameter: mail. Changes; what is there already, or is for a hub without a lease, is left out. */
  readonly insertMail: string;
  /** Parameter: `{hubId, limit}`. Rows: `state` of mail that it removes, in no order; `place` gives it. */
  readonly takeMail: string;
  /** No parameter. Changes: mail for hubs without a lease. */
  readonly dropMail: string;
}

/** What of a kept result a later one of its name replaces. */
export const KEPT_CHANGING = ['kind', 'reason', 'bytes', 'sha256', 'kept_at', 'result', 'details'] as const;

/** The names of those that write nothing, by how their texts begin. */
export const looksAmong = <S extends { readonly [name in keyof S]: string }>(statements: S): ReadonlySet<keyof S> =>
  new Set((Object.keys(statements) as (keyof S)[]).filter((name) => /^\s*(SELECT|WITH RECURSIVE) /.test(statements[name])));
