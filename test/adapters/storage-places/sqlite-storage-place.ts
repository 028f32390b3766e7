/** A folder with an SQLite database, and the storages over it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sqlite3 from 'sqlite3';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { SQLITE_CAPABILITIES, sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import { makeSqliteNewer } from '../../product/contracts/storage/newer-sqlite.ts';
import type { StorageSubject } from '../../product/contracts/storage/storage-room.ts';

/** `busyMs` is short, so that a test of waiting need not wait long. `time`: what the store's follows, for a hub whose clock is virtual. */
export function sqliteStorage(
  file: string,
  options: { readonly log?: Log; readonly busyMs?: number; readonly time?: Pick<Clock, 'nowMs' | 'monotonicMs'> } = {},
): Storage {
  const machine = systemClock();
  const time = options.time ?? machine;
  const [clock, log] = [{ ...machine, nowMs: () => time.nowMs(), monotonicMs: () => time.monotonicMs() }, options.log ?? silentLog];
  return knexStorage({ engine: sqliteEngine({ file, clock, log, busyMs: options.busyMs }), clock, log });
}

/** Another program's connection to the file, closed by `close`. */
export async function otherProgram(file: string) {
  const database = await new Promise<sqlite3.Database>((resolve, reject) => {
    const made = new sqlite3.Database(file, (error) => (error === null ? resolve(made) : reject(error)));
  });
  return {
    all: (sql: string, ...parameters: readonly unknown[]) =>
      new Promise<readonly Readonly<Record<string, unknown>>[]>((resolve, reject) => {
        database.all<Readonly<Record<string, unknown>>>(sql, [...parameters], (error, rows) =>
          error === null ? resolve(rows) : reject(error),
        );
      }),
    close: () => new Promise<void>((resolve, reject) => database.close((error) => (error === null ? resolve() : reject(error)))),
  };
}

/** Runs statements as another program would, and lets go of the file. */
export async function outside(file: string, ...statements: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const program = await otherProgram(file);
  let rows: readonly Readonly<Record<string, unknown>>[] = [];
  for (const statement of statements) rows = await program.all(statement);
  await program.close();
  return rows;
}

/** A storage over `file` that the test closes at its end. */
export function closedAfter(t: Teardown, storage: Storage): Storage {
  t.teardown(() => storage.close());
  return storage;
}

/** A folder of its own that is gone after the test; a test may have several. */
export async function emptyFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'agentcom-storage-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export const sqliteSubject = (unopenable: Required<StorageSubject>['unopenable']): StorageSubject => ({
  capabilities: SQLITE_CAPABILITIES,
  async place(t) {
    const file = path.join(await emptyFolder(t), 'data', 'agentcom.db');
    return {
      storage: (time) => closedAfter(t, sqliteStorage(file, { time })),
      makeNewer: () => makeSqliteNewer(file),
    };
  },
  unopenable,
});
