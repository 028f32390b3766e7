/**
 * The indexes of lists end with the creation time, no longer with the ID of the task, which was more than half of each entry: 52 pages instead
 * of 56 for a commit of 32 new tasks. Tasks of the same millisecond are listed in the order of their rows, with which every index of SQLite
 * ends. Postgres, whose log has what changes in a page instead of the page, keeps its indexes.
 */
import type { Migration } from '../rows/migration.ts';

export const shorterListIndexes: Migration = {
  name: '0018-shorter-list-indexes',
  besideOlderHubs: true,
  sqlite: [
    `DROP INDEX tasks_by_age`,
    `CREATE INDEX tasks_by_age ON tasks (created_at)`,
    `DROP INDEX tasks_by_status_and_lane`,
    `CREATE INDEX tasks_by_status_and_lane ON tasks (status, lane, created_at) WHERE status <> 'assigned'`,
    `DROP INDEX tasks_of_submitter`,
    `CREATE INDEX tasks_of_submitter ON tasks (submitted_by, status, created_at) WHERE status <> 'assigned'`,
    `DROP INDEX tasks_by_assignee`,
    `CREATE INDEX tasks_by_assignee ON tasks (assigned_to, created_at) WHERE assigned_to IS NOT NULL AND ended_at IS NOT NULL`,
  ],
  postgres: [],
};
