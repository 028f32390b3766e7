/**
 * The bare store on SQLite, with one statement, and so one transaction and one sync, for each batch. The statement
 * inserts a row into a view, whose trigger turns JSON into rows; `adapters/storage-knex/sqlite/save.ts` explains why.
 */
import sqlite3, { type Database, type Statement } from 'sqlite3';
import {
  requireWholeLives,
  STATUS,
  SUBMITTED,
  type BareStore,
  type Lives,
  type StoredTask,
  type TaskEvent,
  type TaskState,
} from './bare-store.ts';

/**
 * Measured with 64 tasks per commit: pages of 8 KiB take 10 % less CPU time than those of 4. A log of 8 MiB is reused
 * before it gets long.
 */
const PRAGMAS = [
  'page_size = 8192',
  'locking_mode = EXCLUSIVE',
  'journal_mode = WAL',
  'synchronous = FULL',
  'wal_autocheckpoint = 1000',
  'cache_size = -65536',
  'temp_store = MEMORY',
];

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY, status INTEGER NOT NULL, generation INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, payload TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, task INTEGER NOT NULL, kind INTEGER NOT NULL, generation INTEGER NOT NULL, at INTEGER NOT NULL, details TEXT) STRICT;
  CREATE INDEX IF NOT EXISTS events_of_task ON events (task);`;

const COLUMNS = ['submitted', 'submittedCount', 'assignedCount', 'states', 'events', 'lastTask', 'lastEvent', 'atMs'];
const SAVE = `
  CREATE TEMP VIEW batch AS SELECT ${COLUMNS.map((column) => `NULL AS ${column}`).join(', ')};
  CREATE TEMP TRIGGER save INSTEAD OF INSERT ON batch BEGIN
    INSERT INTO tasks
      SELECT NEW.lastTask + 1 + key, iif(key < NEW.assignedCount, ${STATUS.assigned}, ${STATUS.queued}), key < NEW.assignedCount, value ->> 0, value -> 1
      FROM jsonb_each(NEW.submitted);
    INSERT INTO events
      SELECT NEW.lastEvent + id - NEW.lastTask, id, ${SUBMITTED}, 0, NEW.atMs, NULL
      FROM tasks WHERE id > NEW.lastTask AND id <= NEW.lastTask + NEW.submittedCount;
    UPDATE tasks SET status = changed.value ->> 1, generation = changed.value ->> 2
      FROM jsonb_each(NEW.states) AS changed WHERE tasks.id = changed.value ->> 0;
    INSERT INTO events
      SELECT NEW.lastEvent + NEW.submittedCount + 1 + key, value ->> 0, value ->> 1, value ->> 2, NEW.atMs, value -> 3
      FROM jsonb_each(NEW.events);
  END;`;

const stateText = ({ id, status, generation }: TaskState): string => `[${id},${status},${generation}]`;
const eventText = ({ task, kind, generation, result }: TaskEvent): string =>
  result === null ? `[${task},${kind},${generation}]` : `[${task},${kind},${generation},${result}]`;

/** Null, which SQLite turns into no rows. */
const jsonOf = (rows: readonly string[]): string | null => (rows.length === 0 ? null : `[${rows.join(',')}]`);

const STORED = 'SELECT id, generation, json_array(key, json(payload)) AS line FROM tasks';

type Row = Readonly<Record<string, unknown>>;

export async function openBareSqliteStore(file: string): Promise<BareStore> {
  const { database, rows } = await openFile(file);
  const execute = (sql: string): Promise<void> =>
    new Promise((resolve, reject) => database.exec(sql, (error) => (error === null ? resolve() : reject(error))));
  const numberIn = async (sql: string): Promise<number> => Number(Object.values((await rows(sql))[0] ?? {})[0] ?? 0);
  for (const pragma of PRAGMAS) await execute(`PRAGMA ${pragma}`);
  await execute(SCHEMA);
  await execute(SAVE);
  const statement = await new Promise<Statement>((resolve, reject) => {
    const text = `INSERT INTO batch VALUES (${COLUMNS.map(() => '?').join(', ')})`;
    const prepared: Statement = database.prepare(text, (error: Error | null) => (error === null ? resolve(prepared) : reject(error)));
  });
  const durability = `synchronous=${await numberIn('PRAGMA synchronous')}`;
  let lastTask = await numberIn('SELECT max(id) FROM tasks');
  let lastEvent = await numberIn('SELECT max(number) FROM events');
  return {
    get lastTask() {
      return lastTask;
    },
    durability,
    save: ({ submitted, assignedCount, states, events }) =>
      new Promise((resolve, reject) => {
        const changes = [jsonOf(states.map(stateText)), jsonOf(events.map(eventText))];
        const given = [jsonOf(submitted), submitted.length, assignedCount, ...changes, lastTask, lastEvent, Date.now()];
        statement.run(given, (error) => {
          if (error === null) {
            lastTask += submitted.length;
            lastEvent += submitted.length + events.length;
            return resolve(true);
          }
          // A failed statement counts as in progress until it is reset.
          statement.reset(() => (error.message.endsWith('tasks.key') ? resolve(false) : reject(error)));
        });
      }),
    async taskOf(key) {
      const [row] = await rows('SELECT id FROM tasks WHERE key = ?', key);
      return row === undefined ? null : Number(row['id']);
    },
    unfinished: async () => (await rows(`${STORED} WHERE status <> ? ORDER BY id`, STATUS.completed)) as unknown as StoredTask[],
    waitingBehind: async (id, most) => (await rows(`${STORED} WHERE id > ? ORDER BY id LIMIT ?`, id, most)) as unknown as StoredTask[],
    claim: null,
    async counts() {
      const found = await rows('SELECT status, count(*) AS number FROM tasks GROUP BY status');
      return Object.fromEntries(found.map(({ status, number }) => [Number(status), Number(number)]));
    },
    async close() {
      await new Promise<void>((resolve) => statement.finalize(() => resolve()));
      await closed(database);
    },
  };
}

/** Reads a closed store. Fails unless each stored task was completed, once, and no event is missing. */
export async function checkBareSqliteStore(file: string): Promise<void> {
  const { database, rows } = await openFile(file);
  try {
    const [found] = await rows('PRAGMA integrity_check');
    if (found?.['integrity_check'] !== 'ok') throw new Error(`SQLite found ${JSON.stringify(found)}`);
    const [numbers] = await rows('SELECT count(*) AS count, ifnull(max(number), 0) AS last FROM events');
    if (numbers?.['count'] !== numbers?.['last']) throw new Error(`events are missing: ${JSON.stringify(numbers)}`);
    const lives = await rows(`
      SELECT status, kinds, count(*) AS tasks FROM tasks LEFT JOIN (
        SELECT task, group_concat(kind) AS kinds FROM (SELECT task, kind FROM events ORDER BY task, number) GROUP BY task) ON task = id
      GROUP BY status, kinds`);
    requireWholeLives(lives as unknown as readonly Lives[]);
  } finally {
    await closed(database);
  }
}

async function openFile(file: string): Promise<{
  readonly database: Database;
  rows(sql: string, ...parameters: readonly unknown[]): Promise<readonly Row[]>;
}> {
  const database = await new Promise<Database>((resolve, reject) => {
    const opened: Database = new sqlite3.Database(file, (error) => (error === null ? resolve(opened) : reject(error)));
  });
  return {
    database,
    rows: (sql, ...parameters) =>
      new Promise((resolve, reject) =>
        database.all<Row>(sql, parameters, (error, found) => (error === null ? resolve(found) : reject(error))),
      ),
  };
}

const closed = (database: Database): Promise<void> =>
  new Promise((resolve, reject) => database.close((error) => (error === null ? resolve() : reject(error))));
