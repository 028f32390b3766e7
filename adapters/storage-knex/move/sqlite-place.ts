/** An SQLite file as one side of a move. */
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../../../core/ports/log.ts';
import { MOVE_UNFINISHED, refuseUnknownSteps, requireAllSteps } from '../rows/unknown-steps.ts';
import { saveAndRemoveCommitLog } from '../sqlite/commit-log/commit-log-file.ts';
import type { OpenSqlite, SqliteConnection } from '../sqlite/connection.ts';
import { openSqliteConnections } from '../sqlite/connections.ts';
import type { SqliteDriver } from '../sqlite/sqlite-driver.ts';
import { sqliteFailure } from '../sqlite/failures.ts';
import { cannotOpen, ENDS_BESIDE, prepareSqliteFiles, type SqliteFiles } from '../sqlite/files.ts';
import { takeSqliteLock } from '../sqlite/lock.ts';
import { claimSqliteFile, isOfHub, stepsTaken } from '../sqlite/schema.ts';
import { columnNames, pageText, type Place, type Side, type SideText, type Target } from './side.ts';
import { STAYING, type Table } from './stored-table.ts';
import { targetExists } from './target-exists.ts';

const BUSY_MS = 5_000;

export interface SqlitePlaceDeps {
  readonly driver: SqliteDriver;
  /** Absolute. */
  readonly file: string;
  readonly log: Log;
}

export const sqlitePlace = ({ driver, file, log }: SqlitePlaceDeps): Place => ({
  shown: placeOf(file),
  takes: `folder "${path.dirname(file)}"`,
  async source() {
    if (!(await isNonEmptyFile(file))) throw cannotOpen(file, 'there is no such file', 'Correct the path.');
    return alone(driver, file, (files) => openSource(driver, files.database));
  },
  target: ({ emptyUnfinished }) => alone(driver, file, (files) => openTarget(driver, files, { log, emptyUnfinished })),
});

const placeOf = (file: string): string => `file "${file}"`;

/** Whether there is a file that is not empty. */
export async function isNonEmptyFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).size > 0;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return false;
    throw cannotOpen(file, String(thrown), 'Let this user read it.', thrown);
  }
}

/** Keeps hubs off while the side is open. */
async function alone<T extends Side>(driver: SqliteDriver, file: string, open: (files: SqliteFiles) => Promise<T>): Promise<T> {
  const files = await prepareSqliteFiles(file);
  const lock = await takeSqliteLock(driver, files);
  try {
    const side = await open(files);
    const close = async (): Promise<void> => {
      try {
        await side.close();
      } finally {
        await lock.release();
      }
    };
    return { ...side, close };
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
}

async function openSource(driver: SqliteDriver, database: string): Promise<Side> {
  try {
    await saveAndRemoveCommitLog(driver, database);
  } catch (thrown) {
    throw sqliteFailure(thrown, 'save the commit log', database);
  }
  const { connection, close } = await openReader(driver, database);
  try {
    const rows = (sql: string) => connection.rows(sql);
    if (!(await isOfHub(rows))) throw cannotOpen(database, 'it is not a database of a hub', 'Correct the path.');
    requireAllSteps('sqlite', placeOf(database), await stepsTaken(rows));
    await connection.change('BEGIN');
    return sideOver(database, connection, close);
  } catch (thrown) {
    await close();
    throw sqliteFailure(thrown, 'read', database);
  }
}

async function openReader(driver: SqliteDriver, database: string): Promise<OpenSqlite> {
  try {
    return await driver.open(database, 'read');
  } catch (thrown) {
    throw cannotOpen(database, 'this user may not read it', 'Correct the path or its permissions.', thrown);
  }
}

async function openTarget(
  driver: SqliteDriver,
  { database }: SqliteFiles,
  { log, emptyUnfinished }: { readonly log: Log; readonly emptyUnfinished: boolean },
): Promise<Target> {
  await claimSqliteFile(driver, database);
  const { steps } = await lookedAt(driver, database);
  if (steps.includes(MOVE_UNFINISHED) && emptyUnfinished) {
    for (const end of ['', ...ENDS_BESIDE]) await rm(`${database}${end}`, { force: true });
    await prepareSqliteFiles(database);
    await claimSqliteFile(driver, database);
  } else {
    refuseUnknownSteps('sqlite', placeOf(database), steps);
    await saveAndRemoveCommitLog(driver, database);
    const { full } = await lookedAt(driver, database);
    if (full !== null) throw targetExists(placeOf(database), full);
  }
  const connections = await openSqliteConnections({ driver, file: database, log, busyMs: BUSY_MS });
  const { writer } = connections;
  try {
    await writer.change(`INSERT INTO migrations (name, batch, migration_time) VALUES ('${MOVE_UNFINISHED}', 0, 0)`);
    await writer.change('DELETE FROM store');
    // Commits reach the disk in order; only the last one waits for it.
    await writer.change('PRAGMA synchronous = NORMAL');
    return {
      ...sideOver(database, writer, connections.close),
      async setLastEvent(last) {
        await writer.change("DELETE FROM sqlite_sequence WHERE name = 'task_events'");
        await writer.change(`INSERT INTO sqlite_sequence (name, seq) VALUES ('task_events', ${last})`);
      },
      countTasks: async () => void (await writer.change(COUNT_TASKS)),
      async finish() {
        await writer.change('PRAGMA synchronous = FULL');
        await writer.change(`DELETE FROM migrations WHERE name = '${MOVE_UNFINISHED}'`);
        await writer.rows('PRAGMA wal_checkpoint(TRUNCATE)');
      },
    };
  } catch (thrown) {
    await connections.close();
    throw thrown;
  }
}

const COUNT_TASKS = `
  INSERT INTO task_counts (status, lane, tasks) SELECT status, lane, count(*) FROM tasks WHERE true GROUP BY status, lane
  ON CONFLICT (status, lane) DO UPDATE SET tasks = excluded.tasks`;

/** What the file has before anything is changed in it: its steps, and a table that is not empty. */
async function lookedAt(
  driver: SqliteDriver,
  database: string,
): Promise<{ readonly steps: readonly string[]; readonly full: string | null }> {
  const { connection, close } = await openReader(driver, database);
  try {
    const steps = await stepsTaken((sql) => connection.rows(sql));
    for (const name of await namesOfTables(connection)) {
      if (name in STAYING || name === 'store') continue;
      if ((await connection.rows(`SELECT 1 FROM ${name} LIMIT 1`)).length > 0) return { steps, full: name };
    }
    return { steps, full: null };
  } finally {
    await close();
  }
}

const namesOfTables = async (connection: SqliteConnection): Promise<readonly string[]> =>
  (await connection.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")).map(({ name }) => String(name));

function sideOver(database: string, connection: SqliteConnection, close: () => Promise<void>): Side {
  const text = (parameter: unknown): string | undefined => (parameter === undefined ? undefined : JSON.stringify(parameter));
  const asked = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (thrown) {
      throw sqliteFailure(thrown, 'copy a store', database);
    }
  };
  return {
    place: placeOf(database),
    text: SQLITE_TEXT,
    rows: (sql, parameter) => asked(connection.rows(sql, text(parameter))),
    change: (sql, parameter) => asked(connection.change(sql, text(parameter))),
    tables: () => asked(tablesIn(connection)),
    close,
  };
}

async function tablesIn(connection: SqliteConnection): Promise<readonly Table[]> {
  const tables: Table[] = [];
  for (const name of await namesOfTables(connection)) {
    const columns = await connection.rows(`PRAGMA table_info(${name})`);
    const references = await connection.rows(`PRAGMA foreign_key_list(${name})`);
    tables.push({
      name,
      columns: columns
        .map((row) => ({ name: String(row['name']), type: row['type'] === 'INTEGER' ? ('integer' as const) : ('text' as const) }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      key: columns
        .filter((row) => Number(row['pk']) > 0)
        .toSorted((a, b) => Number(a['pk']) - Number(b['pk']))
        .map((row) => String(row['name'])),
      references: references.map((row) => String(row['table'])),
    });
  }
  return tables;
}

const SQLITE_TEXT: SideText = {
  page: (table, limit, isFirst) =>
    pageText(table, limit, { after: isFirst ? null : ({ name }) => `?1 ->> '$[0].${name}'`, ordered: ({ name }) => name }),
  insert: ({ name, columns }) => `
    WITH given AS MATERIALIZED (SELECT key, value FROM json_each(?1))
    INSERT INTO ${name} (${columnNames(columns)})
    SELECT ${columns.map((column) => `value ->> '$.${column.name}'`).join(', ')} FROM given ORDER BY key`,
  lastEvent: "SELECT seq AS last FROM sqlite_sequence WHERE name = 'task_events'",
};
