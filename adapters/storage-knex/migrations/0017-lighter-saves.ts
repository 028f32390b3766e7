/**
 * What is saved with a task is less. The events that one commit adds to it share a row: `earlier` has those before the row's own
 * (rows/event-rows.ts). Its state no longer repeats what its row has in columns. Rows that are there are not rewritten.
 *
 * Who saves tasks in SQLite counts them, too, once for a whole batch: triggers counted each row that came or changed. Removals are rare, and
 * still counted by their trigger. On Postgres triggers count once for each statement, as ever.
 *
 * Bodies and results no longer refer to their task: they are saved in one transaction with it, or with a change of it, and the reference
 * was looked up for each of them. As a task is removed, a trigger removes both.
 */
import type { Migration } from './migration.ts';

const EARLIER_EVENTS = 'ALTER TABLE task_events ADD COLUMN earlier TEXT';

/** As `0001` wrote it into both tables. */
const REFERENCE = ' REFERENCES tasks (id) ON DELETE CASCADE';

export const lighterSaves: Migration = {
  name: '0017-lighter-saves',
  sqlite: [
    EARLIER_EVENTS,
    `DROP TRIGGER tasks_counted_in`,
    `DROP TRIGGER tasks_counted_over`,
    // SQLite has no statement that takes a reference away, but means nothing by it that is stored. So its text is taken out, as SQLite's
    // documentation of ALTER TABLE describes: to copy both tables takes a minute per million tasks, and room for both twice.
    `PRAGMA writable_schema = ON`,
    `UPDATE sqlite_master SET sql = replace(sql, '${REFERENCE}', '') WHERE type = 'table' AND name IN ('task_bodies', 'task_results')`,
    `PRAGMA writable_schema = RESET`,
    `CREATE TRIGGER tasks_removed AFTER DELETE ON tasks BEGIN
      DELETE FROM task_bodies WHERE task_id = OLD.id;
      DELETE FROM task_results WHERE task_id = OLD.id;
    END`,
  ],
  postgres: [
    EARLIER_EVENTS,
    `ALTER TABLE task_bodies DROP CONSTRAINT IF EXISTS task_bodies_task_id_fkey`,
    `ALTER TABLE task_results DROP CONSTRAINT IF EXISTS task_results_task_id_fkey`,
    // An array, and no join: a plan that was made for a few tasks never walks a whole table.
    `CREATE FUNCTION remove_texts_of_tasks() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
      BEGIN
        DELETE FROM task_bodies WHERE task_id = ANY (ARRAY(SELECT id FROM was_there));
        DELETE FROM task_results WHERE task_id = ANY (ARRAY(SELECT id FROM was_there));
        RETURN NULL;
      END $$`,
    `CREATE TRIGGER tasks_removed AFTER DELETE ON tasks REFERENCING OLD TABLE AS was_there
      FOR EACH STATEMENT EXECUTE FUNCTION remove_texts_of_tasks()`,
  ],
};
