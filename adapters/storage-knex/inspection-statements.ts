/** The statements for a database that is only inspected: the same for each, except for how a parameter's JSON becomes values. */

import { taskRead } from './rows/columns.ts';

/** Maximum number of rows of one kind that are named. */
const NAMED_MAX = 1_000;
const OF_TASKS = ['task_bodies', 'task_results', 'task_kept_results', 'task_dependencies'] as const;

/** How a database takes apart a statement's only parameter. */
export interface InspectionDialect {
  /** A field of a parameter that is one object. */
  readonly field: (name: string, type: 'text' | 'bigint') => string;
  /** The rows of a table, as `t`, whose column is among the parameter's texts: found by its index. */
  readonly among: (table: string, column: string) => string;
  /** The parameter's `{taskId, dependsOn}`s as a table with `task_id` and `depends_on`. */
  readonly pairs: string;
  /** `owner` and `key` as a JSON text, and an element of such a text in the parameter's field `after`. */
  readonly keyPlace: string;
  readonly keyAfter: (element: 0 | 1) => string;
}

export type InspectionStatements = ReturnType<typeof inspectionStatements>;

export const inspectionStatements = ({ field, among, pairs, keyPlace, keyAfter }: InspectionDialect) => ({
  /** Rows: `place`, `task_id`. */
  orphans:
    // Not `NOT IN`: if the ids do not fit in its memory, Postgres scans all of them for each row.
    OF_TASKS.map(
      (table) =>
        `SELECT '${table}' AS place, o.task_id FROM ${table} AS o WHERE NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = o.task_id)`,
    ).join(' UNION ALL ') + ` LIMIT ${NAMED_MAX}`,
  /** Rows: `status`, `lane`, `counted`, `found`, where the two differ. */
  counts: `
    WITH found AS (SELECT status, lane, count(*) AS tasks FROM tasks GROUP BY status, lane),
      c AS (SELECT status, lane, CAST(sum(tasks) AS bigint) AS tasks FROM task_counts GROUP BY status, lane)
    SELECT coalesce(c.status, f.status) AS status, coalesce(c.lane, f.lane) AS lane, coalesce(c.tasks, 0) AS counted, coalesce(f.tasks, 0) AS found
    FROM c FULL JOIN found AS f ON c.status = f.status AND c.lane = f.lane
    WHERE coalesce(c.tasks, 0) <> coalesce(f.tasks, 0)`,
  /** Parameter: `{after, limit}`. Rows: the columns of tasks, `kept`: how many late and refused results it has. */
  taskPage: `
    SELECT t.*, (SELECT count(*) FROM task_kept_results AS k WHERE k.task_id = t.id) AS kept
    FROM tasks AS t WHERE t.id > ${field('after', 'text')} ORDER BY t.id LIMIT ${field('limit', 'bigint')}`,
  /** Parameter: task ids. Rows: `task_id`, `body`. */
  bodiesOf: `SELECT t.task_id, t.body FROM ${among('task_bodies', 'task_id')}`,
  /** Parameter: task ids. Rows: `task_id`, `json`. */
  resultsOf: `SELECT t.task_id, t.json FROM ${among('task_results', 'task_id')}`,
  /** Parameter: task ids. Rows: the columns of late and refused results. */
  keptOf: `SELECT t.* FROM ${among('task_kept_results', 'task_id')}`,
  /** Rows: `store_id`. */
  storeId: 'SELECT store_id FROM store',
  /** Parameter: `{taskId, dependsOn}`s. Rows: those that are missing. */
  missingDependencies: `
    SELECT named.task_id, named.depends_on FROM ${pairs} AS named
    WHERE NOT EXISTS (SELECT 1 FROM task_dependencies AS d WHERE d.depends_on = named.depends_on AND d.task_id = named.task_id)`,
  /** Parameter: task ids. Rows: the columns of `taskRead`. */
  tasksById: `SELECT ${taskRead('t')} FROM ${among('tasks', 'id')}`,
  /** Parameter: task ids. Rows: `task_id`, `state`. */
  tombstonesById: `SELECT t.task_id, t.state FROM ${among('tombstones', 'task_id')}`,
  /** Parameter: `{after, limit}`. Rows: `task_id`, `state`. */
  tombstones: `
    SELECT task_id, state FROM tombstones
    WHERE task_id > ${field('after', 'text')} ORDER BY task_id LIMIT ${field('limit', 'bigint')}`,
  /** Parameter: task ids. Rows: rows of events, lowest id first. */
  eventsOf: `SELECT t.* FROM ${among('task_events', 'task_id')} ORDER BY t.id`,
  /** Parameter: `{after, limit}`. Rows: rows of events, lowest id first. */
  events: `SELECT * FROM task_events WHERE id > ${field('after', 'bigint')} ORDER BY id LIMIT ${field('limit', 'bigint')}`,
  /** Rows: the columns of tokens. */
  tokens: 'SELECT * FROM tokens ORDER BY id',
  /** Rows: the columns of agents. */
  agents: 'SELECT * FROM agents ORDER BY id',
  /** Rows: the columns of pending stops. */
  stops: 'SELECT * FROM pending_stops ORDER BY agent_id, task_id, generation',
  /** Parameter: `{after, limit}`. Rows: `place` and the columns of idempotency keys. */
  keys: `
    SELECT ${keyPlace} AS place, k.* FROM idempotency_keys AS k
    WHERE (owner, key) > (${keyAfter(0)}, ${keyAfter(1)}) ORDER BY owner, key LIMIT ${field('limit', 'bigint')}`,
  /** Parameter: `{after, limit}`. Rows: the columns of entries, lowest number first. */
  auditEntries: `SELECT * FROM audit_log WHERE seq > ${field('after', 'bigint')} ORDER BY seq LIMIT ${field('limit', 'bigint')}`,
  /** Rows: the columns of `audit_ends`; none before the first entry. */
  auditEnds: 'SELECT * FROM audit_ends',
});
