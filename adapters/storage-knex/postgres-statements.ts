/**
 * Postgres' text of the statements. `json_to_recordset($1)` makes rows of the parameter, whose lists of objects have plain
 * fields only (postgres-text.ts).
 *
 * What a transaction loads it also locks, so that it stays true: named rows one after the other in the order of their ids,
 * waiting for whoever holds them; rows that are looked for, and may as well be found by the next batch, with SKIP LOCKED.
 * The locks are those of an update, which leave foreign keys alone.
 */
import { looksAmong, type Statements } from './statements.ts';

/** The parameter's texts, for `= ANY`. */
const NAMES = 'ARRAY(SELECT json_array_elements_text($1::json))';
/** A field of a parameter that is one object; looked up once for a statement. */
const field = (name: string, type = 'bigint'): string => `(SELECT ($1::json ->> '${name}')::${type})`;
const LANES = '(VALUES (0), (1), (2), (3)) AS lanes (lane)';
const WAITS = `status = 'queued' AND parked = 0`;
const LOCKED = 'FOR NO KEY UPDATE';

/** The field that a column takes, and the type of it. */
type Columns = Readonly<Record<string, readonly [field: string, type: string]>>;

const given = (columns: Columns): string =>
  `json_to_recordset($1::json) AS given (${Object.values(columns)
    .map(([name, type]) => `"${name}" ${type}`)
    .join(', ')})`;

const insert = (table: string, columns: Columns, conflict: string): string => `
    INSERT INTO ${table} (${Object.keys(columns).join(', ')})
    SELECT ${Object.values(columns)
      .map(([name]) => `"${name}"`)
      .join(', ')}
    FROM ${given(columns)}
    ON CONFLICT ${conflict}`;

const TASK_COLUMNS = {
  id: ['id', 'text'],
  status: ['status', 'text'],
  lane: ['lane', 'integer'],
  parked: ['parked', 'integer'],
  requirement_key: ['requirementKey', 'text'],
  assigned_to: ['assignedTo', 'text'],
  ready_at: ['readyAt', 'bigint'],
  due_at: ['dueAt', 'bigint'],
  submitted_by: ['submittedBy', 'text'],
  created_at: ['createdAt', 'bigint'],
  ended_at: ['endedAt', 'bigint'],
  state: ['state', 'text'],
} as const satisfies Columns;
/** What a transition may change. The rest never does. */
const CHANGING = ['status', 'parked', 'assigned_to', 'ready_at', 'due_at', 'ended_at', 'state'] as const;
const EVENT_COLUMNS = {
  task_id: ['taskId', 'text'],
  seq: ['seq', 'bigint'],
  event: ['event', 'text'],
  at: ['atMs', 'bigint'],
  agent_id: ['agentId', 'text'],
  generation: ['generation', 'bigint'],
  session: ['session', 'bigint'],
  details: ['details', 'text'],
} as const satisfies Columns;
const AGENT_COLUMNS = {
  id: ['id', 'text'],
  connected: ['connected', 'integer'],
  hub_id: ['hubId', 'text'],
  state: ['state', 'text'],
} as const satisfies Columns;
const MAIL_COLUMNS = { id: ['id', 'text'], hub_id: ['hubId', 'text'], state: ['state', 'text'] } as const satisfies Columns;
const STOP_COLUMNS = {
  agent_id: ['agentId', 'text'],
  task_id: ['taskId', 'text'],
  generation: ['generation', 'bigint'],
  state: ['state', 'text'],
} as const satisfies Columns;
const KEY_NAME = { owner: ['owner', 'text'], key: ['key', 'text'] } as const satisfies Columns;
const KEY_COLUMNS = {
  ...KEY_NAME,
  digest: ['digest', 'text'],
  task_ids: ['taskIds', 'text'],
  created_at: ['createdAtMs', 'bigint'],
} as const satisfies Columns;
const EVENT_NAME = { task_id: ['taskId', 'text'], seq: ['seq', 'bigint'] } as const satisfies Columns;
const TOKEN_COLUMNS = {
  id: ['id', 'text'],
  name: ['name', 'text'],
  role: ['role', 'text'],
  agent_id: ['agentId', 'text'],
  hash: ['hash', 'text'],
  prefix: ['prefix', 'text'],
  capabilities: ['capabilities', 'text'],
  max_slots: ['maxSlots', 'bigint'],
  created_at: ['createdAtMs', 'bigint'],
  revoked_at: ['revokedAtMs', 'bigint'],
} as const satisfies Columns;

/** How long a batch can still be asked for, in Postgres' words. A hub asks right after its commit, or as soon as it can. */
const BATCHES_KEPT_FOR = '1 hour';
/** Old batches that go with each new one, at most. */
const BATCHES_REMOVED = 16;
/** Parts of the counts that are added up at once. */
const COUNTS_FOLDED = 2_048;

/** Whether a task that is neither completed nor cancelled depends on that one. */
const isNeeded = (id: string): string => `EXISTS (
      SELECT 1 FROM task_dependencies AS d JOIN tasks AS n ON n.id = d.task_id
      WHERE d.depends_on = ${id} AND n.status NOT IN ('completed', 'cancelled'))`;

/** Has the lock of each name until the end of the transaction, also of names that nothing in the database has yet. */
const lockNames = (names: string): string => `
    SELECT pg_advisory_xact_lock(name) FROM (
      SELECT DISTINCT hashtextextended(current_schema() || ' ' || wanted.name, 0) AS name FROM ${names} AS wanted (name) ORDER BY 1
    ) AS in_order`;

const activeAgents = (column: string): string => `
    SELECT ${column} FROM agents
    WHERE id = ANY (ARRAY(
      SELECT id FROM agents WHERE connected = 1
      UNION SELECT assigned_to FROM tasks WHERE status = 'assigned'
      UNION SELECT agent_id FROM pending_stops))
      AND NOT (connected = 1 AND coalesce(hub_id, '') = ANY (${NAMES}))
    ORDER BY id ${LOCKED}`;

/** These keep each element of their list as a whole, in its field `state`. */
export const KEEPS_WHOLE: ReadonlySet<keyof Statements> = new Set(['saveStops', 'insertTombstones', 'insertMail']);

/** Run before the statement of that name, with its parameter: a statement does not see what was committed while it waited. */
export const POSTGRES_LOCKS: Partial<Statements> = {
  loadKeys: lockNames(`(SELECT 'key ' || owner || ' ' || key FROM ${given(KEY_NAME)})`),
  liveTokenOf: lockNames(`(VALUES ('token ' || ($1::json #>> '{}')))`),
};

export const POSTGRES_STATEMENTS: Statements = {
  recordBatch: `
    WITH old AS (
      DELETE FROM batches WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM batches WHERE at < now() - interval '${BATCHES_KEPT_FOR}' ORDER BY at LIMIT ${BATCHES_REMOVED} FOR UPDATE SKIP LOCKED)))
    INSERT INTO batches (batch_id) VALUES ($1::json #>> '{}') ON CONFLICT (batch_id) DO NOTHING`,
  probe: 'UPDATE store SET probes = probes + 1',

  loadTasks: `SELECT state FROM tasks WHERE id = ANY (${NAMES}) ORDER BY id ${LOCKED}`,
  loadTombstones: `SELECT state FROM tombstones WHERE task_id = ANY (${NAMES})`,
  loadAgents: `SELECT state FROM agents WHERE id = ANY (${NAMES}) ORDER BY id ${LOCKED}`,
  loadKeys: `
    SELECT k.owner, k.key, k.digest, k.task_ids, k.created_at
    FROM ${given(KEY_NAME)} CROSS JOIN LATERAL (
      SELECT * FROM idempotency_keys AS one WHERE one.owner = given.owner AND one.key = given.key LIMIT 1) AS k`,
  loadBodies: `SELECT task_id, body FROM task_bodies WHERE task_id = ANY (${NAMES})`,

  // Steps from key to key on the index and looks once into each lane: costs what there are requirements, not tasks.
  waitingRequirements: `
    WITH RECURSIVE keys (requirement_key) AS (
      (SELECT requirement_key FROM tasks WHERE ${WAITS} ORDER BY requirement_key LIMIT 1)
      UNION ALL
      SELECT (SELECT t.requirement_key FROM tasks AS t WHERE ${WAITS} AND t.requirement_key > keys.requirement_key ORDER BY t.requirement_key LIMIT 1)
      FROM keys WHERE keys.requirement_key IS NOT NULL
    )
    SELECT first.state
    FROM keys CROSS JOIN LATERAL (
      SELECT one.state FROM ${LANES} CROSS JOIN LATERAL (
        SELECT t.state FROM tasks AS t
        WHERE t.requirement_key = keys.requirement_key AND t.lane = lanes.lane AND ${WAITS} AND t.ready_at <= ${field('nowMs')}
        LIMIT 1) AS one
      LIMIT 1) AS first
    ORDER BY keys.requirement_key`,

  // One short walk on the index for each key and lane, however many tasks wait elsewhere.
  claimable: `
    SELECT t.state
    FROM json_array_elements_text($1::json -> 'keys') AS wanted (key) CROSS JOIN ${LANES} CROSS JOIN LATERAL (
      SELECT c.requirement_key, c.lane, c.ready_at, c.id, c.state FROM tasks AS c
      WHERE c.requirement_key = wanted.key AND c.lane = lanes.lane AND ${WAITS} AND c.ready_at <= ${field('nowMs')}
      ORDER BY c.ready_at, c.id LIMIT ${field('limitPerLane')} ${LOCKED} SKIP LOCKED) AS t
    ORDER BY t.requirement_key, t.lane, t.ready_at, t.id`,

  due: `
    SELECT state FROM tasks WHERE due_at IS NOT NULL AND due_at <= ${field('nowMs')}
    ORDER BY due_at, id LIMIT ${field('limit')} ${LOCKED} SKIP LOCKED`,
  // Waits: nobody else looks for dependents of what is completed here, so one that is left out would wait for ever.
  // Joined to nothing, the status keeps off the index of statuses, which would walk every blocked task.
  dependents: `
    SELECT state FROM tasks
    WHERE id = ANY (ARRAY(SELECT d.task_id FROM task_dependencies AS d WHERE d.depends_on = ANY (${NAMES}))) AND status || '' = 'blocked'
    ORDER BY id ${LOCKED}`,
  someDependency: 'SELECT task_id FROM task_dependencies LIMIT 1',
  // Waits: who leaves one out gives its agent more work than it has slots.
  liveTasks: `SELECT state FROM tasks WHERE assigned_to = ANY (${NAMES}) AND status = 'assigned' ORDER BY id ${LOCKED}`,
  pendingStops: `SELECT state FROM pending_stops WHERE agent_id = ANY (${NAMES}) ORDER BY task_id, generation, agent_id ${LOCKED}`,
  heldCounts: `
    SELECT named.agent_id,
      (SELECT count(*) FROM tasks AS t WHERE t.status = 'assigned' AND t.assigned_to = named.agent_id)
      + (SELECT count(*) FROM pending_stops AS s WHERE s.agent_id = named.agent_id) AS held
    FROM (SELECT DISTINCT unnest(${NAMES}) AS agent_id) AS named`,
  activeAgents: activeAgents('state'),
  activeAgentIds: activeAgents('id'),
  agentsOf: `SELECT state FROM agents WHERE connected = 1 AND hub_id = ($1::json #>> '{}') ORDER BY id ${LOCKED}`,
  takeDuty: `
    SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ' duty ' || ($1::json #>> '{}'), 0))::integer AS taken`,
  prolongHub: `UPDATE hubs SET lease_until = ${field('untilMs')} WHERE hub_id = ${field('hubId', 'text')}`,
  insertHub: `INSERT INTO hubs (hub_id, lease_until) VALUES (${field('hubId', 'text')}, ${field('untilMs')}) ON CONFLICT (hub_id) DO NOTHING`,
  // A lease that is locked is being renewed.
  deadHubs: `SELECT hub_id, lease_until FROM hubs WHERE lease_until <= ${field('nowMs')} ORDER BY hub_id FOR UPDATE SKIP LOCKED`,
  hubs: `SELECT hub_id FROM hubs ORDER BY hub_id`,
  removeHubs: `DELETE FROM hubs WHERE hub_id = ANY (${NAMES})`,
  dropMail: `DELETE FROM hub_mail WHERE NOT EXISTS (SELECT 1 FROM hubs WHERE hubs.hub_id = hub_mail.hub_id)`,
  takeMail: `
    DELETE FROM hub_mail WHERE place = ANY (ARRAY(
      SELECT place FROM hub_mail WHERE hub_id = ${field('hubId', 'text')} ORDER BY place LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))
    RETURNING place, state`,

  insertTasks: insert('tasks', TASK_COLUMNS, '(id) DO NOTHING'),
  insertBodies: insert('task_bodies', { task_id: ['taskId', 'text'], body: ['body', 'text'] }, '(task_id) DO NOTHING'),
  insertDependencies: insert('task_dependencies', { depends_on: ['dependsOn', 'text'], task_id: ['taskId', 'text'] }, 'DO NOTHING'),
  updateTasks: `
    UPDATE tasks SET ${CHANGING.map((column) => `${column} = given."${TASK_COLUMNS[column][0]}"`).join(', ')}
    FROM ${given(TASK_COLUMNS)} WHERE tasks.id = given.id`,
  // Numbers come out of one row, which stays locked until the commit: they are in the order of the commits of all hubs.
  insertEvents: `
    WITH new AS MATERIALIZED (
      SELECT given.*, row_number() OVER (ORDER BY place) AS number
      FROM ROWS FROM (json_to_recordset($1::json) AS (${Object.values(EVENT_COLUMNS).map(([name, type]) => `"${name}" ${type}`).join(', ')}))
        WITH ORDINALITY AS given (${Object.values(EVENT_COLUMNS).map(([name]) => `"${name}"`).join(', ')}, place)
      WHERE NOT EXISTS (SELECT 1 FROM task_events AS e WHERE e.task_id = given."taskId" AND e.seq = given.seq)
    ), numbers AS (
      UPDATE event_numbers SET last_id = last_id + (SELECT count(*) FROM new) RETURNING last_id - (SELECT count(*) FROM new) AS base
    )
    INSERT INTO task_events (id, ${Object.keys(EVENT_COLUMNS).join(', ')})
    SELECT numbers.base + new.number, ${Object.values(EVENT_COLUMNS).map(([name]) => `new."${name}"`).join(', ')} FROM numbers, new ORDER BY new.number
    ON CONFLICT (task_id, seq) DO NOTHING RETURNING id, task_id, seq`, // prettier-ignore
  findEvents: `
    SELECT e.id, e.task_id, e.seq FROM ${given(EVENT_NAME)} CROSS JOIN LATERAL (
      SELECT * FROM task_events AS one WHERE one.task_id = given."taskId" AND one.seq = given.seq LIMIT 1) AS e`,
  saveResults: insert(
    'task_results',
    { task_id: ['taskId', 'text'], json: ['json', 'text'] },
    '(task_id) DO UPDATE SET json = excluded.json',
  ),
  saveAgents: insert(
    'agents',
    AGENT_COLUMNS,
    '(id) DO UPDATE SET connected = excluded.connected, hub_id = excluded.hub_id, state = excluded.state',
  ),
  insertAgents: insert('agents', AGENT_COLUMNS, '(id) DO NOTHING'),
  saveStops: insert('pending_stops', STOP_COLUMNS, '(agent_id, task_id, generation) DO UPDATE SET state = excluded.state'),
  clearStops: `
    DELETE FROM pending_stops AS s USING ${given(STOP_COLUMNS)}
    WHERE s.agent_id = given."agentId" AND s.task_id = given."taskId" AND s.generation = given.generation`,
  insertKeys: insert('idempotency_keys', KEY_COLUMNS, '(owner, key) DO NOTHING'),
  insertMail: `
    INSERT INTO hub_mail (id, hub_id, state)
    SELECT given.id, given."hubId", given.state FROM ${given(MAIL_COLUMNS)}
    WHERE EXISTS (SELECT 1 FROM hubs WHERE hubs.hub_id = given."hubId")
    ON CONFLICT (id) DO NOTHING`,

  // Ended longest ago first; what is depended on or still being stopped is stepped over.
  removable: `
    SELECT t.state FROM tasks AS t
    WHERE t.ended_at IS NOT NULL AND t.ended_at <= greatest(${field('endedBeforeMs')}, ${field('deadBeforeMs')})
      AND t.ended_at <= CASE t.status WHEN 'dead_letter' THEN ${field('deadBeforeMs')} ELSE ${field('endedBeforeMs')} END
      AND t.id IS DISTINCT FROM (SELECT task_id FROM task_events ORDER BY id DESC LIMIT 1)
      AND NOT ${isNeeded('t.id')} AND NOT EXISTS (SELECT 1 FROM pending_stops AS s WHERE s.task_id = t.id)
    ORDER BY t.ended_at, t.id LIMIT ${field('limit')} FOR UPDATE OF t SKIP LOCKED`,
  removeEvents: `DELETE FROM task_events WHERE task_id = ANY (${NAMES})`,
  removeTasks: `DELETE FROM tasks WHERE id = ANY (${NAMES})`,
  insertTombstones: insert(
    'tombstones',
    { task_id: ['id', 'text'], removed_at: ['removedAtMs', 'bigint'], state: ['state', 'text'] },
    '(task_id) DO NOTHING',
  ),
  removeTombstones: `
    DELETE FROM tombstones WHERE ctid = ANY (ARRAY(
      SELECT b.ctid FROM tombstones AS b
      WHERE b.removed_at <= ${field('tombstonesBeforeMs')} AND NOT ${isNeeded('b.task_id')}
      ORDER BY b.removed_at LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))`,
  removeKeys: `
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM idempotency_keys
      WHERE created_at <= ${field('keysBeforeMs')} ORDER BY created_at LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))`,

  liveTokenOf: `SELECT id FROM tokens WHERE agent_id = ($1::json #>> '{}') AND revoked_at IS NULL LIMIT 1`,
  insertTokens: insert('tokens', TOKEN_COLUMNS, '(id) DO NOTHING'),
  revokeTokens: `
    UPDATE tokens SET revoked_at = ${field('nowMs')}
    WHERE revoked_at IS NULL AND (id = ${field('id', 'text')} OR agent_id = ${field('agentId', 'text')}) RETURNING *`,
  saveEnrolSecret: `
    INSERT INTO enrol_secrets (hash, expires_at) VALUES (${field('hash', 'text')}, ${field('expiresAtMs')})
    ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at`,
  takeEnrolSecret: `DELETE FROM enrol_secrets WHERE hash = ($1::json #>> '{}') RETURNING expires_at`,
};

/** Those that write nothing, whatever rows they answer. */
export const POSTGRES_LOOKS = looksAmong(POSTGRES_STATEMENTS);

/** Adds up parts of the counts; what others add up at this moment is left to them. */
export const FOLD_COUNTS = `
  WITH parts AS (
    DELETE FROM task_counts WHERE ctid = ANY (ARRAY(SELECT ctid FROM task_counts LIMIT ${COUNTS_FOLDED} FOR UPDATE SKIP LOCKED))
    RETURNING status, lane, tasks)
  INSERT INTO task_counts (status, lane, tasks)
  SELECT status, lane, sum(tasks) FROM parts GROUP BY status, lane HAVING sum(tasks) <> 0`;
