/** What the store says: its SQLite file, opened read-only, beside a hub that may be running or dead. */
import sqlite3 from 'sqlite3';
import type { Row } from '../../../adapters/storage-knex/engine.ts';
import { bodyIn, eventIn, keyIn, stateIn, taskIn } from '../../../adapters/storage-knex/rows.ts';
import { openSqlite } from '../../../adapters/storage-knex/sqlite-connection.ts';
import type { Agent, PendingStop } from '../../../core/domain/agent.ts';
import type { StoredEvent } from '../../../core/domain/event.ts';
import type { Task } from '../../../core/domain/task.ts';
import type { IdempotencyRecord } from '../../../core/ports/task-store.ts';

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
  /** SQLite's own look at its file: `ok`, or what is wrong. */
  readonly integrity: string;
}

export async function readStored(database: string): Promise<Stored> {
  const { connection, close } = await openSqlite(database, sqlite3.OPEN_READONLY);
  try {
    const rows = async <T>(sql: string, read: (row: Row) => T): Promise<T[]> => (await connection.rows(sql)).map(read);
    const events = await rows('SELECT * FROM task_events ORDER BY id', eventIn);
    const eventsOf = new Map<string, StoredEvent[]>();
    for (const event of events) {
      const of = eventsOf.get(event.taskId);
      if (of === undefined) eventsOf.set(event.taskId, [event]);
      else of.push(event);
    }
    const stored = await rows(
      `SELECT state, body, json AS result FROM tasks
       LEFT JOIN task_bodies ON task_bodies.task_id = tasks.id LEFT JOIN task_results ON task_results.task_id = tasks.id`,
      (row): StoredTask => {
        const task = taskIn(row);
        const result = row['result'] as string | null;
        return { task, description: bodyIn(row).description, result, events: eventsOf.get(task.id) ?? [] };
      },
    );
    return {
      tasks: new Map(stored.map((one) => [one.task.id, one])),
      agents: await rows('SELECT state FROM agents', (row) => stateIn<Agent>(row)),
      stops: await rows('SELECT state FROM pending_stops', (row) => stateIn<PendingStop>(row)),
      keys: await rows('SELECT * FROM idempotency_keys', keyIn),
      events,
      integrity: String((await rows('PRAGMA integrity_check', (row) => row['integrity_check']))[0]),
    };
  } finally {
    await close();
  }
}

/** What is still under way. */
export async function readRest(database: string): Promise<{ readonly stops: number; readonly lastEventId: number }> {
  const { connection, close } = await openSqlite(database, sqlite3.OPEN_READONLY);
  try {
    const [row] = await connection.rows('SELECT (SELECT count(*) FROM pending_stops) AS stops, (SELECT max(id) FROM task_events) AS last');
    return { stops: Number(row?.['stops']), lastEventId: Number(row?.['last']) };
  } finally {
    await close();
  }
}
