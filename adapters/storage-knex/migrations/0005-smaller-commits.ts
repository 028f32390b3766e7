/**
 * A commit writes less: its cost is the pages that it touches. The state of a task omits what is the same in most tasks; events are no
 * longer indexed by agent or name; an agent's tasks have an index once they have ended, and until then the one of live tasks; the few
 * batches that are remembered need none. Whole states are read as before; older programs cannot read short ones.
 */
import type { Migration } from '../rows/migration.ts';

const FEWER_INDEXES = [
  `DROP INDEX task_events_by_agent`,
  `DROP INDEX task_events_by_name`,
  `DROP INDEX tasks_by_assignee`,
  `CREATE INDEX tasks_by_assignee ON tasks (assigned_to, created_at, id) WHERE assigned_to IS NOT NULL AND ended_at IS NOT NULL`,
];

/** How many batches are kept. A hub asks about a batch right after its commit, so only a few later ones come in between. */
const BATCHES_KEPT = 4_096;

export const smallerCommits: Migration = {
  name: '0005-smaller-commits',
  sqlite: [
    ...FEWER_INDEXES,
    `DROP TABLE batches`,
    `CREATE TABLE batches (place INTEGER PRIMARY KEY, batch_id TEXT NOT NULL) STRICT`,
    `CREATE TRIGGER batches_bounded AFTER INSERT ON batches BEGIN
      DELETE FROM batches WHERE place <= NEW.place - ${BATCHES_KEPT};
    END`,
  ],
  postgres: FEWER_INDEXES,
};
