/** The events that one commit adds to a task share a row: `earlier` has those before the row's own (rows/event-rows.ts). Rows without it are one event each. */
import type { Migration } from './migration.ts';

const STATEMENTS = [`ALTER TABLE task_events ADD COLUMN earlier TEXT`];

export const fewerEventRows: Migration = { name: '0017-fewer-event-rows', sqlite: STATEMENTS, postgres: STATEMENTS };
