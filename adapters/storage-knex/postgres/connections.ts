/** The connections of a store to its server: one that writes, replaced when it is lost, and a pool that reads concurrently. */
import type { Knex } from 'knex';
import type { Client, ClientConfig } from 'pg';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Row } from '../engine.ts';
import { readersOn, type Readers } from '../knex-readers.ts';
import { connectPostgres, END_BACKEND, endClient, type Backend, type PostgresConnection } from './connection.ts';
import { joinHubs } from './exclusive.ts';
import { postgresFailure } from './failures.ts';
import type { ServerSockets } from './server-sockets.ts';
import { placeOf, type PostgresSettings } from './options.ts';
import { migrationEnded, requireVersion, stepsInTheWay, storeIdIn } from './schema.ts';
import { rowOf } from './text.ts';

/** TCP keepalive, with which the server detects a client that is gone without closing. In seconds, as Postgres expects. */
const KEEPALIVE_S = { idle: 15, interval: 5, count: 3 };
/** Postgres' OID of eight-byte integers. In this schema all of them are whole milliseconds, counts and generations. */
const INT8 = 20;

/** How much longer than the server's own statement timeout a response may take before the connection counts as lost. Milliseconds. */
export const ANSWER_MARGIN_MS = 5_000;

/** A connection that writes, with its session set up. */
export async function connectWriter(
  settings: PostgresSettings,
  answerMarginMs: number,
  clock: Clock,
  sockets?: ServerSockets,
): Promise<PostgresConnection> {
  const { statementTimeoutMs } = settings;
  const writer = await connectPostgres(await clientConfig(settings, sockets), statementTimeoutMs + answerMarginMs, clock);
  try {
    await requireVersion(writer, placeOf(settings));
    await writer.change(sessionText(settings, statementTimeoutMs, INDEX_PLANS));
    return writer;
  } catch (thrown) {
    await writer.close();
    throw thrown;
  }
}

/** A connection that writes for a hub: it holds the lock that hubs share. `former`: the server's end of the connection that it replaces. */
export async function connectHub(
  former: Backend | null,
  how: {
    readonly settings: PostgresSettings;
    readonly answerMarginMs: number;
    readonly hubLockWithinMs: number;
    readonly clock: Clock;
    readonly sockets: ServerSockets;
  },
): Promise<PostgresConnection> {
  const connection = await connectWriter(how.settings, how.answerMarginMs, how.clock, how.sockets);
  try {
    // The server may not have noticed yet that it was lost, and would hold its locks until it does.
    if (former !== null) await connection.rows(END_BACKEND, [String(former.pid), former.startedAt]);
    await joinHubs(connection, how.settings, how.hubLockWithinMs);
    return connection;
  } catch (thrown) {
    await connection.close();
    throw thrown;
  }
}

/** The connection that writes, replaced when it is lost. */
export interface Writer {
  /** The current connection, which may be lost; null once that was noticed, until the next one is made. */
  readonly connection: PostgresConnection | null;
  /** Whether the next write has to connect. */
  readonly isLost: boolean;
  /** A connection that is not lost. One call at a time. Fails with `AC_STORE_UNAVAILABLE`, also if the store is no longer the same. */
  connected(): Promise<PostgresConnection>;
  /** Closes the connection, which cannot be used any more. */
  letGo(why: unknown): Promise<void>;
}

/** `onReplaced`: called when a new connection was made. If it fails, so does connecting. */
export function replacedWriter(
  first: PostgresConnection,
  how: {
    readonly connect: (former: Backend | null) => Promise<PostgresConnection>;
    readonly storeId: string;
    readonly schema: string;
    readonly place: string;
    readonly log: Log;
    readonly onReplaced: (made: PostgresConnection) => Promise<void>;
  },
): Writer {
  const { schema, place, log } = how;
  let current: PostgresConnection | null = first;
  let former: Backend | null = null;

  const letGo = async (why: unknown): Promise<void> => {
    const lost = current;
    if (lost === null) return;
    current = null;
    former = lost.backend;
    log.error('the connection to Postgres was lost; the hub reconnects when it next needs it', { place, error: messageOf(why) });
    await lost.close();
  };
  return {
    get connection() {
      return current;
    },
    get isLost() {
      return current === null || current.isLost;
    },
    letGo,
    async connected() {
      if (current?.isLost === true) await letGo('it ended');
      if (current !== null) return current;
      let made: PostgresConnection | undefined;
      try {
        made = await how.connect(former);
        await migrationEnded(made, schema);
        await requireSameStore(made, how);
        await how.onReplaced(made);
      } catch (thrown) {
        await made?.close();
        throw postgresFailure(thrown, 'connect', place);
      }
      current = made;
      return made;
    },
  };
}

/**
 * After a reconnect the server may be another one, its database an older copy, or its schema that of a newer hub, which could not see this
 * one while it was disconnected.
 */
async function requireSameStore(
  writer: PostgresConnection,
  { storeId, place }: { readonly storeId: string; readonly place: string },
): Promise<void> {
  const unavailable = (what: string, details: Readonly<Record<string, unknown>>): AgentcomError =>
    new AgentcomError('AC_STORE_UNAVAILABLE', `The store in ${place} ${what}`, { details });
  const found = await storeIdIn(writer);
  if (found !== storeId)
    throw unavailable(
      `is not the one that this hub opened (found ${found}, expected ${storeId}). If it was replaced on purpose, restart the hub.`,
      { found, wanted: storeId },
    );
  const unknown = await stepsInTheWay(writer);
  if (unknown.length > 0)
    throw unavailable(
      `was changed by a newer version while this hub was disconnected (it has ${unknown.join(', ')}). Start this hub with that version.`,
      { unknown },
    );
}

/** The name by which hubs that listen find each other. */
export const NOTIFIER_NAME = 'agentcom hub notifier';

/** A connection by which hubs notify each other, with its session set up. After a failure, queries on it fail, and it emits `end`. */
export async function connectNotifier(settings: PostgresSettings, answerMarginMs: number, clock: Clock): Promise<Client> {
  const { default: pg } = await import('pg');
  const { statementTimeoutMs } = settings;
  const client = new pg.Client({
    ...(await clientConfig(settings)),
    query_timeout: statementTimeoutMs + answerMarginMs,
  });
  let isLost = false;
  client.on('error', () => (isLost = true));
  try {
    await client.connect();
    // Set here, since a name in `storage.url` takes precedence over one that is passed with it.
    await client.query(sessionText(settings, statementTimeoutMs, [`application_name = '${NOTIFIER_NAME}'`]));
    if (isLost) throw new Error('the connection ended at once');
    return client;
  } catch (thrown) {
    await endClient(client, clock);
    throw thrown;
  }
}

/** A pool of up to `max` readers; nothing is connected yet. */
export async function readerPool(settings: PostgresSettings, log: Log, max: number, sockets: ServerSockets): Promise<Readers> {
  const { default: knex } = await import('knex');
  const { connectWithinMs, readTimeoutMs } = settings;
  const setUp = sessionText(settings, readTimeoutMs, INDEX_PLANS);
  const shared: Knex.Config = {
    client: 'pg',
    postProcessResponse: (answer: unknown) => (Array.isArray(answer) ? (answer as Row[]).map(rowOf) : answer),
    log: {
      debug: (message: unknown) => log.debug('knex', { message }),
      warn: (message: unknown) => log.warn('knex', { message }),
      error: (message: unknown) => log.error('knex', { message }),
      deprecate: (method: string, alternative: string) => log.warn('knex deprecates', { method, alternative }),
    },
  };
  const pool = knex({
    ...shared,
    connection: (await clientConfig(settings, sockets)) as Knex.PgConnectionConfig,
    acquireConnectionTimeout: connectWithinMs,
    pool: {
      min: 0,
      max,
      afterCreate: (raw: Client, done: (error: Error | null, connection: Client) => void): void => {
        raw.query(setUp).then(
          () => done(null, raw),
          (error: Error) => done(error, raw),
        );
      },
    },
  });
  return readersOn(knex, pool, shared);
}

async function clientConfig({ url, connectWithinMs }: PostgresSettings, sockets?: ServerSockets): Promise<ClientConfig> {
  const { default: pg } = await import('pg');
  return {
    connectionString: url,
    ...(sockets === undefined ? {} : { stream: () => sockets.socket() }),
    application_name: 'agentcom hub',
    connectionTimeoutMillis: connectWithinMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_S.idle * 1_000,
    types: { getTypeParser: ((oid: number, format?: 'text') => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format))) as typeof pg.types.getTypeParser }, // prettier-ignore
  };
}

/**
 * All statements of a hub walk an index, in its order if they are ordered. The planner cannot know that for a table that was never
 * analyzed, or for a plan that was made while the table was small: it would read and sort all tasks of a status for a page of 50. So the
 * alternatives are disabled.
 */
const INDEX_PLANS = ['enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin'].map((name) => `${name} = off`);

/** Limits that a role or a database may have, and not every version of the server. They would end a migration, or a connection that listens. */
const NO_LIMITS = `SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')`;

const sessionText = (settings: PostgresSettings, statementMs: number, more: readonly string[]): string =>
  [
    // Quoted, because it may be a word of SQL.
    `search_path = "${settings.schema}"`,
    `statement_timeout = ${statementMs}`,
    `lock_timeout = ${settings.lockTimeoutMs}`,
    `idle_in_transaction_session_timeout = ${settings.idleInTransactionMs}`,
    `tcp_keepalives_idle = ${KEEPALIVE_S.idle}`,
    `tcp_keepalives_interval = ${KEEPALIVE_S.interval}`,
    `tcp_keepalives_count = ${KEEPALIVE_S.count}`,
    'client_min_messages = error',
    'jit = off',
    `default_transaction_isolation = 'read committed'`,
    ...more,
  ]
    .map((setting) => `SET ${setting}; `)
    .join('') + NO_LIMITS;
