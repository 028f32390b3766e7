/**
 * On Postgres no index has all tasks by age: a list without filters reads the newest tasks of each status and priority, 3.7 ms instead of 1.0
 * among a million tasks. It took an entry of every new task and of every change of a task: without it tasks are drained a tenth faster. SQLite,
 * which saves the changes of many batches at once, is no faster without it. An older hub beside this one sorts all tasks for such a list.
 */
import type { Migration } from '../rows/migration.ts';

export const noIndexByAge: Migration = {
  name: '0020-no-index-by-age',
  besideOlderHubs: true,
  sqlite: [],
  postgres: ['DROP INDEX tasks_by_age'],
};
