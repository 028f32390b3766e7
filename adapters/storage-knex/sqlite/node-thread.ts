/**
 * The code that runs on the thread of one connection of `node:sqlite`, whose calls block. The thread is started from the source text of
 * `serve`, which works however this program was compiled or bundled: the function MUST use nothing but its parameters.
 */
import type { MessagePort } from 'node:worker_threads';
import type { SqliteMode } from './connection.ts';

export type SqliteValue = string | number | bigint | null | Uint8Array;

type Row = Record<string, SqliteValue>;

/** What a thread is started with. */
export interface ThreadPlan {
  readonly file: string;
  readonly mode: SqliteMode;
  readonly pragmas: readonly string[];
}

/**
 * A request; requests are answered in order. `place`: of the prepared statement; `sql`: null to use the one that is there, else it is
 * prepared first.
 */
export type ThreadRequest = readonly [kind: 'all' | 'run' | 'close', place: number, sql: string | null, parameters: readonly SqliteValue[]];

/** A response; the first says whether the file could be opened. `errcode`: of SQLite; null for an error that is not SQLite's. */
export type ThreadResponse =
  | { readonly rows: readonly Readonly<Row>[] }
  | { readonly changes: number; readonly lastID: number }
  | { readonly errcode: number | null; readonly message: string };

interface Prepared {
  columns(): readonly { readonly name: string }[];
  all(...parameters: unknown[]): Row[];
  run(...parameters: unknown[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint };
}

/** The part of `node:sqlite` that is used; the types of Node 20 do not have it. */
interface NodeSqlite {
  readonly DatabaseSync: new (
    file: string,
    options: { readonly readOnly: boolean; readonly enableForeignKeyConstraints: boolean; readonly defensive: boolean },
  ) => { exec(sql: string): void; prepare(sql: string): Prepared; close(): void };
}

function serve(port: MessagePort, { file, mode, pragmas }: ThreadPlan, { DatabaseSync }: NodeSqlite): void {
  const failed = (thrown: unknown): ThreadResponse => {
    const { errcode, message } = thrown as { readonly errcode?: number; readonly message: string };
    return { errcode: errcode ?? null, message };
  };
  const open = () => {
    const database = new DatabaseSync(file, { readOnly: mode === 'read', enableForeignKeyConstraints: false, defensive: false });
    for (const pragma of pragmas) database.exec(pragma);
    return database;
  };
  let database: ReturnType<typeof open>;
  try {
    database = open();
  } catch (thrown) {
    return port.postMessage(failed(thrown));
  }
  const prepared: ({ readonly statement: Prepared; readonly isNumbered: boolean } | undefined)[] = [];

  /**
   * Whether this Node cuts a text off at its first U+0000, as 22 does, and 24 before 24.17. Tested in memory, since the file may be locked
   * or not a database.
   */
  const memory = new DatabaseSync(':memory:', { readOnly: false, enableForeignKeyConstraints: false, defensive: false });
  const cutsText = memory.prepare('SELECT char(0) AS text').all()[0]?.['text'] === '';
  memory.close();
  const prepare = (sql: string, isRead: boolean): Prepared => {
    const statement = database.prepare(sql);
    if (!cutsText || !isRead || !/^\s*(SELECT|WITH)\b/i.test(sql)) return statement;
    // As bytes, such a text is read completely. Rows of RETURNING cannot be read this way.
    const columns = statement.columns().map(({ name }) => `"${name.replaceAll('"', '""')}"`);
    const whole = columns.map((name) => `CASE WHEN instr(${name}, char(0)) THEN CAST(${name} AS BLOB) ELSE ${name} END AS ${name}`);
    return database.prepare(`SELECT ${whole.join(', ')} FROM (${sql})`);
  };
  const rowsOf = (rows: Row[]): readonly Row[] => {
    if (cutsText)
      for (const row of rows)
        for (const [name, value] of Object.entries(row)) if (value instanceof Uint8Array) row[name] = Buffer.from(value).toString();
    return rows;
  };

  const answer = ([kind, place, sql, parameters]: ThreadRequest): ThreadResponse => {
    if (kind === 'close') {
      database.close();
      return { rows: [] };
    }
    if (sql !== null) {
      // Cleared first, so that a statement that fails to prepare does not leave the previous one there.
      prepared[place] = undefined;
      prepared[place] = { statement: prepare(sql, kind === 'all'), isNumbered: /\?\d/.test(sql) };
    }
    const one = prepared[place];
    if (one === undefined) throw new Error('the statement could not be prepared');
    const { statement, isNumbered } = one;
    // Node 22.16 binds numbered parameters only by name.
    const given = isNumbered ? [Object.fromEntries(parameters.map((value, index) => [`?${index + 1}`, value]))] : parameters;
    if (kind === 'all') return { rows: rowsOf(statement.all(...given)) };
    const { changes, lastInsertRowid } = statement.run(...given);
    return { changes: Number(changes), lastID: Number(lastInsertRowid) };
  };
  port.on('message', (request: ThreadRequest) => {
    try {
      port.postMessage(answer(request));
    } catch (thrown) {
      port.postMessage(failed(thrown));
    }
  });
  port.postMessage({ rows: [] });
}

/** The thread's program. `__name`: some compilers insert calls of it into functions to keep their names. */
export const THREAD_PROGRAM = `
  const __name = (made) => made;
  const { parentPort, workerData } = require('node:worker_threads');
  (${serve.toString()})(parentPort, workerData, require('node:sqlite'));`;
