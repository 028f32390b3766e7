/** For the removal of old rows: when a task ended, the tombstones of removed tasks, and the indexes to find both. */
import type { Migration } from '../rows/migration.ts';

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
    // For the removal of a task, which removes its dependencies as well.
    `CREATE INDEX task_dependencies_by_task ON task_dependencies (task_id)`,
  ],
  // No store on Postgres is older than this step, so there are no old rows to fill in.
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
