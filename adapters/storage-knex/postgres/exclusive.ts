/**
 * Whether a hub has its store to itself. Then nobody else writes to it: the hub locks no rows, caches what it reads, and decides the next
 * batch while one is being saved. The server guarantees this with an advisory lock, which ends with the connection that does all the
 * writing.
 *
 *   shared ── nobody else has the hubs' lock ──► exclusive ── a hub joins, or the connection ended ──► shared
 */
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { PostgresConnection } from './connection.ts';
import { isRefusal, sqlStateOf } from './failures.ts';
import { placeOf, type PostgresSettings } from './options.ts';
import { SAVE_AT_ONCE } from './save-function.ts';
import { isLock, lockKey } from './schema.ts';

/** A hub that joins sends the schema of its store on this channel. */
const JOIN_CHANNEL = 'agentcom_join';
/** How long a hub that joins waits before it notifies again. Milliseconds. */
const JOIN_AGAIN_MS = 250;
/** How long a hub that found others waits before it checks again. Milliseconds. */
const TRY_AGAIN_MS = 5_000;

/** How long it waits after the server has refused something that this needs. Milliseconds. */
const REFUSED_AGAIN_MS = 60_000;

/** How long to wait for the lock of a hub or a move that was killed: the server releases it a moment later. Milliseconds. */
export const HUB_LOCK_WITHIN_MS = 2_000;

/** A period in which the hub has the store to itself. */
export interface Exclusive {
  readonly connection: PostgresConnection;
  /** The number of the newest event; null: must be looked up. */
  lastEvent: number | null;
}

export interface ExclusiveUse {
  /** Null while other hubs may write, and on any other connection. */
  on(connection: PostgresConnection): Exclusive | null;
  /** Whether this connection can save a batch by one statement. */
  savesAtOnce(connection: PostgresConnection): boolean;
  /** Tries to get the store to itself, unless it tried a moment ago. Only within a turn, between transactions. */
  attempt(connection: PostgresConnection): Promise<void>;
  /** Lets other hubs join. Only within a turn, between transactions. */
  end(connection: PostgresConnection): Promise<void>;
}

/** `joins`: called when another hub wants to join while this one is alone on this connection. */
export function exclusiveUse(deps: {
  readonly settings: PostgresSettings;
  readonly clock: Clock;
  readonly log: Log;
  readonly joins: (connection: PostgresConnection) => void;
}): ExclusiveUse {
  const { settings, clock, log, joins } = deps;
  const { schema } = settings;
  const place = placeOf(settings);
  let exclusive: Exclusive | null = null;
  /** The connection that has the function which saves a batch, and listens for hubs that join. */
  let saving: PostgresConnection | null = null;
  /** The connection that it was last tried on, and when to try again. */
  let tried: { readonly connection: PostgresConnection; readonly againMs: number } | null = null;

  const on = (connection: PostgresConnection): Exclusive | null => (exclusive?.connection === connection ? exclusive : null);
  const release = async (connection: PostgresConnection): Promise<void> =>
    void (await connection.rows(
      `SELECT pg_advisory_unlock(${lockKey(schema, 'only hub')}), pg_advisory_unlock(${lockKey(schema, 'hub')})`,
    ));

  return {
    on,
    savesAtOnce: (connection) => connection === saving,
    async attempt(connection) {
      const isNew = tried?.connection !== connection;
      const nowMs = clock.monotonicMs();
      if (on(connection) !== null || (!isNew && nowMs < (tried?.againMs ?? 0))) return;
      tried = { connection, againMs: nowMs + TRY_AGAIN_MS };
      try {
        if (saving !== connection) {
          await connection.change(SAVE_AT_ONCE);
          // Listens before it requests the lock, so that it hears from every hub that waits for it.
          await connection.listen(JOIN_CHANNEL, (text) => {
            if (text === schema && on(connection) !== null) joins(connection);
          });
          saving = connection;
        }
        const [row] = await connection.rows(
          // Behind a pooler that gives each transaction another session, a lock means nothing.
          `SELECT CASE WHEN pg_backend_pid() = ${connection.backend.pid} AND pg_try_advisory_lock(${lockKey(schema, 'hub')})
            THEN pg_try_advisory_lock(${lockKey(schema, 'only hub')}) END AS got`,
        );
        if (row?.['got'] === false) await release(connection);
        if (row?.['got'] !== true) return;
        exclusive = { connection, lastEvent: null };
        log.info('this hub has the store to itself', { place });
      } catch (thrown) {
        // If something is wrong with the connection, the transaction that follows finds it.
        if (!isRefusal(thrown)) return;
        tried = { connection, againMs: nowMs + REFUSED_AGAIN_MS };
        if (isNew) log.warn('this hub uses the store as if there were others, which is slower', { place, error: messageOf(thrown) });
      }
    },
    async end(connection) {
      if (on(connection) === null) return;
      exclusive = null;
      tried = { connection, againMs: clock.monotonicMs() + TRY_AGAIN_MS };
      await release(connection);
      log.info('other hubs use the store too', { place });
    },
  };
}

/** Takes the lock that hubs share. It ends with the connection. Fails with `AC_STORAGE_LOCKED` while the store is moved. */
export async function joinHubs(writer: PostgresConnection, settings: PostgresSettings, withinMs: number): Promise<void> {
  const key = lockKey(settings.schema, 'hub');
  const [row] = await writer.rows(`SELECT pg_try_advisory_lock_shared(${key}) AS got`);
  if (row?.['got'] === true) return;
  const joins = async (forMs: number): Promise<boolean> => {
    for (let leftMs = forMs; leftMs > 0; leftMs -= JOIN_AGAIN_MS) {
      await writer.rows(`SELECT pg_notify('${JOIN_CHANNEL}', $1)`, settings.schema);
      if (await hasLock(writer, settings, `pg_advisory_lock_shared(${key})`, Math.min(leftMs, JOIN_AGAIN_MS))) return true;
    }
    return false;
  };
  const onlyHub = `FROM pg_locks WHERE granted AND ${isLock(settings.schema, 'only hub')}`;
  if ((await writer.rows(`SELECT 1 ${onlyHub}`)).length > 0) {
    // It releases the lock between two batches.
    if (await joins(settings.lockTimeoutMs)) return;
    // It is stalled, or its machine is gone. What it has not committed by now, it never will.
    await writer.rows(`SELECT pg_terminate_backend(pid) ${onlyHub}`);
  }
  if (await joins(withinMs)) return;
  const [stuck] = await writer.rows(`SELECT pid ${onlyHub}`);
  throw locked(
    settings,
    stuck === undefined
      ? 'it is being moved or restored. Start the hub when that is done'
      : `process ${String(stuck['pid'])} of the server holds it for a hub, and does not end although it was terminated. Check the server: its disk may hang`,
  );
}

/** Takes the lock that a move or a restore holds exclusively. It ends with the connection. Fails with `AC_STORAGE_LOCKED`. */
export async function excludeHubs(writer: PostgresConnection, settings: PostgresSettings): Promise<void> {
  if (await hasLock(writer, settings, `pg_advisory_lock(${lockKey(settings.schema, 'hub')})`, HUB_LOCK_WITHIN_MS)) return;
  throw locked(settings, 'hubs use it. Stop them');
}

const locked = (settings: PostgresSettings, why: string): AgentcomError =>
  new AgentcomError('AC_STORAGE_LOCKED', `Cannot open storage "postgres" at ${placeOf(settings)}: ${why}.`);

async function hasLock(writer: PostgresConnection, settings: PostgresSettings, take: string, withinMs: number): Promise<boolean> {
  try {
    await writer.change(`SET lock_timeout = ${withinMs}`);
    await writer.rows(`SELECT ${take}`);
    return true;
  } catch (thrown) {
    if (sqlStateOf(thrown) !== '55P03') throw thrown;
    return false;
  } finally {
    if (!writer.isLost) await writer.change(`SET lock_timeout = ${settings.lockTimeoutMs}`);
  }
}
