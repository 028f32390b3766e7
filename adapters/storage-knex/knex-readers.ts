/**
 * Connections of Knex' pools, lent to reads of one committed state. Everything undocumented that this program uses of Knex:
 *
 *   - `client.acquireConnection` and `client.releaseConnection` of a Knex
 *   - `connectionPool` of its configuration: a pool that was made elsewhere
 *   - `__knex__disposed` of a connection: its pool closes it instead of lending it again
 *   - that a Knex of sqlite3 runs a SELECT with the connection's method `all`
 *   - `_driver`, `acquireRawConnection` and `destroyRawConnection` of its client of sqlite3, which node-driver.ts overrides
 *
 * None of it is guaranteed, so package.json pins Knex to `KNEX_VERSION`, and storage-knex.test.ts tests each item.
 */
import type { Knex } from 'knex';
import type { Database, Statement } from 'sqlite3';

/** The version in package.json. */
export const KNEX_VERSION = '3.3.0';

/** A pool, and a Knex for each of its connections: all queries of that Knex use that connection. */
export interface Readers {
  readonly pool: Knex;
  on(connection: object): Knex;
}

/** Waits for a connection of the pool; `release` returns it. */
export const acquire = async <Connection extends object>(pool: Knex): Promise<Connection> =>
  (await pool.client.acquireConnection()) as Connection;

export const release = async (pool: Knex, connection: object): Promise<void> => {
  await pool.client.releaseConnection(connection);
};

/** Makes the pool close the connection once it is released, instead of lending it again: it may be in the middle of a transaction. */
export const evict = (connection: object, why: unknown): void => void Object.assign(connection, { __knex__disposed: why });

/**
 * Reads do not use Knex' own transactions: those leave chains of objects behind that garbage collections of the young generation cannot
 * free. These then take 5 to 10 ms instead of 0.1 ms, and everything else waits. `config`: that of the pool, without its connections.
 */
export function readersOn(knex: (config: Knex.Config) => Knex, pool: Knex, config: Knex.Config): Readers {
  const made = new WeakMap<object, Knex>();
  const make = (connection: object): Knex => {
    const poolOfOne = {
      acquire: () => ({ promise: Promise.resolve(connection) }),
      release: () => true,
      destroy: () => Promise.resolve(),
      numFree: () => 0,
      numUsed: () => 1,
      numPendingAcquires: () => 0,
    };
    const one = knex({ ...config, connectionPool: poolOfOne });
    made.set(connection, one);
    return one;
  };
  return { pool, on: (connection) => made.get(connection) ?? make(connection) };
}

/** Maximum number of statements that one connection keeps prepared; the least recently used one is evicted. */
const PREPARED_MAX = 64;

/**
 * Makes a connection of sqlite3 keep the statements prepared that Knex runs on it. Knex prepares each one every time: that is a fifth of
 * the cost of a read, and the garbage collector disposes of the old statements while everything else waits.
 */
export function keepPrepared(raw: Database): void {
  const prepared = new Map<string, Statement>();
  const letGo = (sql: string): void => {
    prepared.get(sql)?.finalize();
    prepared.delete(sql);
  };
  const keep = (sql: string, statement: Statement): void => {
    const [leastRecent] = prepared.keys();
    if (prepared.size >= PREPARED_MAX && leastRecent !== undefined) letGo(leastRecent);
    prepared.set(sql, statement);
  };
  const close = raw.close.bind(raw);
  raw.close = (done) => {
    for (const sql of [...prepared.keys()]) letGo(sql);
    close(done);
  };
  raw.all = <T>(sql: string, parameters: unknown, done?: (this: Statement, error: Error | null, rows: T[]) => void): Database => {
    const run = (statement: Statement): void =>
      void statement.all<T>(parameters, function answered(error, rows) {
        // A statement that failed may still count as running.
        if (error !== null) letGo(sql);
        done?.call(statement, error, rows);
      });
    const known = prepared.get(sql);
    if (known !== undefined) {
      prepared.delete(sql);
      prepared.set(sql, known);
      run(known);
      return raw;
    }
    const made = raw.prepare(sql, (error: Error | null) => {
      if (error !== null) return void done?.call(made, error, []);
      letGo(sql);
      keep(sql, made);
      run(made);
    });
    return raw;
  };
}
