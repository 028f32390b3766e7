/** The first schema. Times are milliseconds since 1970; `state`, `body`, `details` and `task_ids` are JSON texts. */
import { STATUSES } from '../../../../core/domain/task/task.ts';
import { FIRST_SCHEMA_OF_POSTGRES } from './0001-postgres.ts';
import type { Migration } from '../../rows/migration.ts';

/** How many batches are kept. A hub asks about a batch right after its commit, so only a few later ones come in between. */
const BATCHES_KEPT = 4_096;

export const tasksAgentsEvents: Migration = {
  name: '0001-tasks-agents-events',
  sqlite: [
    // One row, which identifies this database.
    `CREATE TABLE store (
      only_row INTEGER PRIMARY KEY CHECK (only_row = 1), store_id TEXT NOT NULL, probes INTEGER NOT NULL DEFAULT 0) STRICT`,

    // The small part of a task, which every transition rewrites. The columns are copies of fields of `state`, for the indexes.
    `CREATE TABLE tasks (
      id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL, lane INTEGER NOT NULL, parked INTEGER NOT NULL,
      requirement_key TEXT NOT NULL, assigned_to TEXT, ready_at INTEGER NOT NULL, due_at INTEGER,
      submitted_by TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL) STRICT`,
    `CREATE INDEX tasks_claimable ON tasks (requirement_key, lane, ready_at, id) WHERE status = 'queued' AND parked = 0`,
    `CREATE INDEX tasks_due ON tasks (due_at, id) WHERE due_at IS NOT NULL`,
    `CREATE INDEX tasks_live ON tasks (status, assigned_to, id) WHERE status = 'assigned'`,
    `CREATE INDEX tasks_by_age ON tasks (created_at, id)`,
    `CREATE INDEX tasks_by_status ON tasks (status, created_at, id)`,
    `CREATE INDEX tasks_by_lane ON tasks (lane, created_at, id)`,
    `CREATE INDEX tasks_by_assignee ON tasks (assigned_to, created_at, id) WHERE assigned_to IS NOT NULL`,
    `CREATE INDEX tasks_by_submitter ON tasks (submitted_by, created_at, id)`,

    // What was submitted and what the agent returned: large, and written once.
    `CREATE TABLE task_bodies (task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE, body TEXT NOT NULL) STRICT`,
    `CREATE TABLE task_results (task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE, json TEXT NOT NULL) STRICT`,
    `CREATE TABLE task_dependencies (
      depends_on TEXT NOT NULL, task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
      PRIMARY KEY (depends_on, task_id)) STRICT, WITHOUT ROWID`,

    // Counted as rows change, because counting a million of them takes half a second.
    `CREATE TABLE task_counts (
      status TEXT NOT NULL, lane INTEGER NOT NULL, tasks INTEGER NOT NULL, PRIMARY KEY (status, lane)) STRICT, WITHOUT ROWID`,
    ...STATUSES.map(
      (status) => `INSERT INTO task_counts VALUES ('${status}', 0, 0), ('${status}', 1, 0), ('${status}', 2, 0), ('${status}', 3, 0)`,
    ),
    `CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks BEGIN
      UPDATE task_counts SET tasks = tasks + 1 WHERE status = NEW.status AND lane = NEW.lane;
    END`,
    `CREATE TRIGGER tasks_counted_over AFTER UPDATE OF status, lane ON tasks WHEN OLD.status <> NEW.status OR OLD.lane <> NEW.lane BEGIN
      UPDATE task_counts SET tasks = tasks - 1 WHERE status = OLD.status AND lane = OLD.lane;
      UPDATE task_counts SET tasks = tasks + 1 WHERE status = NEW.status AND lane = NEW.lane;
    END`,
    `CREATE TRIGGER tasks_counted_out AFTER DELETE ON tasks BEGIN
      UPDATE task_counts SET tasks = tasks - 1 WHERE status = OLD.status AND lane = OLD.lane;
    END`,

    // AUTOINCREMENT: a number is never reused, not even when the events with the highest numbers are gone.
    `CREATE TABLE task_events (
      id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, at INTEGER NOT NULL,
      agent_id TEXT, generation INTEGER, session INTEGER, details TEXT, UNIQUE (task_id, seq)) STRICT`,
    `CREATE INDEX task_events_by_agent ON task_events (agent_id, id) WHERE agent_id IS NOT NULL`,
    `CREATE INDEX task_events_by_name ON task_events (event, id)`,

    `CREATE TABLE agents (id TEXT NOT NULL PRIMARY KEY, connected INTEGER NOT NULL, state TEXT NOT NULL) STRICT`,
    `CREATE INDEX agents_connected ON agents (id) WHERE connected = 1`,
    `CREATE TABLE pending_stops (
      agent_id TEXT NOT NULL, task_id TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL,
      PRIMARY KEY (agent_id, task_id, generation)) STRICT, WITHOUT ROWID`,

    `CREATE TABLE idempotency_keys (
      owner TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, task_ids TEXT NOT NULL, created_at INTEGER NOT NULL,
      PRIMARY KEY (owner, key)) STRICT`,

    `CREATE TABLE tokens (
      id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, agent_id TEXT, hash TEXT NOT NULL UNIQUE,
      prefix TEXT NOT NULL, capabilities TEXT, max_slots INTEGER, created_at INTEGER NOT NULL, revoked_at INTEGER) STRICT`,
    `CREATE INDEX tokens_by_agent ON tokens (agent_id) WHERE agent_id IS NOT NULL`,
    `CREATE INDEX tokens_by_age ON tokens (created_at, id)`,
    `CREATE TABLE enrol_secrets (hash TEXT NOT NULL PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT`,

    // Which batches were committed, for a hub that lost the response to a COMMIT.
    `CREATE TABLE batches (place INTEGER PRIMARY KEY, batch_id TEXT NOT NULL UNIQUE) STRICT`,
    `CREATE TRIGGER batches_bounded AFTER INSERT ON batches BEGIN
      DELETE FROM batches WHERE place <= NEW.place - ${BATCHES_KEPT};
    END`,
  ],
  postgres: FIRST_SCHEMA_OF_POSTGRES,
};
