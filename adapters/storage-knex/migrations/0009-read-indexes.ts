/**
 * Indexes for filtered lists. Status and lane had an index each: a list filtered by both had to walk one of them to its end, and so had a
 * submitter's list of one status. One index on both also serves either filter alone, with a lookup for each status or lane; a submitter's
 * index includes the status. There is one index less to write for each submit, and one more for each change of status.
 */
import type { Migration } from '../rows/migration.ts';

const STATEMENTS = [
  `CREATE INDEX tasks_by_status_and_lane ON tasks (status, lane, created_at, id)`,
  `DROP INDEX tasks_by_status`,
  `DROP INDEX tasks_by_lane`,
  `CREATE INDEX tasks_of_submitter ON tasks (submitted_by, status, created_at, id)`,
  `DROP INDEX tasks_by_submitter`,
];

export const readIndexes: Migration = { name: '0009-read-indexes', besideOlderHubs: true, sqlite: STATEMENTS, postgres: STATEMENTS };
