/** What is asked of a database that is only looked at: `json_each(?1)` makes rows of the parameter, as in the hub's own. */

/** Rows of one kind that are named, at most. */
const NAMED_MAX = 1_000;
const NAMES = '(SELECT value FROM json_each(?1))';
const OF_TASKS = ['task_bodies', 'task_results', 'task_dependencies'] as const;

export const SQLITE_INSPECTION = {
  /** Rows: `integrity_check`, one of them `ok` when nothing is found. */
  integrity: 'PRAGMA integrity_check(100)',
  /** Rows: `place`, `task_id`. */
  orphans:
    OF_TASKS.map((table) => `SELECT '${table}' AS place, task_id FROM ${table} WHERE task_id NOT IN (SELECT id FROM tasks)`).join(
      ' UNION ALL ',
    ) + ` LIMIT ${NAMED_MAX}`,
  /** Rows: `status`, `lane`, `counted`, `found`, where the two differ. */
  counts: `
    WITH found AS (SELECT status, lane, count(*) AS tasks FROM tasks GROUP BY status, lane)
    SELECT coalesce(c.status, f.status) AS status, coalesce(c.lane, f.lane) AS lane, coalesce(c.tasks, 0) AS counted, coalesce(f.tasks, 0) AS found
    FROM task_counts AS c FULL JOIN found AS f ON c.status = f.status AND c.lane = f.lane
    WHERE coalesce(c.tasks, 0) <> coalesce(f.tasks, 0)`,
  /** Parameter: `{after, limit}`. Rows: the columns of tasks, `readable`, `has_body`, `has_result`. */
  taskPage: `
    SELECT t.*, json_valid(t.state) AS readable,
      EXISTS (SELECT 1 FROM task_bodies AS b WHERE b.task_id = t.id) AS has_body,
      EXISTS (SELECT 1 FROM task_results AS r WHERE r.task_id = t.id) AS has_result
    FROM tasks AS t WHERE t.id > (?1 ->> '$.after') ORDER BY t.id LIMIT (?1 ->> '$.limit')`,
  /** Parameter: `{taskId, dependsOn}`s. Rows: those that are not there. */
  missingDependencies: `
    SELECT named.value ->> '$.taskId' AS task_id, named.value ->> '$.dependsOn' AS depends_on FROM json_each(?1) AS named
    WHERE NOT EXISTS (
      SELECT 1 FROM task_dependencies AS d
      WHERE d.depends_on = named.value ->> '$.dependsOn' AND d.task_id = named.value ->> '$.taskId')`,
  /** Parameter: task ids. Rows: `state`. */
  tasksById: `SELECT state FROM tasks WHERE id IN ${NAMES} AND json_valid(state)`,
  /** Parameter: task ids. Rows: `state`. */
  tombstonesById: `SELECT state FROM tombstones WHERE task_id IN ${NAMES}`,
  /** Parameter: task ids. Rows: events, lowest id first. */
  eventsOf: `SELECT * FROM task_events WHERE task_id IN ${NAMES} ORDER BY id`,
  /** Parameter: `{afterId, limit}`. Rows: events, lowest id first. */
  events: `SELECT * FROM task_events WHERE id > (?1 ->> '$.afterId') ORDER BY id LIMIT (?1 ->> '$.limit')`,
  /** Rows: `id`, `connected`, `state`. */
  agents: 'SELECT id, connected, state FROM agents ORDER BY id',
  /** Rows: `state`. */
  stops: 'SELECT state FROM pending_stops ORDER BY agent_id, task_id, generation',
  /** Parameter: `{after, limit}`. Rows: `place` and the columns of idempotency keys. */
  keys: `SELECT rowid AS place, * FROM idempotency_keys WHERE rowid > (?1 ->> '$.after') ORDER BY rowid LIMIT (?1 ->> '$.limit')`,
} as const;
