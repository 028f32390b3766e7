/** One connection of the pg package, as the writer of a store uses it: with promises, and with its statements prepared once. */
import type { Client, ClientConfig } from 'pg';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { Row } from '../engine.ts';
import { rowOf } from './text.ts';

/** The server's end of a connection: its process, and when it began, in microseconds since 1970. */
export interface Backend {
  readonly pid: number;
  readonly startedAt: string;
}

/** What the server reports at the beginning of a transaction. Milliseconds since 1970. */
export interface TransactionStart {
  /** Its own clock. */
  readonly serverMs: number;
  /** The store time that hubs are known to have reached; null before the first. */
  readonly markMs: number | null;
}

/** A text, or a value in Postgres' binary format. */
export type Parameter = string | Buffer;

/** Statements are pipelined: each is sent at once, without waiting for earlier responses, and the server runs them in the order of the calls. */
export interface PostgresConnection {
  /** The rows of a statement. `given`: its only parameter, or all of them. `name`: prepared once under this name. */
  rows(sql: string, given?: Parameter | readonly (Parameter | null)[], name?: string): Promise<readonly Row[]>;
  /** How many rows a statement changed. */
  change(sql: string, given?: Parameter | readonly Parameter[], name?: string): Promise<number>;
  /** Begins a transaction that writes. */
  begin(): Promise<TransactionStart>;
  /** What `begin` returns, without beginning a transaction. */
  readClock(): Promise<TransactionStart>;
  /** Calls `onNotification` with the text of each notification on a channel. */
  listen(channel: string, onNotification: (text: string) => void): Promise<void>;
  /** While `work` runs, a response may take as long as the server needs: only TCP keepalive detects that the server is gone. */
  patiently<T>(work: () => Promise<T>): Promise<T>;
  /** Also fails if the server rolled back instead, which it does without an error once a statement has failed. */
  commit(): Promise<void>;
  /** Whether it has ended: no more statements can run on it. */
  readonly isLost: boolean;
  readonly backend: Backend;
  /** Closes it, gracefully if the server still responds. */
  close(): Promise<void>;
}

/** How long a graceful close may take before the connection is cut. */
const CLOSE_WITHIN_MS = 1_000;

/** `answerMs`: how long the server may take for each response before the connection is cut. */
export async function connectPostgres(config: ClientConfig, answerMs: number, clock: Clock): Promise<PostgresConnection> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ ...config, pipeline: true });
  let isLost = false;
  // The cause is not needed here: the next statement on the connection fails.
  client.on('error', () => (isLost = true));
  client.on('end', () => (isLost = true));
  let waiting = 0;
  let isPatient = false;
  let tooLate: Timer | null = null;
  const watch = (): void => {
    tooLate?.cancel();
    tooLate = waiting === 0 || isPatient ? null : clock.after(answerMs, () => client.connection.stream.destroy());
  };
  /** The timeout of a queued statement begins with the response before its own; that of pg would begin when it is sent. */
  const watched = async <T>(answer: Promise<T>): Promise<T> => {
    waiting += 1;
    if (waiting === 1) watch();
    try {
      return await answer;
    } finally {
      waiting -= 1;
      watch();
    }
  };
  let backend: Backend;
  try {
    await client.connect();
    backend = await watched(backendOf(client));
  } catch (thrown) {
    await endClient(client, clock);
    throw thrown;
  }
  let isCorked = false;
  /** Statements that are issued in one tick go out in one write, so that the server is woken once. */
  const cork = (): void => {
    if (isCorked) return;
    isCorked = true;
    const { stream } = client.connection;
    stream.cork();
    process.nextTick(() => {
      isCorked = false;
      stream.uncork();
    });
  };
  const run = (sql: string, given: Parameter | readonly (Parameter | null)[] = [], name?: string) => {
    cork();
    const values = typeof given === 'string' || given instanceof Buffer ? [given] : [...given];
    return watched(client.query<Record<string, unknown>>({ text: sql, ...(name === undefined ? {} : { name }), ...(values.length === 0 ? {} : { values }) })); // prettier-ignore
  };
  const readClock = async (): Promise<TransactionStart> => {
    const [begun] = (await run(READ_CLOCK, [], 'clock')).rows as unknown as readonly TransactionStart[];
    if (begun === undefined) throw new AgentcomError('AC_INTERNAL', 'Postgres returned no row for its time.');
    return begun;
  };
  return {
    rows: async (sql, given, name) => (await run(sql, given, name)).rows.map(rowOf),
    change: async (sql, given, name) => (await run(sql, given, name)).rowCount ?? 0,
    begin: async () => (await Promise.all([run(BEGIN), readClock()]))[1],
    readClock,
    async listen(channel, onNotification) {
      client.on('notification', (notification) => {
        if (notification.channel === channel) onNotification(notification.payload ?? '');
      });
      await run(`LISTEN ${channel}`);
    },
    async patiently(work) {
      isPatient = true;
      watch();
      try {
        return await work();
      } finally {
        isPatient = false;
        watch();
      }
    },
    async commit() {
      const { command } = await run('COMMIT');
      if (command !== 'COMMIT') throw new AgentcomError('AC_INTERNAL', `Cannot commit: Postgres answered ${command}.`);
    },
    get isLost() {
      return isLost;
    },
    backend,
    close: () => endClient(client, clock),
  };
}

const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE';
const READ_CLOCK = `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "serverMs", (SELECT clock_mark FROM store) AS "markMs"`;
/** A number: the text of a time depends on the DateStyle and time zone of the session, which may read it differently. */
const STARTED_AT = '(extract(epoch FROM backend_start) * 1000000)::bigint';
/** Parameters: the fields of a `Backend`. One row if it still exists. */
export const END_BACKEND = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND ${STARTED_AT} = $2`;
const BACKEND = `SELECT pid, ${STARTED_AT}::text AS "startedAt" FROM pg_stat_activity WHERE pid = pg_backend_pid()`;

async function backendOf(client: Client): Promise<Backend> {
  const [backend] = (await client.query<Backend>(BACKEND)).rows;
  if (backend === undefined) throw new AgentcomError('AC_INTERNAL', 'Postgres does not know the process of a connection.');
  return backend;
}

/** Closes a connection, gracefully if the server still responds. */
export async function endClient(client: Client, clock: Clock): Promise<void> {
  const ended = client.end();
  const timer = clock.after(CLOSE_WITHIN_MS, () => client.connection.stream.destroy());
  try {
    await ended;
  } finally {
    timer.cancel();
  }
}
