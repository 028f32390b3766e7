/** What the store contains, read from outside hubs that may be running or dead: an SQLite file, opened read-only, or a Postgres schema. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { copySqlite } from '../../../adapters/storage-knex/move/sqlite-copy.ts';
import { readCommitLog } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import type { Row } from '../../../adapters/storage-knex/engine.ts';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { connectWriter } from '../../../adapters/storage-knex/postgres/connections.ts';
import { settingsOf, type PostgresOptions } from '../../../adapters/storage-knex/postgres/options.ts';
import { taskRead } from '../../../adapters/storage-knex/rows/columns.ts';
import { eventsIn } from '../../../adapters/storage-knex/rows/event-rows.ts';
import { agentIn, bodyIn, keyIn, stopIn, taskIn } from '../../../adapters/storage-knex/rows/rows.ts';
import { sqliteDriver } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
import type { Agent, PendingStop } from '../../../core/domain/agent/agent.ts';
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { IdempotencyRecord } from '../../../core/ports/task-store.ts';

/** How much longer than the server's statement timeout an answer of Postgres may take. */
const ANSWER_MARGIN_MS = 5_000;

export interface StoredTask {
  readonly task: Task;
  readonly description: string;
  /** JSON text. */
  readonly result: string | null;
  /** In order. */
  readonly events: readonly StoredEvent[];
}

export interface Stored {
  readonly tasks: ReadonlyMap<string, StoredTask>;
  readonly agents: readonly Agent[];
  readonly stops: readonly PendingStop[];
  readonly keys: readonly IdempotencyRecord[];
  /** By id. */
  readonly events: readonly StoredEvent[];
  /** What the database's own integrity check says: `ok`, or what is wrong. */
  readonly integrity: string;
}

/** Reads one store, as often as needed. */
export interface StoreReader {
  readStored(): Promise<Stored>;
  readRest(): Promise<Rest>;
}

/** What is still in progress. */
export interface Rest {
  readonly stops: number;
  readonly lastEventId: number;
}

type Ask = (sql: string) => Promise<readonly Row[]>;

export const sqliteReader = (database: string): StoreReader => {
  const onFile = async <T>(file: string, work: (ask: Ask) => Promise<T>): Promise<T> => {
    const { connection, close } = await (await sqliteDriver()).open(file, 'read');
    try {
      return await work((sql) => connection.rows(sql));
    } finally {
      await close();
    }
  };
  const withConnection = async <T>(work: (ask: Ask) => Promise<T>): Promise<T> => {
    const newest = (await readCommitLog(database))?.batches.at(-1)?.number ?? 0;
    const isBehind = newest > 0 && (await onFile(database, async (ask) => Number((await ask('SELECT last_number FROM commit_log'))[0]?.['last_number']))) < newest; // prettier-ignore
    if (!isBehind) return onFile(database, work);
    // What only the commit log has is saved in a copy.
    const folder = await mkdtemp(path.join(tmpdir(), 'agentcom-stored-'));
    try {
      const to = path.join(folder, 'copy.db');
      await copySqlite(await sqliteDriver(), { from: database, to });
      return await onFile(to, work);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
  const integrity = async (ask: Ask): Promise<string> => String((await ask('PRAGMA integrity_check'))[0]?.['integrity_check']);
  return { readStored: () => withConnection(async (ask) => storedBy(ask, await integrity(ask))), readRest: () => withConnection(restBy) };
};

/** The integrity of Postgres's files is not checked; it is always `ok`. */
export function postgresReader(options: PostgresOptions): StoreReader {
  const withConnection = async <T>(work: (ask: Ask) => Promise<T>): Promise<T> => {
    const connection = await connectWriter(settingsOf(options), ANSWER_MARGIN_MS, systemClock());
    try {
      return await work((sql) => connection.rows(sql));
    } finally {
      await connection.close();
    }
  };
  return { readStored: () => withConnection((ask) => storedBy(ask, 'ok')), readRest: () => withConnection(restBy) };
}

export const readStored = (database: string): Promise<Stored> => sqliteReader(database).readStored();

async function storedBy(ask: Ask, integrity: string): Promise<Stored> {
  const rows = async <T>(sql: string, read: (row: Row) => T): Promise<T[]> => (await ask(sql)).map(read);
  const events = (await rows('SELECT * FROM task_events ORDER BY id', eventsIn)).flat();
  const eventsOf = new Map<string, StoredEvent[]>();
  for (const event of events) {
    const of = eventsOf.get(event.taskId);
    if (of === undefined) eventsOf.set(event.taskId, [event]);
    else of.push(event);
  }
  const stored = await rows(
    `SELECT ${taskRead('tasks')}, body, json AS result FROM tasks
     LEFT JOIN task_bodies ON task_bodies.task_id = tasks.id LEFT JOIN task_results ON task_results.task_id = tasks.id`,
    (row): StoredTask => {
      const task = taskIn(row);
      const result = row['result'] as string | null;
      return { task, description: bodyIn(row).description, result, events: eventsOf.get(task.id) ?? [] };
    },
  );
  return {
    tasks: new Map(stored.map((one) => [one.task.id, one])),
    agents: await rows('SELECT id, state FROM agents', agentIn),
    stops: await rows('SELECT * FROM pending_stops', stopIn),
    keys: await rows('SELECT * FROM idempotency_keys', keyIn),
    events,
    integrity,
  };
}

async function restBy(ask: Ask): Promise<Rest> {
  const [row] = await ask('SELECT (SELECT count(*) FROM pending_stops) AS stops, (SELECT max(id) FROM task_events) AS last');
  return { stops: Number(row?.['stops']), lastEventId: Number(row?.['last']) };
}
