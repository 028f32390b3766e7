/**
 * Postgres' text of the statements. Rows are passed as arrays of their columns (given-columns.ts), anything else as one JSON text
 * (binary-parameters.ts).
 * Long on purpose: a table of texts without code; its order of locks is read as a whole.
 *
 * A transaction locks what it loads, so that it does not change. Every statement that may wait for another transaction has its place in
 * `LOCK_ORDER`, and a transaction runs them in this order; each locks its rows one after the other in the order of their ids. All others
 * read without a lock, or skip what another transaction has locked (SKIP LOCKED). So no two transactions can wait for each other. The locks
 * are those of an update, which do not block checks of foreign keys.
 */
import { DEPENDENTS_LOCKED } from '../../../core/ports/task-store.ts';
import { besideState, CHANGING_COLUMNS, EVENT_COLUMNS, taskRead, type Columns } from '../rows/columns.ts';
import { EVENTS_IN_ROW_MAX, isSameKind } from '../rows/event-rows.ts';
import { given, GIVEN_COLUMNS, type GivenName } from './given-columns.ts';
import { KEPT_CHANGING, type ClusterStatements, type Statements } from '../statements.ts';

export type PostgresStatements = Statements & ClusterStatements;

/** The parameter's texts, for `= ANY`. */
const NAMES = 'ARRAY(SELECT json_array_elements_text($1::json))';
/** A field of a parameter that is one object; evaluated once for a statement. */
const field = (name: string, type = 'bigint'): string => `(SELECT ($1::json ->> '${name}')::${type})`;
const LANES = '(VALUES (0), (1), (2), (3)) AS lanes (lane)';
const WAITS = `status = 'queued' AND parked = 0`;
const LOCKED = 'FOR NO KEY UPDATE';
/** The same text without the locks of `LOCKED`: for a hub that has the store to itself. */
export const unlocked = (text: string): string => text.replaceAll(`${LOCKED} SKIP LOCKED`, '').replaceAll(LOCKED, '');

const insert = (statement: GivenName, table: string, others: string): string => {
  const columns = Object.entries(GIVEN_COLUMNS[statement]);
  return `
    INSERT INTO ${table} (${columns.map(([column]) => column).join(', ')})
    SELECT ${columns.map(([, [field]]) => `"${field}"`).join(', ')}
    FROM ${given(statement)}
    ${others}`;
};

/**
 * Skips rows that exist already. Only for names that no other transaction inserts at the same time. ON CONFLICT, which allows for such a
 * race, inserts each row speculatively and then confirms it, with a record of its own in the write-ahead log.
 */
const insertNew = (statement: GivenName, table: string, names: readonly string[], also = ''): string => {
  const columns: Columns = GIVEN_COLUMNS[statement];
  const isThere = names.map((column) => `old.${column} = given."${columns[column]?.[0] ?? column}"`).join(' AND ');
  return insert(statement, table, `WHERE NOT EXISTS (SELECT 1 FROM ${table} AS old WHERE ${isThere})${also}`);
};

/** Saves events with the numbers after that of the newest, which is its last parameter. None of these events may exist already. */
export const INSERT_NUMBERED_EVENTS = `
    INSERT INTO task_events (id, ${Object.keys(EVENT_COLUMNS).join(', ')})
    SELECT $${Object.keys(GIVEN_COLUMNS.insertEvents).length + 1} + given.number, ${Object.values(EVENT_COLUMNS).map(([name]) => `given."${name}"`).join(', ')}
    FROM ${given('insertEvents')}`; // prettier-ignore
/** How many events a row has before its own. */
const earlierCount = (row: string): string => `coalesce(json_array_length(${row}.earlier::json), 0)`;
/** Whether a stored row `e` contains an event from `first` to `last` of its task. */
const hasEvents = (first: string, last: string): string => `
        e.seq >= ${first} AND e.seq < ${last} + ${EVENTS_IN_ROW_MAX} AND e.seq - ${earlierCount('e')} <= ${last}`;
/** Changes all of its rows unless a key belongs to other tasks. */
export const UPSERT_KEYS = insert(
  'insertKeys',
  'idempotency_keys',
  'ON CONFLICT (owner, key) DO UPDATE SET key = excluded.key WHERE idempotency_keys.task_ids = excluded.task_ids',
);

/** Maximum size of a body that is read together with a task that may be assigned, bytes. */
const BODY_ALONG_BYTES = 4_096;
/** How long a committed batch can be looked up, as an interval of Postgres. A hub asks right after its commit, or as soon as it can. */
const BATCHES_KEPT_FOR = '1 hour';
/** Maximum number of old batches that are removed with each new one. */
const BATCHES_REMOVED = 16;
/** Maximum number of parts of the counts that are added up at once. */
const COUNTS_FOLDED = 2_048;

/** Whether a task that is neither completed nor cancelled depends on that one. */
const isNeeded = (id: string): string => `EXISTS (
      SELECT 1 FROM task_dependencies AS d JOIN tasks AS n ON n.id = d.task_id
      WHERE d.depends_on = ${id} AND n.status NOT IN ('completed', 'cancelled'))`;

/** Holds the lock of each name until the end of the transaction, even if nothing in the database has that name yet. */
const lockNames = (names: string): string => `
    SELECT pg_advisory_xact_lock(name) FROM (
      SELECT DISTINCT hashtextextended(current_schema() || ' ' || wanted.name, 0) AS name FROM ${names} AS wanted (name) ORDER BY 1
    ) AS in_order`;

const HAS_STOPS = 'EXISTS (SELECT 1 FROM pending_stops AS s WHERE s.agent_id = agents.id)::integer AS has_stops';
/** The texts of a list in a parameter that is one object, for `= ANY`. */
const listed = (name: string): string => `ARRAY(SELECT json_array_elements_text($1::json -> '${name}'))`;

const ACTIVE_AGENTS = `
    SELECT id, ${HAS_STOPS} FROM agents
    WHERE id = ANY (ARRAY(
      SELECT id FROM agents WHERE connected = 1 AND (
        hub_id IS DISTINCT FROM ${field('hubId', 'text')} OR ${field('count')} <> (
          SELECT count(*) FROM agents WHERE connected = 1 AND hub_id = ${field('hubId', 'text')}))
      UNION SELECT agent_id FROM pending_stops))
      AND NOT (connected = 1 AND coalesce(hub_id, '') = ANY (${listed('exceptOf')}))
    ORDER BY id`;

/** The tokens of an agent, which is a field of the parameter; none if it has no such field. */
const LOCK_TOKENS_OF_AGENT = lockNames(`(VALUES ('token ' || ($1::json ->> 'agentId')))`);

/** Run before the statement of the same name, with its parameter: a statement does not see what was committed while it waited. */
export const POSTGRES_LOCKS: Partial<PostgresStatements> = {
  loadKeys: lockNames(`(SELECT 'key ' || owner || ' ' || key FROM ${given('loadKeys')})`),
  liveTokenOf: LOCK_TOKENS_OF_AGENT,
  liveTokenNamed: lockNames(`(VALUES ('token of ' || ($1::json ->> 'role') || ' ' || ($1::json ->> 'name')))`),
  // A revocation of all tokens of an agent must see the one that a rotation adds.
  revokeTokens: LOCK_TOKENS_OF_AGENT,
  rotateToken: lockNames(`(SELECT 'token ' || agent_id FROM tokens WHERE id = ${field('id', 'text')})`),
  lockAuditEnds: lockNames(`(VALUES ('audit log'))`),
};

/** Of the history `named` of an agent: the number of the last event before the newest ones, which are all kept. */
const LAST_OLD_SEQ = `(SELECT max(newest.seq) FROM task_events AS newest WHERE newest.task_id = named.id) - ${field('kept')}`;

const IS_LIVE_TOKEN = `revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ${field('nowMs')})`;

const CLUSTER_TEXTS: ClusterStatements = {
  renewLease: `UPDATE hubs SET lease_until = ${field('untilMs')} WHERE hub_id = ${field('hubId', 'text')}`,
  insertLease: `INSERT INTO hubs (hub_id, lease_until) VALUES (${field('hubId', 'text')}, ${field('untilMs')}) ON CONFLICT (hub_id) DO NOTHING`,
  // A lease that is locked is being renewed.
  expiredLeases: `SELECT hub_id, lease_until FROM hubs WHERE lease_until <= ${field('nowMs')} ORDER BY hub_id FOR UPDATE SKIP LOCKED`,
  leases: `SELECT hub_id FROM hubs ORDER BY hub_id`,
  removeLeases: `DELETE FROM hubs WHERE hub_id = ANY (${NAMES})`,
  tryTakeDuty: `
    SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ' duty ' || ($1::json #>> '{}'), 0))::integer AS taken`,
  agentsOf: `SELECT id, ${HAS_STOPS} FROM agents WHERE connected = 1 AND hub_id = ($1::json #>> '{}') ORDER BY id`,
  insertMail: `
    INSERT INTO hub_mail (id, hub_id, state)
    SELECT given.id, given."hubId", given.state FROM ${given('insertMail')}
    WHERE EXISTS (SELECT 1 FROM hubs WHERE hubs.hub_id = given."hubId")
    ON CONFLICT (id) DO NOTHING`,
  takeMail: `
    DELETE FROM hub_mail WHERE place = ANY (ARRAY(
      SELECT place FROM hub_mail WHERE hub_id = ${field('hubId', 'text')} ORDER BY place LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))
    RETURNING place, state`,
  // Mail that another hub is taking at this moment is left to it.
  dropMail: `
    DELETE FROM hub_mail WHERE place = ANY (ARRAY(
      SELECT place FROM hub_mail WHERE NOT EXISTS (SELECT 1 FROM hubs WHERE hubs.hub_id = hub_mail.hub_id) FOR UPDATE SKIP LOCKED))`,
};

export const POSTGRES_STATEMENTS: PostgresStatements = {
  ...CLUSTER_TEXTS,

  recordBatch: `
    WITH old AS (
      DELETE FROM batches WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM batches WHERE at < now() - interval '${BATCHES_KEPT_FOR}' ORDER BY at LIMIT ${BATCHES_REMOVED} FOR UPDATE SKIP LOCKED)))
    INSERT INTO batches (batch_id) VALUES ($1::json #>> '{}') ON CONFLICT (batch_id) DO NOTHING`,
  probe: 'UPDATE store SET probes = probes + 1',

  loadTasks: `SELECT ${taskRead()} FROM tasks WHERE id = ANY (${NAMES}) ORDER BY id ${LOCKED}`,
  // The lists are made before the first row is locked, from what is committed then: after the wait for the agents, which get no tasks
  // meanwhile. Tasks that are submitted meanwhile and depend on these are found by `dependents`.
  loadAllTasks: `
    SELECT ${taskRead()} FROM tasks WHERE id = ANY (ARRAY(
      SELECT json_array_elements_text($1::json -> 'tasks')
      UNION ALL SELECT t.id FROM tasks AS t WHERE t.assigned_to = ANY (${listed('holders')}) AND t.status = 'assigned'
      UNION ALL SELECT s.task_id FROM pending_stops AS s WHERE s.agent_id = ANY (${listed('holders')})
      UNION ALL SELECT first.task_id FROM (
        SELECT d.task_id FROM unnest(${listed('completing')}) AS named (id) CROSS JOIN LATERAL (
          SELECT one.task_id FROM task_dependencies AS one WHERE one.depends_on = named.id
          ORDER BY one.task_id LIMIT ${DEPENDENTS_LOCKED}) AS d
        LIMIT ${DEPENDENTS_LOCKED}) AS first
      UNION ALL SELECT d.depends_on FROM task_dependencies AS d WHERE d.task_id = ANY (${listed('retried')})))
    ORDER BY id ${LOCKED}`,
  readTasks: `SELECT ${taskRead()} FROM tasks WHERE id = ANY (${NAMES})`,
  loadTombstones: `SELECT task_id, state FROM tombstones WHERE task_id = ANY (${NAMES})`,
  loadAgents: `SELECT state, id FROM agents WHERE id = ANY (${NAMES}) ORDER BY id ${LOCKED}`,
  takeAgents: `SELECT state FROM agents WHERE id = ANY (${NAMES}) ORDER BY id ${LOCKED} SKIP LOCKED`,
  readAgents: `SELECT state FROM agents WHERE id = ANY (${NAMES})`,
  loadKeys: `
    SELECT k.owner, k.key, k.digest, k.task_ids, k.created_at
    FROM ${given('loadKeys')} CROSS JOIN LATERAL (
      SELECT * FROM idempotency_keys AS one WHERE one.owner = given.owner AND one.key = given.key LIMIT 1) AS k`,
  loadBodies: `SELECT task_id, body FROM task_bodies WHERE task_id = ANY (${NAMES})`,

  // Steps from key to key on the index, and finds each key's first task, which nearly always shows that it is eligible; otherwise it looks once
  // into each lane. The cost grows with the requirements, not with the tasks. All ranges advance in turn, each ends with a step that finds
  // nothing, and no more than `steps` steps are made.
  waitingRequirements: `
    WITH RECURSIVE keys (requirement_key, ready_at, until) AS (
      SELECT first.requirement_key, first.ready_at, range.until
      FROM json_to_recordset($1::json -> 'ranges') AS range ("from" text, until text) LEFT JOIN LATERAL (
        SELECT t.requirement_key, t.ready_at FROM tasks AS t
        WHERE ${WAITS} AND t.requirement_key >= range."from" AND t.requirement_key < range.until
        ORDER BY t.requirement_key, t.lane, t.ready_at LIMIT 1) AS first ON true
      UNION ALL
      SELECT next.requirement_key, next.ready_at, keys.until
      FROM keys LEFT JOIN LATERAL (
        SELECT t.requirement_key, t.ready_at FROM tasks AS t
        WHERE ${WAITS} AND t.requirement_key > keys.requirement_key AND t.requirement_key < keys.until
        ORDER BY t.requirement_key, t.lane, t.ready_at LIMIT 1) AS next ON true
      WHERE keys.requirement_key IS NOT NULL
    )
    SELECT found.requirement_key, CASE WHEN found.ready_at <= ${field('nowMs')} THEN 1 ELSE (
      SELECT 1 FROM ${LANES} CROSS JOIN LATERAL (
        SELECT 1 FROM tasks AS t
        WHERE t.requirement_key = found.requirement_key AND t.lane = lanes.lane AND ${WAITS} AND t.ready_at <= ${field('nowMs')}
        LIMIT 1) AS one
      LIMIT 1) END AS eligible
    FROM (SELECT requirement_key, ready_at FROM keys LIMIT ${field('steps')}) AS found
    WHERE found.requirement_key IS NOT NULL
    ORDER BY found.requirement_key`,

  // One short scan of the index for each key and lane, however many tasks wait elsewhere. Most of these tasks are assigned, which needs their
  // bodies: short ones come along.
  claimable: `
    SELECT ${taskRead('t')}, (
      SELECT b.body FROM task_bodies AS b
      WHERE ${field('withBodies', 'boolean')} AND b.task_id = t.id AND octet_length(b.body) <= ${BODY_ALONG_BYTES}) AS body
    FROM json_array_elements_text($1::json -> 'keys') AS wanted (key) CROSS JOIN ${LANES} CROSS JOIN LATERAL (
      SELECT c.requirement_key, c.lane, c.ready_at, ${taskRead('c')} FROM tasks AS c
      WHERE c.requirement_key = wanted.key AND c.lane = lanes.lane AND ${WAITS} AND c.ready_at <= ${field('nowMs')}
      ORDER BY c.ready_at, c.id LIMIT ${field('limitPerLane')} ${LOCKED} SKIP LOCKED) AS t
    ORDER BY t.requirement_key, t.lane, t.ready_at, t.id`,
  waitingBehind: `
    SELECT ${taskRead('t')} FROM tasks AS t
    WHERE t.requirement_key = ${field('key', 'text')} AND t.lane = ${field('lane')} AND ${WAITS}
      AND (t.ready_at, t.id) > (${field('afterMs')}, ${field('afterId', 'text')})
    ORDER BY t.ready_at, t.id LIMIT ${field('limit')}`,

  due: `
    SELECT ${taskRead()} FROM tasks WHERE due_at IS NOT NULL AND due_at <= ${field('nowMs')}
    ORDER BY due_at, id LIMIT ${field('limit')} ${LOCKED} SKIP LOCKED`,
  dueAssignees: `
    SELECT DISTINCT assigned_to FROM (
      SELECT assigned_to FROM tasks WHERE due_at IS NOT NULL AND due_at <= ${field('nowMs')}
      ORDER BY due_at, id LIMIT ${field('limit')}) AS due
    WHERE assigned_to IS NOT NULL`,
  // The first are locked already, except those that were submitted meanwhile. One that another transaction has locked ends the result.
  dependents: `
    SELECT naming.place, (t.status = 'blocked')::integer AS waits, naming.task_id AS id, ${besideState('mine')}, mine.state
    FROM (
      SELECT named.place - 1 AS place, d.task_id
      FROM ROWS FROM (json_to_recordset($1::json -> 'of') AS (id text, after text)) WITH ORDINALITY AS named (id, after, place)
      CROSS JOIN LATERAL (
        SELECT one.task_id FROM task_dependencies AS one WHERE one.depends_on = named.id AND one.task_id > named.after
        ORDER BY one.task_id LIMIT ${field('limit')}) AS d
      ORDER BY named.place, d.task_id LIMIT ${field('limit')}
    ) AS naming CROSS JOIN LATERAL (
      SELECT one.status FROM tasks AS one WHERE one.id = naming.task_id LIMIT 1) AS t LEFT JOIN LATERAL (
      SELECT ${taskRead('one')} FROM tasks AS one WHERE one.id = naming.task_id AND t.status = 'blocked' ${LOCKED} SKIP LOCKED) AS mine ON true
    ORDER BY naming.place, naming.task_id`,
  someDependency: 'SELECT task_id FROM task_dependencies LIMIT 1',
  liveTasks: `SELECT ${taskRead()} FROM tasks WHERE assigned_to = ANY (${NAMES}) AND status = 'assigned' ORDER BY id`,
  pendingStops: `SELECT agent_id, task_id, generation, state FROM pending_stops WHERE agent_id = ANY (${NAMES}) ORDER BY task_id, generation, agent_id ${LOCKED}`,
  heldCounts: `
    SELECT named.agent_id,
      (SELECT count(*) FROM tasks AS t WHERE t.status = 'assigned' AND t.assigned_to = named.agent_id)
      + (SELECT count(*) FROM pending_stops AS s WHERE s.agent_id = named.agent_id) AS held
    FROM (SELECT DISTINCT unnest(${NAMES}) AS agent_id) AS named`,
  activeAgents: ACTIVE_AGENTS,

  insertTasks: insertNew(
    'insertTasks',
    'tasks',
    ['id'],
    ` AND NOT EXISTS (SELECT 1 FROM tombstones AS b WHERE b.task_id = given.id)
      AND NOT EXISTS (SELECT 1 FROM idempotency_keys AS k WHERE k.owner = given."submittedBy" AND k.key = given.id)`,
  ),
  insertBodies: insertNew('insertBodies', 'task_bodies', ['task_id']),
  insertDependencies: insert('insertDependencies', 'task_dependencies', 'ON CONFLICT DO NOTHING'),
  updateTasks: `
    UPDATE tasks SET ${Object.entries(CHANGING_COLUMNS)
      .map(([column, [name]]) => `${column} = given."${name}"`)
      .join(', ')}
    FROM ${given('updateTasks')} WHERE tasks.id = given.id`,
  // Numbers are taken from one row, which stays locked until the commit, so that they follow the order of the commits of all hubs.
  insertEvents: `
    WITH new AS MATERIALIZED (
      SELECT given.*, (sum(${earlierCount('given')} + 1) OVER (ORDER BY place))::bigint AS ends
      FROM ${given('insertEvents', 'place')}
      WHERE NOT EXISTS (SELECT 1 FROM task_events AS e WHERE e.task_id = given."taskId" AND ${hasEvents(`(given.seq - ${earlierCount('given')})`, 'given.seq')})
    ), events AS (SELECT coalesce(max(ends), 0) AS added FROM new
    ), numbers AS (
      UPDATE event_numbers SET last_id = last_id + (SELECT added FROM events) RETURNING last_id - (SELECT added FROM events) AS base
    )
    INSERT INTO task_events (id, ${Object.keys(EVENT_COLUMNS).join(', ')})
    SELECT numbers.base + new.ends, ${Object.values(EVENT_COLUMNS).map(([name]) => `new."${name}"`).join(', ')} FROM numbers, new ORDER BY new.ends
    RETURNING id, task_id, seq`, // prettier-ignore
  findEvents: `
    SELECT found.id - found.seq + given.seq AS id, found.task_id, given.seq FROM ${given('findEvents')} CROSS JOIN LATERAL (
      SELECT e.id, e.task_id, e.seq FROM task_events AS e WHERE e.task_id = given."taskId" AND ${hasEvents('given.seq', 'given.seq')} LIMIT 1) AS found`,
  saveResults: insert('saveResults', 'task_results', 'ON CONFLICT (task_id) DO UPDATE SET json = excluded.json'),
  saveKept: insert(
    'saveKept',
    'task_kept_results',
    `ON CONFLICT (task_id, generation, agent_id) DO UPDATE SET ${KEPT_CHANGING.map((column) => `${column} = excluded.${column}`).join(', ')}`,
  ),
  dropKept: `
    DELETE FROM task_kept_results AS k USING ${given('dropKept')}
    WHERE k.task_id = given."taskId" AND k.generation = given.generation AND k.agent_id = given."agentId"`,
  saveAgents: insert(
    'saveAgents',
    'agents',
    'ON CONFLICT (id) DO UPDATE SET connected = excluded.connected, hub_id = excluded.hub_id, state = excluded.state',
  ),
  // Also locks an existing row, so that the agent of a token being created is not removed.
  insertAgents: insert('insertAgents', 'agents', 'ON CONFLICT (id) DO UPDATE SET id = agents.id'),
  saveStops: insert('saveStops', 'pending_stops', 'ON CONFLICT (agent_id, task_id, generation) DO UPDATE SET state = excluded.state'),
  clearStops: `
    DELETE FROM pending_stops AS s USING ${given('clearStops')}
    WHERE s.agent_id = given."agentId" AND s.task_id = given."taskId" AND s.generation = given.generation`,
  insertKeys: insertNew('insertKeys', 'idempotency_keys', ['owner', 'key']),

  // Ended longest ago first; tasks that others depend on or that are still being stopped are skipped.
  removable: `
    SELECT old.ended_at, old.id, ${besideState('mine')}, mine.state
    FROM (
      SELECT t.ended_at, t.id, t.status, t.due_at FROM tasks AS t
      WHERE t.ended_at IS NOT NULL AND t.ended_at <= greatest(${field('endedBeforeMs')}, ${field('deadBeforeMs')})
        AND (t.ended_at, t.id) > (${field('afterMs')}, ${field('afterId', 'text')})
      ORDER BY t.ended_at, t.id LIMIT ${field('lookedMax')}
    ) AS old LEFT JOIN LATERAL (
      SELECT ${taskRead('one')} FROM tasks AS one
      WHERE one.id = old.id AND one.due_at IS NULL AND one.ended_at IS NOT NULL
        AND one.ended_at <= CASE one.status WHEN 'dead_letter' THEN ${field('deadBeforeMs')} ELSE ${field('endedBeforeMs')} END
        AND one.id IS DISTINCT FROM (SELECT task_id FROM task_events ORDER BY id DESC LIMIT 1)
        AND NOT ${isNeeded('one.id')} AND NOT EXISTS (SELECT 1 FROM pending_stops AS s WHERE s.task_id = one.id)
      FOR UPDATE OF one SKIP LOCKED) AS mine ON true
    ORDER BY old.ended_at, old.id`,
  countEnded: `SELECT coalesce(sum(tasks), 0) AS tasks FROM task_counts WHERE status IN ('completed', 'cancelled')`,
  sizesOfTasks: `
    SELECT b.task_id, octet_length(b.body) + coalesce(octet_length(r.json), 0)
      + coalesce((SELECT sum(k.bytes) FROM task_kept_results AS k WHERE k.task_id = b.task_id), 0) AS bytes
    FROM task_bodies AS b LEFT JOIN task_results AS r ON r.task_id = b.task_id WHERE b.task_id = ANY (${NAMES})`,
  loadResults: `SELECT task_id, json FROM task_results WHERE task_id = ANY (${NAMES})`,
  loadKept: `SELECT * FROM task_kept_results WHERE task_id = ANY (${NAMES}) ORDER BY task_id, generation, agent_id`,
  loadEvents: `SELECT * FROM task_events WHERE task_id = ANY (${NAMES}) ORDER BY task_id, seq`,
  noteRemovedEvents: `
    INSERT INTO removed_events (only_row, last_id)
    SELECT 1, max(id) FROM task_events WHERE task_id = ANY (${NAMES}) HAVING max(id) IS NOT NULL
    ON CONFLICT (only_row) DO UPDATE SET last_id = greatest(removed_events.last_id, excluded.last_id)`,
  removeEvents: `DELETE FROM task_events WHERE task_id = ANY (${NAMES})`,
  removeTasks: `DELETE FROM tasks WHERE id = ANY (${NAMES})`,
  insertTombstones: insert('insertTombstones', 'tombstones', 'ON CONFLICT (task_id) DO NOTHING'),
  removeTombstones: `
    DELETE FROM tombstones WHERE ctid = ANY (ARRAY(
      SELECT b.ctid FROM tombstones AS b
      WHERE b.removed_at <= ${field('tombstonesBeforeMs')} AND NOT ${isNeeded('b.task_id')}
      ORDER BY b.removed_at LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))`,
  // A small table, since expired secrets are removed.
  removeSecrets: `
    DELETE FROM enrol_secrets WHERE hash = ANY (ARRAY(
      SELECT hash FROM enrol_secrets WHERE expires_at < ${field('nowMs')} LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))`,
  removeKeys: `
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM idempotency_keys
      WHERE created_at <= ${field('keysBeforeMs')} ORDER BY created_at LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))`,

  appendOutput: `
    INSERT INTO task_output (task_id, n, generation, agent_id, at, stream, text, seq, dropped)
    SELECT t.id, coalesce((SELECT max(o.n) FROM task_output AS o WHERE o.task_id = t.id), 0) + row_number() OVER (PARTITION BY t.id ORDER BY given.place),
      given.generation, given."agentId", given."atMs", given.stream, given.text, given.seq, given.dropped
    FROM ROWS FROM (json_to_recordset($1::json) AS ("taskId" text, generation bigint, "agentId" text, "atMs" bigint, stream text, text text, seq bigint, dropped bigint))
      WITH ORDINALITY AS given ("taskId", generation, "agentId", "atMs", stream, text, seq, dropped, place) JOIN tasks AS t ON t.id = given."taskId"
    WHERE EXISTS (
      SELECT 1 FROM task_events AS e
      WHERE e.task_id = t.id AND e.event = 'assigned' AND e.generation = given.generation AND e.agent_id = given."agentId")
    ON CONFLICT (task_id, n) DO NOTHING`,
  trimOutput: `
    DELETE FROM task_output AS o USING (
      SELECT o.task_id, o.n, count(*) OVER newest AS chunks, sum(octet_length(o.text)) OVER newest AS bytes
      FROM json_to_recordset($1::json -> 'of') AS given ("taskId" text, generation bigint)
        JOIN task_output AS o ON o.task_id = given."taskId" AND o.generation = given.generation
      WINDOW newest AS (PARTITION BY o.task_id, o.generation ORDER BY o.n DESC)) AS old
    WHERE o.task_id = old.task_id AND o.n = old.n AND (old.chunks > ${field('chunksMax')} OR old.bytes > ${field('bytesMax')})`,
  removeOutput: `
    DELETE FROM task_output WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM task_output WHERE at < ${field('beforeMs')} ORDER BY at LIMIT ${field('limit')} FOR UPDATE SKIP LOCKED))`,

  agentsAfter: `SELECT id FROM agents WHERE id > ${field('after', 'text')} ORDER BY id LIMIT ${field('limit')}`,
  takeUnneededAgents: `
    SELECT a.id FROM agents AS a
    WHERE a.id = ANY (${listed('ids')}) AND a.connected = 0
      AND EXISTS (SELECT 1 FROM tokens AS k WHERE k.agent_id = a.id)
      AND NOT EXISTS (
        SELECT 1 FROM tokens AS k WHERE k.agent_id = a.id
          AND coalesce(k.revoked_at > ${field('beforeMs')}, true) AND coalesce(k.expires_at > ${field('beforeMs')}, true))
      AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.status = 'assigned' AND t.assigned_to = a.id)
      AND NOT EXISTS (SELECT 1 FROM pending_stops AS s WHERE s.agent_id = a.id)
    ORDER BY a.id FOR UPDATE OF a SKIP LOCKED`,
  removeTokensOf: `
    DELETE FROM tokens WHERE id = ANY (ARRAY(SELECT id FROM tokens WHERE agent_id = ANY (${NAMES}) FOR UPDATE SKIP LOCKED))`,
  removeAgents: `DELETE FROM agents WHERE id = ANY (${NAMES}) AND NOT EXISTS (SELECT 1 FROM tokens AS k WHERE k.agent_id = agents.id) RETURNING id`,
  removeAgentEvents: `
    DELETE FROM task_events WHERE id = ANY (ARRAY(
      SELECT old.id FROM unnest(${listed('historyIds')}) AS named (id) CROSS JOIN LATERAL (
        SELECT e.id FROM task_events AS e
        WHERE e.task_id = named.id AND e.seq <= ${LAST_OLD_SEQ}
          AND (${field('kept')} = 0 OR EXISTS (
            SELECT 1 FROM task_events AS later
            WHERE later.task_id = e.task_id AND later.seq > e.seq AND later.seq <= ${LAST_OLD_SEQ} AND ${isSameKind('later', 'e')}))) AS old))
      AND id <> (SELECT max(id) FROM task_events)`,

  liveTokenOf: `SELECT id FROM tokens WHERE agent_id = ${field('agentId', 'text')} AND ${IS_LIVE_TOKEN} LIMIT 1`,
  // There are few tokens, and they are created by hand: scanning the table is cheaper than one more index.
  liveTokenNamed: `
    SELECT id FROM tokens
    WHERE agent_id IS NULL AND name = ${field('name', 'text')} AND role = ${field('role', 'text')} AND ${IS_LIVE_TOKEN} LIMIT 1`,
  insertTokens: insert('insertTokens', 'tokens', 'ON CONFLICT (id) DO NOTHING'),
  revokeTokens: `
    UPDATE tokens SET revoked_at = ${field('nowMs')}
    WHERE id = ANY (ARRAY(
      SELECT id FROM tokens WHERE revoked_at IS NULL AND (id = ${field('id', 'text')} OR agent_id = ${field('agentId', 'text')})
      ORDER BY id FOR UPDATE)) RETURNING *`,
  rotateToken: `
    UPDATE tokens SET replaced_by = ${field('replacedBy', 'text')}, expires_at = least(expires_at, ${field('expiresAtMs')})
    WHERE id = ${field('id', 'text')} AND replaced_by IS NULL AND ${IS_LIVE_TOKEN} RETURNING *`,
  // Locked in one order, since several hubs note the same tokens; a later use that was noted meanwhile is found by the condition on
  // `last_used_at`.
  noteTokensUsed: `
    UPDATE tokens SET last_used_at = given."atMs" FROM ${given('noteTokensUsed')}
    WHERE tokens.id = given.id AND coalesce(tokens.last_used_at, -1) < given."atMs" AND tokens.id = ANY (ARRAY(
      SELECT id FROM tokens WHERE id = ANY ($1::text[])
      ORDER BY id ${LOCKED}))`,
  saveEnrolSecret: `
    INSERT INTO enrol_secrets (hash, expires_at) VALUES (${field('hash', 'text')}, ${field('expiresAtMs')})
    ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at`,
  takeEnrolSecret: `DELETE FROM enrol_secrets WHERE hash = ($1::json #>> '{}') RETURNING expires_at`,

  lockAuditEnds: `SELECT seq, hash, removed_seq, removed_hash FROM audit_ends`,
  insertAudit: insert('insertAudit', 'audit_log', ''),
  moveAuditHead: `
    INSERT INTO audit_ends (only_row, seq, hash, removed_seq, removed_hash)
    VALUES (1, ${field('seq')}, ${field('hash', 'text')}, 0, ${field('start', 'text')})
    ON CONFLICT (only_row) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`,
  oldestAudit: `SELECT seq, at, hash FROM audit_log ORDER BY seq LIMIT ${field('limit')}`,
  removeAudit: `DELETE FROM audit_log WHERE seq <= ${field('seq')}`,
  moveAuditAnchor: `UPDATE audit_ends SET removed_seq = ${field('seq')}, removed_hash = ${field('hash', 'text')}`,
};

/**
 * The statements that may wait for another transaction, in the order in which every transaction runs them: those in one line lock rows of
 * one kind. Inserts of rows with new names wait for no other transaction.
 */
export const LOCK_ORDER: readonly (readonly (keyof PostgresStatements)[])[] = [
  ['renewLease', 'insertLease'],
  // The last two then lock rows of tokens, which nothing below locks but `noteTokensUsed`, alone in its transaction.
  ['loadKeys', 'liveTokenOf', 'liveTokenNamed', 'revokeTokens', 'rotateToken'],
  ['loadAgents'],
  ['loadTasks', 'loadAllTasks'],
  ['insertAgents', 'noteTokensUsed', 'saveEnrolSecret', 'takeEnrolSecret'],
  ['pendingStops'],
  ['insertEvents'],
  ['lockAuditEnds'],
  ['recordBatch'],
];

/** Adds up parts of the counts; parts that another hub is adding up at this moment are left to it. */
export const FOLD_COUNTS = `
  WITH parts AS (
    DELETE FROM task_counts WHERE ctid = ANY (ARRAY(SELECT ctid FROM task_counts LIMIT ${COUNTS_FOLDED} FOR UPDATE SKIP LOCKED))
    RETURNING status, lane, tasks)
  INSERT INTO task_counts (status, lane, tasks)
  SELECT status, lane, sum(tasks) FROM parts GROUP BY status, lane HAVING sum(tasks) <> 0`;
