/**
 * Connections of Knex' pools, lent to reads of one committed state: all that this program touches of Knex beside what it documents.
 *
 *   - `client.acquireConnection` and `client.releaseConnection` of a Knex
 *   - `connectionPool` of its configuration: a pool that somebody else made
 *   - `__knex__disposed` of a connection: its pool ends it instead of lending it again
 *   - that a Knex of sqlite3 runs a SELECT by the connection's method `all`
 *
 * None of it is promised, so package.json holds Knex to the version for which this was written, and storage-knex.test.ts tries each.
 */
import type { Knex } from 'knex';
import type { Database, Statement } from 'sqlite3';

/** As package.json has it. */
export const KNEX_VERSION = '3.3.0';

/** A pool, and a Knex for each connection of it: whatever it is asked goes through that one. */
export interface Readers {
  readonly pool: Knex;
  on(connection: object): Knex;
}

/** Waits for a connection of the pool; `release` gives it back. */
export const acquire = async <Connection extends object>(pool: Knex): Promise<Connection> =>
  (await pool.client.acquireConnection()) as Connection;

export const release = async (pool: Knex, connection: object): Promise<void> => {
  await pool.client.releaseConnection(connection);
};

/** Has the pool end the connection once it is released, instead of lending it again: it may be amid a transaction. */
export const evict = (connection: object, why: unknown): void => void Object.assign(connection, { __knex__disposed: why });

/**
 * Knex's own transactions leave chains of objects behind that collections of young objects cannot break: those then take 5 to
 * 10 ms instead of 0.1, and everything else waits. `config`: that of the pool without its connections.
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

/** Statements that one connection keeps prepared; the least recently used one makes room. */
const PREPARED_MAX = 64;

/**
 * Has a connection of sqlite3 keep the statements prepared that Knex runs on it. Knex has each prepared anew: a fifth of what a read
 * costs, and what is left of them is taken down by the garbage collector, while everything else waits.
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
        // One that failed may count as under way still.
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
