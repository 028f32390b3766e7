/**
 * Less is saved with a task. The events that one commit adds to it share a row: `earlier` has those before the row's own
 * (rows/event-rows.ts). Its state no longer repeats what its row has in columns. Existing rows are not rewritten.
 *
 * In SQLite the code that saves tasks also counts them, once for a whole batch, where triggers counted each inserted or changed row.
 * Removals are rare, and still counted by their trigger. On Postgres triggers still count once for each statement.
 *
 * Bodies and results no longer have a foreign key to their task, which was looked up for each of them: they are saved in one transaction
 * with it, or with a change of it. When a task is removed, a trigger removes both.
 */
import type { Migration } from '../rows/migration.ts';

const EARLIER_EVENTS = 'ALTER TABLE task_events ADD COLUMN earlier TEXT';

/** As `0001` defines it in both tables. */
const REFERENCE = ' REFERENCES tasks (id) ON DELETE CASCADE';

export const lighterSaves: Migration = {
  name: '0017-lighter-saves',
  sqlite: [
    EARLIER_EVENTS,
    `DROP TRIGGER tasks_counted_in`,
    `DROP TRIGGER tasks_counted_over`,
    // SQLite has no statement that drops a foreign key, but stores nothing for it except its text. So the text is removed, as SQLite's
    // documentation of ALTER TABLE describes: copying both tables takes a minute per million tasks, and room for both twice.
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
    // An array instead of a join: a plan that was made for a few tasks never scans a whole table.
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
