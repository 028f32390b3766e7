/** Reads that run concurrently with the writer of a Postgres store. */
import type { Client } from 'pg';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { acquire, release, type Readers } from '../knex-readers.ts';
import { END_BACKEND, type Backend } from './connection.ts';
import { postgresFailure, sqlStateOf } from './failures.ts';
import { POSTGRES_STATEMENTS } from './statements.ts';
import { parameterText } from './text.ts';

/** The interval between two checks whether the server's end of a connection is gone. Milliseconds. */
const ENDED_AGAIN_MS = 10;

export interface Reading {
  readonly readers: Readers;
  readonly clock: Clock;
  readonly place: string;
  /** How long a read may take as a whole. */
  readonly withinMs: number;
}

/**
 * Lends `work` a connection of the readers, and cuts it if that takes too long. A failure of the connection or of the server becomes the
 * stores' error.
 */
export async function onReader<T>({ readers: { pool }, clock, place, withinMs }: Reading, work: (raw: Client) => Promise<T>): Promise<T> {
  let raw: Client;
  try {
    raw = await acquire<Client>(pool);
  } catch (thrown) {
    throw postgresFailure(thrown, 'connect', place);
  }
  let isLost = false;
  const lost = (): void => void (isLost = true);
  raw.on('error', lost).on('end', lost);
  const timer = clock.after(withinMs, () => {
    isLost = true;
    raw.connection.stream.destroy();
  });
  try {
    return await work(raw);
  } catch (thrown) {
    throw isLost || sqlStateOf(thrown) !== undefined ? postgresFailure(thrown, 'read', place) : thrown;
  } finally {
    timer.cancel();
    raw.off('error', lost).off('end', lost);
    await release(pool, raw);
  }
}

/**
 * Tries to record the batch again. If the transaction that recorded it has not ended yet, this waits for its end, whereas a SELECT would
 * find nothing. The attempt is rolled back.
 */
export async function wasCommitted(raw: Client, batchId: string, place: string): Promise<boolean> {
  await raw.query('BEGIN');
  try {
    const { rowCount } = await raw.query(POSTGRES_STATEMENTS.recordBatch, [parameterText(batchId)]);
    return rowCount === 0;
  } catch (thrown) {
    if (sqlStateOf(thrown) !== '55P03') throw thrown;
    const message = `Cannot tell yet whether batch ${batchId} was committed in ${place}: its transaction has not ended. Ask again.`;
    throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { cause: thrown });
  } finally {
    await raw.query('ROLLBACK');
  }
}

/** Terminates the server's end of a connection that was lost, and waits until it is gone: what it has not committed by then, it never will. */
export async function requireEnded(raw: Client, backend: Backend, { place, withinMs }: { place: string; withinMs: number }): Promise<void> {
  for (let waitedMs = 0; waitedMs <= withinMs; waitedMs += ENDED_AGAIN_MS) {
    const { rowCount } = await raw.query(END_BACKEND, [String(backend.pid), backend.startedAt]);
    if (rowCount === 0) return;
    await raw.query(`SELECT pg_sleep(${ENDED_AGAIN_MS / 1_000})`);
  }
  const message = `Cannot tell yet what was committed in ${place}: process ${backend.pid} of the server, whose connection was lost, has not ended. Ask again.`;
  throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { details: { pid: backend.pid } });
}
