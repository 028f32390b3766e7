/** The live output of agents. It is removed with its task, or earlier once it is old. */
import type { Migration } from '../rows/migration.ts';

export const taskOutput: Migration = {
  name: '0011-task-output',
  sqlite: [
    `CREATE TABLE task_output (
      task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, n INTEGER NOT NULL, generation INTEGER NOT NULL,
      agent_id TEXT NOT NULL, at INTEGER NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL, seq INTEGER NOT NULL,
      dropped INTEGER NOT NULL, PRIMARY KEY (task_id, n)) STRICT, WITHOUT ROWID`,
    `CREATE INDEX task_output_by_age ON task_output (at)`,
  ],
  postgres: [
    `CREATE TABLE task_output (
      task_id text COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, n bigint NOT NULL, generation bigint NOT NULL,
      agent_id text COLLATE "C" NOT NULL, at bigint NOT NULL, stream text NOT NULL, text text NOT NULL, seq bigint NOT NULL,
      dropped bigint NOT NULL, PRIMARY KEY (task_id, n))`,
    `CREATE INDEX task_output_by_age ON task_output (at)`,
  ],
};
