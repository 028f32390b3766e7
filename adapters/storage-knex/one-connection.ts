/** A Knex on one connection that a pool has lent, for reads of one committed state. */
import type { Knex } from 'knex';

/** A pool, and a Knex for each connection of it: whatever it is asked goes through that one. */
export interface Readers {
  readonly pool: Knex;
  on(connection: object): Knex;
}

/**
 * Knex's own transactions leave chains of objects behind that collections of young objects cannot break: those then take 5 to
 * 10 ms instead of 0.1, and everything else waits. `config`: that of the pool without its connections.
 */
export function readersOn(knex: (config: Knex.Config) => Knex, pool: Knex, config: Knex.Config): Readers {
  const made = new WeakMap<object, Knex>();
  const make = (connection: object): Knex => {
    const lent = {
      acquire: () => ({ promise: Promise.resolve(connection) }),
      release: () => true,
      destroy: () => Promise.resolve(),
      numFree: () => 0,
      numUsed: () => 1,
      numPendingAcquires: () => 0,
    };
    const one = knex({ ...config, connectionPool: lent });
    made.set(connection, one);
    return one;
  };
  return { pool, on: (connection) => made.get(connection) ?? make(connection) };
}

/** Has Knex's pool end the connection instead of lending it again: it may be amid a transaction. */
export const neverLendAgain = (connection: object, why: unknown): void => void Object.assign(connection, { __knex__disposed: why });
