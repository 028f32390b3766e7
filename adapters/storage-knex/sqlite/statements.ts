/**
 * SQLite's text of the statements. `json_each(?1)` turns the parameter into rows; a statement that must use a certain index says so
 * (`INDEXED BY`, `CROSS JOIN` for the order), because these tables are never analyzed.
 */
import { KEPT_CHANGING, type CountingStatements, type Statements } from '../statements.ts';
import {
  AGENT_COLUMNS,
  AUDIT_COLUMNS,
  DEPENDENCY_COLUMNS,
  KEPT_COLUMNS,
  KEPT_NAME,
  STOP_NAME,
  TOKEN_COLUMNS,
  TOMBSTONE_COLUMNS,
  besideState,
  taskRead,
  type Columns,
} from '../rows/columns.ts';
import { EVENTS_IN_ROW_MAX, isSameKind } from '../rows/event-rows.ts';
import { columnsOf } from './parameters.ts';

const NAMES = '(SELECT value FROM json_each(?1))';
const LANES = '(SELECT 0 AS lane UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)';
const WAITS = `status = 'queued' AND parked = 0`;
/** The first requirement key of waiting tasks for which `condition` holds: one lookup in the index. */
const firstKey = (condition: string): string =>
  `(SELECT requirement_key FROM tasks INDEXED BY tasks_claimable WHERE ${WAITS} ${condition} ORDER BY requirement_key LIMIT 1)`;

/** The parameter's elements as rows, each in parsed form: `json_each` would turn it into text that is parsed again for every field. */
const GIVEN = 'jsonb_each(?1) AS given';
/** A field of an element, as an SQL value. */
const field = (name: string): string => `value ->> '$.${name}'`;
/** A field of an element, as JSON text. */
const json = (name: string): string => `value -> '$.${name}'`;
/** An element as JSON text. */
const ELEMENT = `value -> '$'`;

/** Inserts a row for each element; `columns`: what each column takes from the element. */
const insert = (table: string, columns: Readonly<Record<string, string>>, conflict: string, where = 'true'): string => `
    INSERT INTO ${table} (${Object.keys(columns).join(', ')})
    SELECT ${Object.values(columns).join(', ')} FROM ${GIVEN} WHERE ${where}
    ON CONFLICT ${conflict}`;
/** Whether a new task has the ID neither of a removed task nor of an idempotency key of its submitter. */
export const isUnused = (id: string, submittedBy: string): string =>
  `NOT EXISTS (SELECT 1 FROM tombstones AS b WHERE b.task_id = ${id})
      AND NOT EXISTS (SELECT 1 FROM idempotency_keys AS k WHERE k.owner = ${submittedBy} AND k.key = ${id})`;

/** Whether a task that is neither completed nor cancelled depends on that one. */
const isNeeded = (id: string): string => `EXISTS (
      SELECT 1 FROM task_dependencies AS d JOIN tasks AS n ON n.id = d.task_id
      WHERE d.depends_on = ${id} AND +n.status NOT IN ('completed', 'cancelled'))`;

const { id: CHANGED_ID, ...CHANGES } = columnsOf('updateTasks');
const { number: NUMBER, ...EVENT_COLUMNS } = columnsOf('insertEvents');
/** How many events a row has before its own. */
export const earlierCount = (earlier: string): string => `coalesce(json_array_length(${earlier}), 0)`;
const FIRST_SEQ = `(${EVENT_COLUMNS.seq}) - ${earlierCount(EVENT_COLUMNS.earlier)}`;
/** Saves events with the numbers after that of the newest, which is its second parameter. None of these events may exist already. */
export const INSERT_NUMBERED_EVENTS = insert('task_events', { id: `?2 + (${NUMBER})`, ...EVENT_COLUMNS }, '(task_id, seq) DO NOTHING');
/** Whether a stored row `e` contains an event from `first` to `last` of its task. */
const hasEvents = (first: string, last: string): string => `
      e.seq >= (${first}) AND e.seq < (${last}) + ${EVENTS_IN_ROW_MAX} AND e.seq - ${earlierCount('e.earlier')} <= (${last})`;
/** What each column takes from an element that is an object. */
const fieldsOf = (columns: Columns): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(columns).map(([column, [name]]) => [column, field(name)]));
const AGENT_FIELDS = { ...fieldsOf(AGENT_COLUMNS), state: json('state') };
const STOP_FIELDS = fieldsOf(STOP_NAME);

/** Of the history `named` of an agent: the number of the last event before the newest ones, which are all kept. */
const LAST_OLD_SEQ = `(SELECT max(newest.seq) FROM task_events AS newest WHERE newest.task_id = named.value) - (?1 ->> '$.kept')`;

const IS_LIVE_TOKEN = `revoked_at IS NULL AND (expires_at IS NULL OR expires_at > (?1 ->> '$.nowMs'))`;

/** The fields of a change of the counts. */
const COUNT_FIELDS = { status: field('status'), lane: field('lane'), tasks: field('tasks') };

export const SQLITE_STATEMENTS: Statements & CountingStatements = {
  countedPlaces: `SELECT id, status, lane FROM tasks WHERE id IN ${NAMES}`,
  saveCounts: insert('task_counts', COUNT_FIELDS, '(status, lane) DO UPDATE SET tasks = tasks + excluded.tasks'),

  recordBatch: `INSERT INTO batches (batch_id) VALUES (?1 ->> '$')`,
  probe: 'UPDATE store SET probes = probes + 1',

  loadTasks: `SELECT ${taskRead()} FROM tasks WHERE id IN ${NAMES}`,
  // One hub has the file to itself: nothing is locked, and what belongs to the named tasks is looked up separately.
  loadAllTasks: `SELECT ${taskRead()} FROM tasks WHERE id IN (SELECT value FROM json_each(?1 -> '$.tasks'))`,
  readTasks: `SELECT ${taskRead()} FROM tasks WHERE id IN ${NAMES}`,
  loadTombstones: `SELECT task_id, state FROM tombstones WHERE task_id IN ${NAMES}`,
  loadAgents: `SELECT state FROM agents WHERE id IN ${NAMES}`,
  takeAgents: `SELECT state FROM agents WHERE id IN ${NAMES}`,
  readAgents: `SELECT state FROM agents WHERE id IN ${NAMES}`,
  loadKeys: `
    SELECT k.owner, k.key, k.digest, k.task_ids, k.created_at
    FROM json_each(?1) AS named CROSS JOIN idempotency_keys AS k
    WHERE k.owner = named.${field('owner')} AND k.key = named.${field('key')}`,
  loadBodies: `SELECT task_id, body FROM task_bodies WHERE task_id IN ${NAMES}`,

  // Steps from key to key on the index and looks once into each lane: the cost grows with the requirements, not with the tasks. All ranges
  // advance in turn, and each ends with a step that finds nothing.
  waitingRequirements: `
    WITH RECURSIVE keys (requirement_key, until) AS (
      SELECT ${firstKey("AND requirement_key >= (range.value ->> '$.from') AND requirement_key < (range.value ->> '$.until')")}, range.value ->> '$.until'
      FROM json_each(?1, '$.ranges') AS range
      UNION ALL
      SELECT ${firstKey('AND requirement_key > keys.requirement_key AND requirement_key < keys.until')}, keys.until
      FROM keys WHERE keys.requirement_key IS NOT NULL
      LIMIT (?1 ->> '$.steps')
    )
    SELECT keys.requirement_key, EXISTS (
      SELECT 1 FROM ${LANES} AS lanes CROSS JOIN tasks AS t INDEXED BY tasks_claimable
      WHERE t.requirement_key = keys.requirement_key AND t.lane = lanes.lane AND t.status = 'queued' AND t.parked = 0
        AND t.ready_at <= (?1 ->> '$.nowMs')) AS eligible
    FROM keys WHERE keys.requirement_key IS NOT NULL ORDER BY keys.requirement_key`,

  // One short scan of the index for each key and lane, however many tasks wait elsewhere.
  claimable: `
    SELECT ${taskRead('t')}
    FROM json_each(?1, '$.keys') AS wanted CROSS JOIN ${LANES} AS lanes CROSS JOIN tasks AS t
    WHERE t.rowid IN (
      SELECT c.rowid FROM tasks AS c INDEXED BY tasks_claimable
      WHERE c.requirement_key = wanted.value AND c.lane = lanes.lane AND c.status = 'queued' AND c.parked = 0
        AND c.ready_at <= (?1 ->> '$.nowMs')
      ORDER BY c.ready_at, c.id LIMIT (?1 ->> '$.limitPerLane'))
    ORDER BY t.requirement_key, t.lane, t.ready_at, t.id`,
  waitingBehind: `
    SELECT ${taskRead('t')} FROM tasks AS t INDEXED BY tasks_claimable
    WHERE t.requirement_key = (?1 ->> '$.key') AND t.lane = (?1 ->> '$.lane') AND t.status = 'queued' AND t.parked = 0
      AND (t.ready_at, t.id) > (?1 ->> '$.afterMs', ?1 ->> '$.afterId')
    ORDER BY t.ready_at, t.id LIMIT (?1 ->> '$.limit')`,

  due: `
    SELECT ${taskRead()} FROM tasks INDEXED BY tasks_due
    WHERE due_at IS NOT NULL AND due_at <= (?1 ->> '$.nowMs')
    ORDER BY due_at, id LIMIT (?1 ->> '$.limit')`,
  dueAssignees: `
    SELECT DISTINCT assigned_to FROM (
      SELECT assigned_to FROM tasks INDEXED BY tasks_due
      WHERE due_at IS NOT NULL AND due_at <= (?1 ->> '$.nowMs')
      ORDER BY due_at, id LIMIT (?1 ->> '$.limit'))
    WHERE assigned_to IS NOT NULL`,
  dependents: `
    SELECT naming.place, t.status = 'blocked' AS waits, t.id, ${besideState('t')}, CASE t.status WHEN 'blocked' THEN t.state END AS state
    FROM (
      SELECT named.key AS place, d.task_id
      FROM json_each(?1, '$.of') AS named CROSS JOIN task_dependencies AS d
      WHERE d.depends_on = named.${field('id')} AND d.task_id IN (
        SELECT one.task_id FROM task_dependencies AS one
        WHERE one.depends_on = named.${field('id')} AND one.task_id > named.${field('after')}
        ORDER BY one.task_id LIMIT (?1 ->> '$.limit'))
      ORDER BY named.key, d.task_id LIMIT (?1 ->> '$.limit')) AS naming CROSS JOIN tasks AS t
    WHERE t.id = naming.task_id
    ORDER BY naming.place, t.id`,
  someDependency: 'SELECT task_id FROM task_dependencies LIMIT 1',
  liveTasks: `
    SELECT ${taskRead('t')} FROM (SELECT DISTINCT value FROM json_each(?1)) AS named CROSS JOIN tasks AS t INDEXED BY tasks_live
    WHERE t.assigned_to = named.value AND t.status = 'assigned'
    ORDER BY t.id`,
  pendingStops: `SELECT agent_id, task_id, generation, state FROM pending_stops WHERE agent_id IN ${NAMES} ORDER BY task_id, generation`,
  heldCounts: `
    SELECT named.value AS agent_id,
      (SELECT count(*) FROM tasks AS t INDEXED BY tasks_live WHERE t.status = 'assigned' AND t.assigned_to = named.value)
      + (SELECT count(*) FROM pending_stops AS s WHERE s.agent_id = named.value) AS held
    FROM (SELECT DISTINCT value FROM json_each(?1)) AS named`,
  activeAgents: `
    SELECT id, EXISTS (SELECT 1 FROM pending_stops AS s WHERE s.agent_id = agents.id) AS has_stops FROM agents
    WHERE id IN (
      SELECT id FROM agents INDEXED BY agents_connected WHERE connected = 1 AND (
        hub_id IS NOT (SELECT ?1 ->> '$.hubId') OR (SELECT ?1 ->> '$.count') <> (
          SELECT count(*) FROM agents INDEXED BY agents_connected WHERE connected = 1 AND hub_id = (SELECT ?1 ->> '$.hubId')))
      UNION SELECT agent_id FROM pending_stops)
      AND NOT (connected = 1 AND coalesce(hub_id, '') IN (SELECT value FROM json_each(?1, '$.exceptOf')))
    ORDER BY id`,

  insertTasks: insert(
    'tasks',
    columnsOf('insertTasks'),
    '(id) DO NOTHING',
    isUnused(columnsOf('insertTasks').id, columnsOf('insertTasks').submitted_by),
  ),
  insertBodies: insert('task_bodies', columnsOf('insertBodies'), '(task_id) DO NOTHING'),
  insertDependencies: insert('task_dependencies', fieldsOf(DEPENDENCY_COLUMNS), 'DO NOTHING'),
  updateTasks: `
    UPDATE tasks SET ${Object.entries(CHANGES)
      .map(([column, taken]) => `${column} = given.${taken}`)
      .join(', ')}
    FROM ${GIVEN} WHERE tasks.id = given.${CHANGED_ID}`,
  insertEvents: `
    INSERT INTO task_events (id, ${Object.keys(EVENT_COLUMNS).join(', ')})
    SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task_events'), 0)
        + sum(${earlierCount(EVENT_COLUMNS.earlier)} + 1) OVER (ORDER BY key ROWS UNBOUNDED PRECEDING),
      ${Object.values(EVENT_COLUMNS).join(', ')}
    FROM ${GIVEN} WHERE NOT EXISTS (SELECT 1 FROM task_events AS e WHERE e.task_id = ${EVENT_COLUMNS.task_id} AND ${hasEvents(FIRST_SEQ, EVENT_COLUMNS.seq)})
    ORDER BY key
    ON CONFLICT (task_id, seq) DO NOTHING RETURNING id, task_id, seq`,
  findEvents: `
    SELECT e.id - e.seq + (named.${field('seq')}) AS id, e.task_id, named.${field('seq')} AS seq
    FROM json_each(?1) AS named CROSS JOIN task_events AS e
    WHERE e.task_id = named.${field('taskId')} AND ${hasEvents(`named.${field('seq')}`, `named.${field('seq')}`)}`,
  saveResults: insert('task_results', columnsOf('saveResults'), '(task_id) DO UPDATE SET json = excluded.json'),
  saveKept: insert(
    'task_kept_results',
    fieldsOf(KEPT_COLUMNS),
    `(task_id, generation, agent_id) DO UPDATE SET ${KEPT_CHANGING.map((column) => `${column} = excluded.${column}`).join(', ')}`,
  ),
  dropKept: `
    DELETE FROM task_kept_results
    WHERE (task_id, generation, agent_id) IN (SELECT ${Object.values(fieldsOf(KEPT_NAME)).join(', ')} FROM json_each(?1))`,
  saveAgents: insert(
    'agents',
    AGENT_FIELDS,
    '(id) DO UPDATE SET connected = excluded.connected, hub_id = excluded.hub_id, state = excluded.state',
  ),
  insertAgents: insert('agents', AGENT_FIELDS, '(id) DO NOTHING'),
  saveStops: insert(
    'pending_stops',
    { ...STOP_FIELDS, state: ELEMENT },
    '(agent_id, task_id, generation) DO UPDATE SET state = excluded.state',
  ),
  clearStops: `
    DELETE FROM pending_stops
    WHERE (agent_id, task_id, generation) IN (SELECT ${Object.values(STOP_FIELDS).join(', ')} FROM json_each(?1))`,
  // No key is ever changed: a trigger refuses the update (save.ts).
  insertKeys: insert(
    'idempotency_keys',
    columnsOf('insertKeys'),
    '(owner, key) DO UPDATE SET task_ids = excluded.task_ids WHERE task_ids <> excluded.task_ids',
  ),

  // Ended longest ago first; tasks that others depend on or that are still being stopped are skipped.
  removable: `
    SELECT t.ended_at, t.id, ${besideState('t')}, CASE WHEN t.due_at IS NULL
      AND t.ended_at <= CASE t.status WHEN 'dead_letter' THEN ?1 ->> '$.deadBeforeMs' ELSE ?1 ->> '$.endedBeforeMs' END
      AND t.id IS NOT (SELECT task_id FROM task_events WHERE id = (SELECT max(id) FROM task_events))
      AND NOT ${isNeeded('t.id')} AND NOT EXISTS (SELECT 1 FROM pending_stops AS s INDEXED BY pending_stops_by_task WHERE s.task_id = t.id)
      THEN t.state END AS state
    FROM tasks AS t INDEXED BY tasks_ended
    WHERE t.ended_at <= max(?1 ->> '$.endedBeforeMs', ?1 ->> '$.deadBeforeMs')
      AND (t.ended_at, t.id) > (?1 ->> '$.afterMs', ?1 ->> '$.afterId')
    ORDER BY t.ended_at, t.id LIMIT (?1 ->> '$.lookedMax')`,
  countEnded: `SELECT sum(tasks) AS tasks FROM task_counts WHERE status IN ('completed', 'cancelled')`,
  sizesOfTasks: `
    SELECT b.task_id, octet_length(b.body) + coalesce(octet_length(r.json), 0)
      + coalesce((SELECT sum(k.bytes) FROM task_kept_results AS k WHERE k.task_id = b.task_id), 0) AS bytes
    FROM task_bodies AS b LEFT JOIN task_results AS r ON r.task_id = b.task_id WHERE b.task_id IN ${NAMES}`,
  loadResults: `SELECT task_id, json FROM task_results WHERE task_id IN ${NAMES}`,
  loadKept: `SELECT * FROM task_kept_results WHERE task_id IN ${NAMES} ORDER BY task_id, generation, agent_id`,
  loadEvents: `SELECT * FROM task_events WHERE task_id IN ${NAMES} ORDER BY task_id, seq`,
  noteRemovedEvents: `
    INSERT INTO removed_events (only_row, last_id)
    SELECT 1, max(id) FROM task_events WHERE task_id IN ${NAMES} HAVING max(id) IS NOT NULL
    ON CONFLICT (only_row) DO UPDATE SET last_id = max(last_id, excluded.last_id)`,
  removeEvents: `DELETE FROM task_events WHERE task_id IN ${NAMES}`,
  removeTasks: `DELETE FROM tasks WHERE id IN ${NAMES}`,
  insertTombstones: insert('tombstones', { ...fieldsOf(TOMBSTONE_COLUMNS), state: ELEMENT }, '(task_id) DO NOTHING'),
  removeTombstones: `
    DELETE FROM tombstones WHERE task_id IN (
      SELECT b.task_id FROM tombstones AS b INDEXED BY tombstones_by_age
      WHERE b.removed_at <= (?1 ->> '$.tombstonesBeforeMs') AND NOT ${isNeeded('b.task_id')}
      ORDER BY b.removed_at LIMIT (?1 ->> '$.limit'))`,
  // A small table, since expired secrets are removed.
  removeSecrets: `
    DELETE FROM enrol_secrets WHERE hash IN (
      SELECT hash FROM enrol_secrets WHERE expires_at < (?1 ->> '$.nowMs') LIMIT (?1 ->> '$.limit'))`,
  removeKeys: `
    DELETE FROM idempotency_keys WHERE rowid IN (
      SELECT rowid FROM idempotency_keys INDEXED BY idempotency_keys_by_age
      WHERE created_at <= (?1 ->> '$.keysBeforeMs') ORDER BY created_at LIMIT (?1 ->> '$.limit'))`,

  appendOutput: `
    INSERT INTO task_output (task_id, n, generation, agent_id, at, stream, text, seq, dropped)
    SELECT t.id, coalesce((SELECT max(o.n) FROM task_output AS o WHERE o.task_id = t.id), 0) + row_number() OVER (PARTITION BY t.id ORDER BY given.key),
      ${field('generation')}, ${field('agentId')}, ${field('atMs')}, ${field('stream')}, ${field('text')}, ${field('seq')}, ${field('dropped')}
    FROM json_each(?1) AS given CROSS JOIN tasks AS t
    WHERE t.id = ${field('taskId')} AND EXISTS (
      SELECT 1 FROM task_events AS e
      WHERE e.task_id = t.id AND e.event = 'assigned' AND e.generation = ${field('generation')} AND e.agent_id = ${field('agentId')})`,
  trimOutput: `
    DELETE FROM task_output WHERE (task_id, n) IN (
      SELECT task_id, n FROM (
        SELECT o.task_id, o.n, count(*) OVER newest AS chunks, sum(octet_length(o.text)) OVER newest AS bytes
        FROM json_each(?1, '$.of') AS given CROSS JOIN task_output AS o
        WHERE o.task_id = ${field('taskId')} AND o.generation = ${field('generation')}
        WINDOW newest AS (PARTITION BY o.task_id, o.generation ORDER BY o.n DESC))
      WHERE chunks > (?1 ->> '$.chunksMax') OR bytes > (?1 ->> '$.bytesMax'))`,
  removeOutput: `
    DELETE FROM task_output WHERE (task_id, n) IN (
      SELECT task_id, n FROM task_output INDEXED BY task_output_by_age WHERE at < (?1 ->> '$.beforeMs') ORDER BY at LIMIT (?1 ->> '$.limit'))`,

  agentsAfter: `SELECT id FROM agents WHERE id > (?1 ->> '$.after') ORDER BY id LIMIT (?1 ->> '$.limit')`,
  takeUnneededAgents: `
    SELECT a.id FROM agents AS a
    WHERE a.id IN (SELECT value FROM json_each(?1, '$.ids')) AND a.connected = 0
      AND EXISTS (SELECT 1 FROM tokens AS k WHERE k.agent_id = a.id)
      AND NOT EXISTS (
        SELECT 1 FROM tokens AS k WHERE k.agent_id = a.id
          AND coalesce(k.revoked_at > (?1 ->> '$.beforeMs'), 1) AND coalesce(k.expires_at > (?1 ->> '$.beforeMs'), 1))
      AND NOT EXISTS (SELECT 1 FROM tasks AS t INDEXED BY tasks_live WHERE t.status = 'assigned' AND t.assigned_to = a.id)
      AND NOT EXISTS (SELECT 1 FROM pending_stops AS s WHERE s.agent_id = a.id)
    ORDER BY a.id`,
  removeTokensOf: `DELETE FROM tokens WHERE agent_id IN ${NAMES}`,
  removeAgents: `DELETE FROM agents WHERE id IN ${NAMES} AND NOT EXISTS (SELECT 1 FROM tokens WHERE agent_id = agents.id) RETURNING id`,
  removeAgentEvents: `
    DELETE FROM task_events WHERE id IN (
      SELECT e.id FROM json_each(?1, '$.historyIds') AS named CROSS JOIN task_events AS e
      WHERE e.task_id = named.value AND e.seq <= ${LAST_OLD_SEQ}
        AND ((?1 ->> '$.kept') = 0 OR EXISTS (
          SELECT 1 FROM task_events AS later
          WHERE later.task_id = e.task_id AND later.seq > e.seq AND later.seq <= ${LAST_OLD_SEQ} AND ${isSameKind('later', 'e')})))
      AND id <> (SELECT max(id) FROM task_events)`,

  liveTokenOf: `SELECT id FROM tokens WHERE agent_id = (?1 ->> '$.agentId') AND ${IS_LIVE_TOKEN} LIMIT 1`,
  // There are few tokens, and they are created by hand: scanning the table is cheaper than one more index.
  liveTokenNamed: `
    SELECT id FROM tokens
    WHERE agent_id IS NULL AND name = (?1 ->> '$.name') AND role = (?1 ->> '$.role') AND ${IS_LIVE_TOKEN} LIMIT 1`,
  insertTokens: insert('tokens', fieldsOf(TOKEN_COLUMNS), '(id) DO NOTHING'),
  revokeTokens: `
    UPDATE tokens SET revoked_at = ?1 ->> '$.nowMs'
    WHERE revoked_at IS NULL AND (id = (?1 ->> '$.id') OR agent_id = (?1 ->> '$.agentId')) RETURNING *`,
  rotateToken: `
    UPDATE tokens SET replaced_by = ?1 ->> '$.replacedBy', expires_at = min(coalesce(expires_at, ?1 ->> '$.expiresAtMs'), ?1 ->> '$.expiresAtMs')
    WHERE id = (?1 ->> '$.id') AND replaced_by IS NULL AND ${IS_LIVE_TOKEN} RETURNING *`,
  noteTokensUsed: `
    UPDATE tokens SET last_used_at = given.${field('atMs')} FROM json_each(?1) AS given
    WHERE tokens.id = given.${field('id')} AND coalesce(last_used_at, -1) < given.${field('atMs')}`,
  saveEnrolSecret: `
    INSERT INTO enrol_secrets (hash, expires_at) VALUES (?1 ->> '$.hash', ?1 ->> '$.expiresAtMs')
    ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at`,
  takeEnrolSecret: `DELETE FROM enrol_secrets WHERE hash = (?1 ->> '$') RETURNING expires_at`,

  lockAuditEnds: `SELECT seq, hash, removed_seq, removed_hash FROM audit_ends`,
  insertAudit: insert('audit_log', fieldsOf(AUDIT_COLUMNS), '(seq) DO NOTHING'),
  moveAuditHead: `
    INSERT INTO audit_ends (only_row, seq, hash, removed_seq, removed_hash) VALUES (1, ?1 ->> '$.seq', ?1 ->> '$.hash', 0, ?1 ->> '$.start')
    ON CONFLICT (only_row) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`,
  oldestAudit: `SELECT seq, at, hash FROM audit_log ORDER BY seq LIMIT (?1 ->> '$.limit')`,
  removeAudit: `DELETE FROM audit_log WHERE seq <= (?1 ->> '$.seq')`,
  moveAuditAnchor: `UPDATE audit_ends SET removed_seq = ?1 ->> '$.seq', removed_hash = ?1 ->> '$.hash'`,
};
