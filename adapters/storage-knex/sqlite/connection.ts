/** A connection of the sqlite3 package with promises, and with its statements prepared once. */
import type { Database, Statement } from 'sqlite3';
import type { Row } from '../engine.ts';

/** Undefined: none. */
type SqliteParameter = string | number | null | undefined;

export interface SqliteConnection {
  /** The rows of a statement. */
  rows(sql: string, ...parameters: readonly SqliteParameter[]): Promise<readonly Row[]>;
  /** How many rows a statement changed, without those of triggers. */
  change(sql: string, ...parameters: readonly SqliteParameter[]): Promise<number>;
  /** Lets go of the prepared statements, without which the connection cannot be closed. */
  finalize(): Promise<void>;
}

export function sqliteConnection(raw: Database): SqliteConnection {
  const prepared = new Map<string, Promise<Statement>>();
  /** Those that are prepared, so that what is asked of them begins at once. */
  const ready = new Map<string, Statement>();

  const prepare = (sql: string): Promise<Statement> => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    const made = new Promise<Statement>((resolve, reject) => {
      const statement = raw.prepare(sql, (error: Error | null) => {
        if (error !== null) return reject(error);
        ready.set(sql, statement);
        resolve(statement);
      });
    });
    prepared.set(sql, made);
    return made;
  };

  const given = (parameters: readonly SqliteParameter[]) => parameters.filter((one) => one !== undefined);

  /**
   * A statement that failed for a lock counts as under way until it is reset, and while one is under way a later one that is its
   * own transaction answers without having committed.
   */
  const ended = (statement: Statement, reject: (error: Error) => void, error: Error): void => {
    statement.reset(() => reject(error));
  };

  return {
    async rows(sql, ...parameters) {
      const statement = ready.get(sql) ?? (await prepare(sql));
      return new Promise((resolve, reject) => {
        statement.all<Row>(given(parameters), (error, rows) => (error === null ? resolve(rows) : ended(statement, reject, error)));
      });
    },

    async change(sql, ...parameters) {
      const statement = ready.get(sql) ?? (await prepare(sql));
      return new Promise((resolve, reject) => {
        statement.run(given(parameters), function done(error) {
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

/** Opens a file that Knex has no part in: the lock, or a first look. `close` also finalizes. */
export async function openSqlite(
  filename: string,
  mode: number,
): Promise<{ readonly connection: SqliteConnection; close(): Promise<void> }> {
  const { default: sqlite3 } = await import('sqlite3');
  const raw = await new Promise<Database>((resolve, reject) => {
    const database = new sqlite3.Database(filename, mode, (error) => (error === null ? resolve(database) : reject(error)));
  });
  const connection = sqliteConnection(raw);
  return {
    connection,
    async close() {
      await connection.finalize();
      await new Promise<void>((resolve, reject) => raw.close((error) => (error === null ? resolve() : reject(error))));
    },
  };
}
