/**
 * A task leaves the indexes of lists while it is assigned, and enters them again when it ends: one entry less to write and one less to
 * remove in each index for every run. Assigned tasks, of which there are no more than agents have slots, are listed with the index of live
 * tasks. It has the columns that lists filter and sort by, so that only the rows of the page are read.
 */
import type { Migration } from '../rows/migration.ts';

const STATEMENTS = [
  `DROP INDEX tasks_by_status_and_lane`,
  `CREATE INDEX tasks_by_status_and_lane ON tasks (status, lane, created_at, id) WHERE status <> 'assigned'`,
  `DROP INDEX tasks_of_submitter`,
  `CREATE INDEX tasks_of_submitter ON tasks (submitted_by, status, created_at, id) WHERE status <> 'assigned'`,
  `DROP INDEX tasks_live`,
  `CREATE INDEX tasks_live ON tasks (status, assigned_to, id, created_at, lane, submitted_by) WHERE status = 'assigned'`,
];

export const listsWithoutAssigned: Migration = {
  name: '0015-lists-without-assigned',
  besideOlderHubs: true,
  sqlite: STATEMENTS,
  postgres: STATEMENTS,
};
