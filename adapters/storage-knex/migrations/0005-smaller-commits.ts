/**
 * A commit writes less: the pages that it touches are what it costs. The state of a task leaves out what is as in most tasks;
 * events are in the order of their numbers only; the tasks of an agent have an index once they have ended, and before that the
 * one of live tasks; the few batches that are remembered need none. Whole states are read as before; older programs cannot read short ones.
 */
import type { Migration } from './migration.ts';

const FEWER_INDEXES = [
  `DROP INDEX task_events_by_agent`,
  `DROP INDEX task_events_by_name`,
  `DROP INDEX tasks_by_assignee`,
  `CREATE INDEX tasks_by_assignee ON tasks (assigned_to, created_at, id) WHERE assigned_to IS NOT NULL AND ended_at IS NOT NULL`,
];

/** A hub asks for a batch right after its commit; this many later ones do not hide it. */
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
