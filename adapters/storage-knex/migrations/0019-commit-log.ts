/**
 * The number of the newest batch of the commit log (sqlite/commit-log/commit-log.ts) that SQLite has. The step also keeps programs that do
 * not know the log off a store whose log may have more.
 */
import type { Migration } from '../rows/migration.ts';

export const commitLog: Migration = {
  name: '0019-commit-log',
  besideOlderHubs: true,
  sqlite: [
    `CREATE TABLE commit_log (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), last_number INTEGER NOT NULL) STRICT`,
    `INSERT INTO commit_log (only_row, last_number) VALUES (1, 0)`,
  ],
  postgres: [],
};
