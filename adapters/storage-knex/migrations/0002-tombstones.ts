/** What is over for long is removed: when a task ended, what is left of removed ones, and the indexes to find both by. */
import type { Migration } from './migration.ts';

export const tombstones: Migration = {
  name: '0002-tombstones',
  sqlite: [
    `ALTER TABLE tasks ADD COLUMN ended_at INTEGER`,
    `UPDATE tasks SET ended_at = state ->> '$.updatedAtMs' WHERE status IN ('completed', 'cancelled', 'dead_letter')`,
    `CREATE INDEX tasks_ended ON tasks (ended_at, id) WHERE ended_at IS NOT NULL`,
    `CREATE TABLE tombstones (task_id TEXT NOT NULL PRIMARY KEY, removed_at INTEGER NOT NULL, state TEXT NOT NULL) STRICT`,
    `CREATE INDEX tombstones_by_age ON tombstones (removed_at)`,
    `CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)`,
    `CREATE INDEX pending_stops_by_task ON pending_stops (task_id)`,
    // A task that is removed takes its dependencies with it.
    `CREATE INDEX task_dependencies_by_task ON task_dependencies (task_id)`,
  ],
  // No store on Postgres is older than this step: there is nothing to look up in old rows.
  postgres: [
    `ALTER TABLE tasks ADD COLUMN ended_at bigint`,
    `CREATE INDEX tasks_ended ON tasks (ended_at, id) WHERE ended_at IS NOT NULL`,
    `CREATE TABLE tombstones (task_id text COLLATE "C" PRIMARY KEY, removed_at bigint NOT NULL, state text NOT NULL)`,
    `CREATE INDEX tombstones_by_age ON tombstones (removed_at)`,
    `CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)`,
    `CREATE INDEX pending_stops_by_task ON pending_stops (task_id)`,
    `CREATE INDEX task_dependencies_by_task ON task_dependencies (task_id)`,
  ],
};
