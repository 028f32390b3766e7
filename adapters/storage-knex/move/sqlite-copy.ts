/** Copies a whole SQLite database into one new file: to make a backup, or to restore one. */
import { link, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { BackupProgress, StoreContents } from '../../../core/config/config.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { replaceFile, syncFile, syncFolder } from '../../kit/platform-files.ts';
import { refuseUnknownSteps } from '../rows/unknown-steps.ts';
import { applyCommitLog, type CommitLogContent, readLiveCommitLog } from '../sqlite/commit-log/commit-log-file.ts';
import type { OpenSqlite, SqliteConnection } from '../sqlite/connection.ts';
import type { SqliteDriver } from '../sqlite/sqlite-driver.ts';
import { sqliteCodeOf, sqliteFailure } from '../sqlite/failures.ts';
import { cannotOpen, targetOf } from '../sqlite/files.ts';
import { isOfHub, stepsTaken } from '../sqlite/schema.ts';

/** The interval between two polls of the size of a copy, milliseconds. */
const WATCHED_EACH_MS = 100;

export interface CopyOptions {
  readonly change?: ((copy: SqliteConnection) => Promise<unknown>) | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
}

/**
 * Copies what is committed in `from` at this moment, also what only its commit log has, into `to`, a new file for this user only, lets
 * `change` change the copy, checks it completely and syncs it to disk. A file that was at `to` is removed, but only once `from` is known to be
 * a store. If the copy fails after that, it is removed. Fails with `AC_STORAGE_OPEN`, `AC_SCHEMA_UNKNOWN`, `AC_MOVE_UNFINISHED`,
 * `AC_STORE_UNAVAILABLE` (a full disk), `AC_COPY_DIFFERS`.
 */
export async function copySqlite(
  driver: SqliteDriver,
  { from: named, to, change, onProgress }: CopyOptions & { readonly from: string; readonly to: string },
): Promise<StoreContents> {
  // The commit log is beside the file itself, not beside a link to it.
  const from = await targetOf(named);
  const { connection, close } = await openStore(driver, from);
  let commitLog: CommitLogContent | null;
  try {
    commitLog = await readLiveCommitLog(connection, from);
    await removeCopy(to);
    // SQLite would make it readable by others; it accepts an existing empty file.
    await (await open(to, 'wx', 0o600)).close();
    await orRemoved(to, () => vacuumInto(connection, { from, to }, onProgress));
  } finally {
    await close();
  }
  return orRemoved(to, async () => {
    const { size } = await stat(to);
    onProgress?.({ doing: 'checking', bytes: size, of: size });
    const contents = await inCopy(driver, to, async (copy) => {
      await applyCommitLog(copy, from, commitLog);
      await change?.(copy);
      await refuseDamage(copy, from, to);
      return contentsOf(copy);
    });
    await syncFile(to);
    return contents;
  });
}

async function orRemoved<T>(copy: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    await removeCopy(copy);
    throw thrown;
  }
}

/** With the journal that a killed run left beside it. */
async function removeCopy(copy: string): Promise<void> {
  for (const end of ['', '-journal']) await rm(`${copy}${end}`, { force: true });
}

/** Opens a file to read from, if it is a store that this version can copy. */
async function openStore(driver: SqliteDriver, from: string): Promise<OpenSqlite> {
  let opened: OpenSqlite;
  try {
    opened = await driver.open(from, 'read');
  } catch (thrown) {
    throw cannotOpen(from, 'there is no database that this user may read', 'Correct the path.', thrown);
  }
  try {
    const rows = (sql: string) => opened.connection.rows(sql);
    if (!(await isOfHub(rows))) throw cannotOpen(from, 'it is not a database of a hub', 'Correct the path.');
    refuseUnknownSteps('sqlite', `file "${from}"`, await stepsTaken(rows));
    return opened;
  } catch (thrown) {
    await opened.close();
    if (AgentcomError.is(thrown)) throw thrown;
    if (sqliteCodeOf(thrown) === 'SQLITE_NOTADB') throw cannotOpen(from, 'it is not an SQLite database', 'Correct the path.', thrown);
    throw sqliteFailure(thrown, 'read', from);
  }
}

async function vacuumInto(
  connection: SqliteConnection,
  { from, to }: { readonly from: string; readonly to: string },
  onProgress: CopyOptions['onProgress'],
): Promise<void> {
  try {
    const watching = onProgress === undefined ? null : await watchCopy((sql) => connection.rows(sql), to, onProgress);
    await connection.rows('VACUUM INTO ?1', to).finally(() => watching?.end());
  } catch (thrown) {
    throw copyFailure(thrown, `copy into "${to}"`, { of: from, to });
  }
}

/** Only the disk of the copy can be full: nothing is written to the store. */
const copyFailure = (thrown: unknown, doing: string, { of, to }: { readonly of: string; readonly to: string }): AgentcomError =>
  sqliteCodeOf(thrown) === 'SQLITE_FULL' ? cannotWrite(to, thrown) : sqliteFailure(thrown, doing, of);

/** SQLite reports no progress while it copies, but the file grows. */
async function watchCopy(
  rows: (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>,
  to: string,
  onProgress: NonNullable<CopyOptions['onProgress']>,
): Promise<{ end(): void }> {
  const number = async (pragma: string): Promise<number> => Number(Object.values((await rows(`PRAGMA ${pragma}`))[0] ?? {})[0]);
  const of = (await number('page_size')) * ((await number('page_count')) - (await number('freelist_count')));
  const look = (): void =>
    void stat(to).then(
      ({ size }) => onProgress({ doing: 'copying', bytes: Math.min(size, of), of }),
      () => undefined, // a failed copy is removed, and reported by its caller
    );
  const timer = setInterval(look, WATCHED_EACH_MS);
  return { end: () => clearInterval(timer) };
}

async function inCopy<T>(driver: SqliteDriver, file: string, work: (copy: SqliteConnection) => Promise<T>): Promise<T> {
  const { connection, close } = await driver.open(file, 'write');
  try {
    return await work(connection);
  } catch (thrown) {
    throw copyFailure(thrown, 'check a copy', { of: file, to: file });
  } finally {
    await close();
  }
}

async function refuseDamage(copy: SqliteConnection, from: string, to: string): Promise<void> {
  const found = (await copy.rows('PRAGMA integrity_check(10)'))
    .map((row) => String(row['integrity_check']))
    .filter((line) => line !== 'ok');
  if (found.length === 0) return;
  throw new AgentcomError(
    'AC_COPY_DIFFERS',
    `The copy of "${from}" in "${to}" is damaged: SQLite finds ${found.join('; ')}. It was removed. Check the disk, and \`agentcom doctor --fsck\`.`,
    { details: { found } },
  );
}

export async function contentsOf(connection: SqliteConnection): Promise<StoreContents> {
  const [row] = await connection.rows(
    'SELECT (SELECT store_id FROM store) AS id, (SELECT count(*) FROM tasks) AS tasks, (SELECT max(id) FROM task_events) AS last',
  );
  return { storeId: String(row?.['id']), tasks: Number(row?.['tasks']), lastEventId: Number(row?.['last'] ?? 0) };
}

/** Gives a finished file its name, on disk. Fails with `AC_TARGET_EXISTS` if the name is taken and must not be replaced. */
export async function nameFile(made: string, file: string, replace: boolean): Promise<void> {
  try {
    if (replace) await replaceFile(made, file);
    else {
      await link(made, file);
      await rm(made);
    }
  } catch (thrown) {
    await rm(made, { force: true });
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST') throw fileExists(file);
    throw cannotWrite(file, thrown);
  }
  await syncFolder(path.dirname(file));
}

/** Fails with `AC_TARGET_EXISTS` if the file exists. */
export async function refuseExistingFile(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found?.isDirectory() === true)
    throw new AgentcomError('AC_TARGET_EXISTS', `Cannot write "${file}": it is a folder. Name a file in it.`, { details: { file } });
  if (found !== null) throw fileExists(file);
}

const fileExists = (file: string): AgentcomError =>
  new AgentcomError('AC_TARGET_EXISTS', `Cannot write "${file}": it already exists. Name another file, or pass --force to overwrite it.`, {
    details: { file },
  });

export const cannotWrite = (file: string, thrown: unknown): AgentcomError =>
  new AgentcomError(
    'AC_STORE_UNAVAILABLE',
    `Cannot write "${file}": ${messageOf(thrown)}. Check that the folder exists, that this user may write to it, and that the disk has space.`,
    {
      cause: thrown,
      details: { file },
    },
  );
