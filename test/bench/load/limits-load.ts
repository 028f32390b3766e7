/**
 * What this machine can do without a hub: syncs, group commits, round trips. Each runs for a given time and returns
 * operations per second.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import WebSocket from 'ws';
import pg from 'pg';
import { sqliteDriver } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
import { httpLine } from './http-line.ts';
import { recordTimes, type Spread } from './spread.ts';

export interface Limit {
  readonly perSecond: number;
  /** How many there were. */
  readonly operations: number;
  /** Of one operation: a sync, a commit, a round trip. */
  readonly each: Spread;
}

/** A page of a database. */
const PAGE_BYTES = 4_096;
/** About the size of a task's state. */
const STATE = JSON.stringify({ filler: 'x'.repeat(400) });

/** Appends a page and syncs it, one after the other. */
export async function syncs({ folder, ms }: { readonly folder: string; readonly ms: number }): Promise<Limit> {
  const file = openSync(join(folder, 'syncs'), 'w');
  const page = Buffer.alloc(PAGE_BYTES, 1);
  try {
    return timed(ms, 1, () => {
      writeSync(file, page);
      fdatasyncSync(file);
    });
  } finally {
    closeSync(file);
  }
}

/** Inserts rows with the hub's own driver, this many in each commit: WAL, `synchronous=FULL`. Rows per second. */
export async function sqliteCommits({
  folder,
  name,
  rows,
  ms,
}: {
  readonly folder: string;
  /** Of the database, a new one. */
  readonly name: string;
  readonly rows: number;
  readonly ms: number;
}): Promise<Limit> {
  const { connection, close } = await (await sqliteDriver()).open(join(folder, name), 'create');
  try {
    await connection.rows('PRAGMA journal_mode = WAL');
    await connection.rows('PRAGMA synchronous = FULL');
    await connection.change('CREATE TABLE tasks (id TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL) STRICT');
    let next = 0;
    return await timedAsync(ms, rows, async () => {
      const given = JSON.stringify(rowsFrom(next, rows));
      next += rows;
      await connection.change('BEGIN IMMEDIATE');
      await connection.change(
        `INSERT INTO tasks (id, state) SELECT value ->> '$.id', value ->> '$.state' FROM json_each(?1) WHERE true`,
        given,
      );
      await connection.change('COMMIT');
    });
  } finally {
    await close();
  }
}

/** The same in Postgres. */
export async function postgresCommits({
  url,
  rows,
  ms,
}: {
  readonly url: string;
  readonly rows: number;
  readonly ms: number;
}): Promise<Limit> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('CREATE TABLE IF NOT EXISTS limits (id text PRIMARY KEY, state text NOT NULL)');
    await client.query('TRUNCATE limits');
    const text = 'INSERT INTO limits SELECT id, state FROM json_to_recordset($1) AS given (id text, state text)';
    let next = 0;
    return await timedAsync(ms, rows, async () => {
      await client.query({ name: `insert`, text, values: [JSON.stringify(rowsFrom(next, rows))] });
      next += rows;
    });
  } finally {
    await client.query('DROP TABLE IF EXISTS limits');
    await client.end();
  }
}

const rowsFrom = (first: number, count: number): readonly object[] =>
  Array.from({ length: count }, (_, n) => ({ id: `task-${first + n}`, state: STATE }));

/** Frames to an echo and back, one in flight on each of this many sockets. */
export async function socketTrips({
  port,
  sockets,
  ms,
}: {
  readonly port: number;
  readonly sockets: number;
  readonly ms: number;
}): Promise<Limit> {
  const open = await Promise.all(
    Array.from(
      { length: sockets },
      () =>
        new Promise<WebSocket>((resolve, reject) => {
          const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
          socket.once('error', reject).once('open', () => resolve(socket));
        }),
    ),
  );
  const frame = JSON.stringify({ type: 'task_accepted', task_id: `task-${'0'.repeat(32)}`, generation: 1 });
  const limit = await trips(ms, open, (socket, done) => {
    socket.removeAllListeners('message').once('message', done);
    socket.send(frame);
  });
  for (const socket of open) socket.terminate();
  return limit;
}

/** Requests of a submit's size, answered without any work, one in flight on each of this many connections. */
export async function httpTrips({
  port,
  connections,
  ms,
}: {
  readonly port: number;
  readonly connections: number;
  readonly ms: number;
}): Promise<Limit> {
  const body = JSON.stringify({ description: 'x'.repeat(80) });
  const request = `POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  const open = await Promise.all(Array.from({ length: connections }, () => httpLine(port, fail)));
  const limit = await Promise.race([trips(ms, open, (line, done) => line.send(request, done)), failure]);
  for (const line of open) line.end();
  return limit;
}

/** On each of `places` one after the other, until the time is over. */
async function trips<T>(ms: number, places: readonly T[], trip: (place: T, done: () => void) => void): Promise<Limit> {
  const times = recordTimes();
  const beganMs = performance.now();
  const untilMs = beganMs + ms;
  const rounds = (place: T): Promise<void> =>
    new Promise((resolve) => {
      const round = (): void => {
        const sentMs = performance.now();
        if (sentMs > untilMs) return resolve();
        trip(place, () => {
          times.record(performance.now() - sentMs);
          round();
        });
      };
      round();
    });
  await Promise.all(places.map(rounds));
  return limitOf(times.spread(), 1, beganMs);
}

function timed(ms: number, operations: number, work: () => void): Limit {
  const times = recordTimes();
  const beganMs = performance.now();
  for (let sinceMs = beganMs; sinceMs < beganMs + ms;) {
    work();
    const nowMs = performance.now();
    times.record(nowMs - sinceMs);
    sinceMs = nowMs;
  }
  return limitOf(times.spread(), operations, beganMs);
}

async function timedAsync(ms: number, operations: number, work: () => Promise<void>): Promise<Limit> {
  const times = recordTimes();
  const beganMs = performance.now();
  for (let sinceMs = beganMs; sinceMs < beganMs + ms;) {
    await work();
    const nowMs = performance.now();
    times.record(nowMs - sinceMs);
    sinceMs = nowMs;
  }
  return limitOf(times.spread(), operations, beganMs);
}

function limitOf(each: Spread, operationsEach: number, beganMs: number): Limit {
  const operations = each.count * operationsEach;
  return { perSecond: (operations * 1_000) / (performance.now() - beganMs), operations, each };
}
