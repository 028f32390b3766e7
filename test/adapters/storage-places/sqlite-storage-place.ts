/** A folder with an SQLite database, and the storages over it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import type { SqliteParameter } from '../../../adapters/storage-knex/sqlite/connection.ts';
import type { SqliteDriver, SqliteDriverName } from '../../../adapters/storage-knex/sqlite/sqlite-driver.ts';
import { sqliteDriver } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
import { SQLITE_CAPABILITIES, sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import { makeSqliteNewer } from '../../product/contracts/storage/newer-sqlite.ts';
import type { StorageSubject } from '../../product/contracts/storage/storage-room.ts';

/**
 * The SQLite driver of this process, used also where it acts as another program: two libraries in one process drop
 * each other's locks. It is the driver that AGENTCOM_TEST_SQLITE_DRIVER names, or the hub's default.
 */
export const testedDriver: SqliteDriver = await sqliteDriver(process.env['AGENTCOM_TEST_SQLITE_DRIVER'] as SqliteDriverName | undefined);

/** The other driver that this Node can run SQLite with. */
export const otherDriver: SqliteDriver | undefined = await sqliteDriver(testedDriver.name === 'node' ? 'sqlite3' : 'node').catch(
  (thrown: unknown) => {
    if (AgentcomError.is(thrown, 'AC_PACKAGE_MISSING')) return undefined;
    throw thrown;
  },
);

/** `busyMs` is short, to keep tests of waiting short. `time`: what the store's clock follows, for a hub whose clock is virtual. */
export function sqliteStorage(
  file: string,
  options: {
    readonly driver?: SqliteDriver;
    readonly log?: Log;
    readonly busyMs?: number;
    readonly time?: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  } = {},
): Storage {
  const machine = systemClock();
  const driver = options.driver ?? testedDriver;
  const time = options.time ?? machine;
  const [clock, log] = [{ ...machine, nowMs: () => time.nowMs(), monotonicMs: () => time.monotonicMs() }, options.log ?? silentLog];
  return knexStorage({ engine: sqliteEngine({ driver, file, clock, log, busyMs: options.busyMs }), clock, log });
}

/** Another program's connection to the file, closed by `close`. */
export async function otherProgram(file: string) {
  const { connection, close } = await testedDriver.open(file, 'create');
  const all = (sql: string, ...parameters: readonly unknown[]) => connection.rows(sql, ...(parameters as readonly SqliteParameter[]));
  return { all, close };
}

/** Runs statements as another program would, and closes the file. */
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

/** A folder that is removed after the test; a test may have several. */
export async function emptyFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'agentcom-storage-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export const sqliteSubject = (driver: SqliteDriver, unopenable: Required<StorageSubject>['unopenable']): StorageSubject => ({
  capabilities: SQLITE_CAPABILITIES,
  async place(t) {
    const file = path.join(await emptyFolder(t), 'data', 'agentcom.db');
    return {
      storage: (time) => closedAfter(t, sqliteStorage(file, { driver, time })),
      makeNewer: () => makeSqliteNewer(file),
    };
  },
  unopenable,
});
