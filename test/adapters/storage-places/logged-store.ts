/** SQLite stores whose hub has acknowledged what is only in the commit log, and the files that it leaves when it is killed. */
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { recordBytesMax, writeRecord, type LoggedBatch } from '../../../adapters/storage-knex/sqlite/commit-log/commit-records.ts';
import { sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { aBody, aKey, anEvent, aTask, aTaskId, changes } from '../../product/contracts/fixtures.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { closedAfter, emptyFolder, outside, testedDriver } from './sqlite-storage-place.ts';

/** After the header, bytes. */
export const RECORDS_START = 4_096;
/** When SQLite commits what is in the log, milliseconds. */
export const COMMITTED_AFTER_MS = 500;
/** The ids of fewer batches than this are looked up: a store forgets old ones. */
const BATCHES_RECORDED = 40;

/** An open store whose time stands still: SQLite commits nothing because of its age. */
export async function opened(
  t: Test,
  file: string,
  log: Log = silentLog,
): Promise<{ storage: Storage; clock: ReturnType<typeof virtualClock> }> {
  const clock = virtualClock();
  const storage = closedAfter(t, knexStorage({ engine: sqliteEngine({ driver: testedDriver, file, clock, log }), clock, log }));
  await storage.open();
  return { storage, clock };
}

export const newFile = async (t: Test): Promise<string> => path.join(await emptyFolder(t), 'agentcom.db');

/** Odd ones have a key that SQLite has to look up; even ones have one that is known to be new, so that they are acknowledged sooner. */
export const keyOf = (n: number): string => (n % 2 === 1 ? `key-${n}` : `0${String(n).padStart(12, '0')}`);

/** The n-th batch: a task, two events and a key. */
export const batchOf = (n: number, description = `task ${n}`): Changes =>
  changes({
    inserted: [{ task: aTask({ id: aTaskId(n), eventSeq: 2 }), dueAtMs: null, body: aBody({ description }) }],
    events: [anEvent({ taskId: aTaskId(n) }), anEvent({ taskId: aTaskId(n), seq: 2, event: 'assigned' })],
    keys: [aKey({ key: keyOf(n), taskIds: [aTaskId(n)] })],
  });

/** The numbers of the events of each task, as acknowledged. */
export type Acknowledged = Map<number, readonly number[]>;

export async function saveBatch(storage: Storage, acknowledged: Acknowledged, n: number, description?: string): Promise<void> {
  const events = await storage.tasks.transact(`batch ${n}`, (unit) => unit.save(batchOf(n, description), true));
  acknowledged.set(n, events.map(({ id }) => id)); // prettier-ignore
}

export const saveBatches = async (storage: Storage, acknowledged: Acknowledged, from: number, to: number): Promise<void> => {
  for (let n = from; n <= to; n += 1) await saveBatch(storage, acknowledged, n);
};

/** The files as a hub that is killed now leaves them. */
export async function killed(t: Test, file: string): Promise<string> {
  const copy = await newFile(t);
  for (const end of ['', '-wal', '-commits']) await copyFile(`${file}${end}`, `${copy}${end}`);
  return copy;
}

/** The store has exactly these batches, each complete. */
export async function hasExactly(t: Test, storage: Storage, acknowledged: Acknowledged, what: string): Promise<void> {
  const tasks = await storage.tasks.list({ limit: 1_000 });
  const numbers = [...acknowledged.keys()].toSorted((a, b) => a - b);
  t.strictSame(tasks.map(({ task }) => task.id).toSorted(), numbers.map(aTaskId), `${what}: the tasks`);
  t.equal((await storage.tasks.stats()).statuses.queued, numbers.length, `${what}: each is counted once`);
  const names = numbers.map((n) => ({ owner: 'tok-1', key: keyOf(n) }));
  const { keys } = await storage.tasks.transact('look', (unit) => unit.load({ keys: names }));
  t.strictSame(keys.flatMap(({ taskIds }) => taskIds).toSorted(), numbers.map(aTaskId), `${what}: the keys`);
  const found: [number, readonly number[]][] = [];
  const recorded = new Set([...acknowledged.keys()].slice(-BATCHES_RECORDED));
  for (const n of numbers) {
    const events = await storage.tasks.history(aTaskId(n), { limit: 10, bytesMax: 100_000 });
    found.push([n, events.map(({ id }) => id)]);
    if (recorded.has(n) && !(await storage.tasks.committed(`batch ${n}`))) t.fail(`${what}: batch ${n} is not known to be committed`);
  }
  t.strictSame(found, numbers.map((n) => [n, acknowledged.get(n)]), `${what}: the events`); // prettier-ignore
}

/** What the store of a hub that is killed now has. */
export async function hasAfterKill(t: Test, file: string, acknowledged: Acknowledged, what: string): Promise<void> {
  const { storage } = await opened(t, await killed(t, file));
  await hasExactly(t, storage, acknowledged, what);
  await storage.close();
}

export const tasksSeen = async (file: string): Promise<number> =>
  Number((await outside(file, 'SELECT count(*) AS n FROM tasks'))[0]?.['n']);

/** Runs on a store whose SQLite has committed none of its acknowledged batches. */
export async function loggedStore(t: Test, batches: number) {
  const file = await newFile(t);
  const acknowledged: Acknowledged = new Map();
  const { storage, clock } = await opened(t, file);
  await saveBatches(storage, acknowledged, 1, batches);
  t.equal(await tasksSeen(file), 0, 'SQLite has committed none of them');
  return { file, storage, clock, acknowledged };
}

export const recordOf = (batch: LoggedBatch): Buffer => {
  const buffer = Buffer.alloc(recordBytesMax(batch.values));
  return buffer.subarray(0, writeRecord(buffer, batch));
};
