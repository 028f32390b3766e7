/**
 * The state of a task no longer repeats what its row has in columns: its ID, agent, submitter and creation time, a third of its text. Rows
 * that are there are not rewritten; an older program cannot read new ones, so it must find a step that it does not know.
 */
import type { Migration } from './migration.ts';

export const statesWithoutColumns: Migration = { name: '0019-states-without-columns', sqlite: [], postgres: [] };
