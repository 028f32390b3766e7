/** The first schema on Postgres. Texts are compared and sorted byte by byte, whatever the server's locale. */

const TEXT = 'text COLLATE "C"';

/** For tables whose rows are constantly added and removed: dead ones are vacuumed before they slow the indexes down. */
const BUSY = 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.05';

export const FIRST_SCHEMA_OF_POSTGRES: readonly string[] = [
  // One row, which identifies this database.
  `CREATE TABLE store (only_row integer PRIMARY KEY CHECK (only_row = 1), store_id text NOT NULL, probes bigint NOT NULL DEFAULT 0)`,

  // The small part of a task, which every transition rewrites. The columns are copies of fields of `state`, for the indexes.
  `CREATE TABLE tasks (
    id ${TEXT} PRIMARY KEY, status ${TEXT} NOT NULL, lane integer NOT NULL, parked integer NOT NULL,
    requirement_key ${TEXT} NOT NULL, assigned_to ${TEXT}, ready_at bigint NOT NULL, due_at bigint,
    submitted_by ${TEXT} NOT NULL, created_at bigint NOT NULL, state text NOT NULL) WITH (${BUSY})`,
  `CREATE INDEX tasks_claimable ON tasks (requirement_key, lane, ready_at, id) WHERE status = 'queued' AND parked = 0`,
  `CREATE INDEX tasks_due ON tasks (due_at, id) WHERE due_at IS NOT NULL`,
  `CREATE INDEX tasks_live ON tasks (assigned_to, id) WHERE status = 'assigned'`,
  `CREATE INDEX tasks_by_age ON tasks (created_at, id)`,
  `CREATE INDEX tasks_by_status ON tasks (status, created_at, id)`,
  `CREATE INDEX tasks_by_lane ON tasks (lane, created_at, id)`,
  `CREATE INDEX tasks_by_assignee ON tasks (assigned_to, created_at, id) WHERE assigned_to IS NOT NULL`,
  `CREATE INDEX tasks_by_submitter ON tasks (submitted_by, created_at, id)`,

  // What was submitted and what the agent returned: large, and written once.
  `CREATE TABLE task_bodies (task_id ${TEXT} PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE, body text NOT NULL)`,
  `CREATE TABLE task_results (task_id ${TEXT} PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE, json text NOT NULL)`,
  `CREATE TABLE task_dependencies (
    depends_on ${TEXT} NOT NULL, task_id ${TEXT} NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, PRIMARY KEY (depends_on, task_id))`,

  // The number of tasks of a status and lane is the sum of its rows: each commit adds its changes without waiting for another, and from
  // time to time rows are replaced by their sum.
  `CREATE TABLE task_counts (status ${TEXT} NOT NULL, lane integer NOT NULL, tasks bigint NOT NULL) WITH (${BUSY})`,
  `CREATE FUNCTION count_tasks() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        INSERT INTO task_counts SELECT status, lane, count(*) FROM now_there GROUP BY status, lane;
      ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO task_counts SELECT status, lane, -count(*) FROM was_there GROUP BY status, lane;
      ELSE
        INSERT INTO task_counts
          SELECT status, lane, sum(tasks)
          FROM (SELECT status, lane, 1 AS tasks FROM now_there UNION ALL SELECT status, lane, -1 FROM was_there) AS changed
          GROUP BY status, lane HAVING sum(tasks) <> 0;
      END IF;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks REFERENCING NEW TABLE AS now_there
    FOR EACH STATEMENT EXECUTE FUNCTION count_tasks()`,
  `CREATE TRIGGER tasks_counted_over AFTER UPDATE ON tasks REFERENCING OLD TABLE AS was_there NEW TABLE AS now_there
    FOR EACH STATEMENT EXECUTE FUNCTION count_tasks()`,
  `CREATE TRIGGER tasks_counted_out AFTER DELETE ON tasks REFERENCING OLD TABLE AS was_there
    FOR EACH STATEMENT EXECUTE FUNCTION count_tasks()`,

  `CREATE TABLE task_events (
    id bigint PRIMARY KEY, task_id ${TEXT} NOT NULL, seq bigint NOT NULL, event ${TEXT} NOT NULL, at bigint NOT NULL,
    agent_id ${TEXT}, generation bigint, session bigint, details text, UNIQUE (task_id, seq))`,
  `CREATE INDEX task_events_by_agent ON task_events (agent_id, id) WHERE agent_id IS NOT NULL`,
  `CREATE INDEX task_events_by_name ON task_events (event, id)`,
  // One row, which a transaction with new events locks until its commit. A sequence would assign numbers before it is known which commit
  // comes first, and a reader that is past the higher number would never see the lower one.
  `CREATE TABLE event_numbers (only_row integer PRIMARY KEY CHECK (only_row = 1), last_id bigint NOT NULL) WITH (fillfactor = 10)`,
  `INSERT INTO event_numbers VALUES (1, 0)`,

  `CREATE TABLE agents (id ${TEXT} PRIMARY KEY, connected integer NOT NULL, state text NOT NULL)`,
  `CREATE INDEX agents_connected ON agents (id) WHERE connected = 1`,
  `CREATE TABLE pending_stops (
    agent_id ${TEXT} NOT NULL, task_id ${TEXT} NOT NULL, generation bigint NOT NULL, state text NOT NULL,
    PRIMARY KEY (agent_id, task_id, generation))`,

  `CREATE TABLE idempotency_keys (
    owner ${TEXT} NOT NULL, key ${TEXT} NOT NULL, digest text NOT NULL, task_ids text NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (owner, key))`,

  `CREATE TABLE tokens (
    id ${TEXT} PRIMARY KEY, name text NOT NULL, role text NOT NULL, agent_id ${TEXT}, hash ${TEXT} NOT NULL UNIQUE,
    prefix text NOT NULL, capabilities text, max_slots bigint, created_at bigint NOT NULL, revoked_at bigint)`,
  `CREATE INDEX tokens_by_agent ON tokens (agent_id) WHERE agent_id IS NOT NULL`,
  `CREATE INDEX tokens_by_age ON tokens (created_at, id)`,
  `CREATE TABLE enrol_secrets (hash ${TEXT} PRIMARY KEY, expires_at bigint NOT NULL)`,

  // Which batches were committed, for a hub that lost the response to a COMMIT.
  `CREATE TABLE batches (batch_id ${TEXT} PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()) WITH (${BUSY})`,
  `CREATE INDEX batches_by_age ON batches (at)`,
];
