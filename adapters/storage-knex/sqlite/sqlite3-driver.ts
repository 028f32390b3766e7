/** SQLite through the package sqlite3: its connections with promises, and with their statements prepared once. */
import { pathToFileURL } from 'node:url';
import type { Database, Statement } from 'sqlite3';
import type { Row } from '../engine.ts';
import { keepPrepared } from '../knex-readers.ts';
import { givenOf, type SqliteConnection } from './connection.ts';
import { statementFor, type SqliteDriver } from './sqlite-driver.ts';

/** Loads the package. Fails as its import does. */
export async function sqlite3Driver(): Promise<SqliteDriver> {
  const { default: sqlite3 } = await import('sqlite3');
  const { OPEN_READONLY, OPEN_READWRITE, OPEN_CREATE, OPEN_URI } = sqlite3;
  const flags = { read: OPEN_READONLY | OPEN_URI, write: OPEN_READWRITE, create: OPEN_READWRITE | OPEN_CREATE };
  const version = sqlite3.VERSION;
  const textOf = statementFor(version);
  return {
    name: 'sqlite3',
    version,
    async open(file, mode) {
      const name = mode === 'read' ? readOnly(file) : file;
      const raw = await new Promise<Database>((resolve, reject) => {
        const database = new sqlite3.Database(name, flags[mode], (error) => (error === null ? resolve(database) : reject(error)));
      });
      const connection = preparedOn(raw, textOf);
      return {
        connection,
        async close() {
          await connection.finalize();
          await new Promise<void>((resolve, reject) => raw.close((error) => (error === null ? resolve() : reject(error))));
        },
      };
    },
    poolConfig(_knex, { file, mode, max, pragmas }) {
      const afterCreate = (raw: Database, done: (error: Error | null, connection: Database) => void): void => {
        if (mode === 'read') keepPrepared(raw);
        raw.exec(pragmas.join(';'), (error) => done(error, raw));
      };
      return {
        connection: mode === 'read' ? { filename: readOnly(file), flags: ['OPEN_URI'] } : { filename: file },
        pool: { min: 0, max, afterCreate },
      };
    },
    connectionOver: (raw) => preparedOn(raw as Database, textOf),
  };
}

const readOnly = (file: string): string => `${pathToFileURL(file).href}?mode=ro`;

function preparedOn(raw: Database, textOf: (sql: string) => string): SqliteConnection {
  const prepared = new Map<string, Promise<Statement>>();
  /** Those that are already prepared, so that they can run at once. */
  const ready = new Map<string, Statement>();

  const prepare = (sql: string): Promise<Statement> => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    const made = new Promise<Statement>((resolve, reject) => {
      const statement = raw.prepare(textOf(sql), (error: Error | null) => {
        if (error !== null) {
          // What kept it from being prepared may be gone by the next time.
          prepared.delete(sql);
          return reject(error);
        }
        ready.set(sql, statement);
        resolve(statement);
      });
    });
    prepared.set(sql, made);
    return made;
  };

  /**
   * A statement that failed because of a lock counts as running until it is reset, and while one is running, a later one that is its own
   * transaction completes without having committed.
   */
  const ended = (statement: Statement, reject: (error: Error) => void, error: Error): void => {
    statement.reset(() => reject(error));
  };

  return {
    async rows(sql, ...parameters) {
      const statement = ready.get(sql) ?? (await prepare(sql));
      return new Promise((resolve, reject) => {
        statement.all<Row>(givenOf(parameters), (error, rows) => (error === null ? resolve(rows) : ended(statement, reject, error)));
      });
    },

    async change(sql, ...parameters) {
      const statement = ready.get(sql) ?? (await prepare(sql));
      return new Promise((resolve, reject) => {
        statement.run(givenOf(parameters), function done(error) {
          if (error === null) resolve(this.changes);
          else ended(statement, reject, error);
        });
      });
    },

    async finalize() {
      const statements = await Promise.allSettled(prepared.values());
      prepared.clear();
      ready.clear();
      for (const made of statements)
        if (made.status === 'fulfilled') await new Promise<void>((resolve) => made.value.finalize(() => resolve()));
    },
  };
}
