/** Backing up a store beside its hub, and putting a backup back. */
import { randomUUID } from 'node:crypto';
import { rename, stat } from 'node:fs/promises';
import path from 'node:path';
import type { BackedUp, Restored } from '../../../core/config/config.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { openSqlite } from '../sqlite-connection.ts';
import { sqliteFailure } from '../sqlite-failures.ts';
import { cannotOpen, prepareSqliteFiles, type SqliteFiles } from '../sqlite-files.ts';
import { takeSqliteLock } from '../sqlite-lock.ts';
import { isOfHub, stepsTaken } from '../sqlite-schema.ts';
import { refuseUnknownSteps } from '../migrations/unknown-steps.ts';
import { cannotWrite, contentsOf, copySqlite, nameFile, refuseIfThere } from './sqlite-copy.ts';
import { isThere } from './sqlite-place.ts';

/**
 * Writes a copy of `database` as it is at this moment, checked and on disk, under its name only once it is whole. What a hub
 * acknowledged before is in it. Meanwhile the hub goes on; its write-ahead log is not cut back until the end.
 */
export async function backUpSqlite(database: string, to: { readonly file: string; readonly replace: boolean }): Promise<BackedUp> {
  const { file, replace } = to;
  if (!replace) await refuseIfThere(file);
  const part = `${file}.part`;
  let contents: Awaited<ReturnType<typeof copySqlite>>;
  try {
    contents = await copySqlite(database, part);
  } catch (thrown) {
    throw AgentcomError.is(thrown) ? thrown : cannotWrite(part, thrown);
  }
  await nameFile(part, file, replace);
  return { ...contents, file, bytes: (await stat(file)).size };
}

/**
 * Puts a backup in the place of `database`, whose hub does not run, with a new store id; without `file` the database that
 * lies there gets one. A store that was there is kept beside it, whole.
 */
export async function restoreSqlite(
  database: string,
  from: { readonly file: string | null; readonly replace: boolean },
  nowMs: number,
): Promise<Restored> {
  if (from.file === null && !(await isThere(database))) throw cannotOpen(database, 'there is no store. Name a backup to put there');
  const files = await prepareSqliteFiles(database);
  const lock = await takeSqliteLock(files);
  try {
    if (from.file === null) return { ...(await renewed(files.database)), place: `file "${files.database}"`, kept: null };
    return await putBack(files, { file: from.file, replace: from.replace }, nowMs);
  } finally {
    await lock.release();
  }
}

/**
 * The copy is made whole beside the store, then the store is renamed, then the copy takes its name. Killed before the last of
 * these, it is run again: what was there is kept under its new name already.
 */
async function putBack(
  { database }: SqliteFiles,
  { file, replace }: { readonly file: string; readonly replace: boolean },
  nowMs: number,
): Promise<Restored> {
  const before = await isThere(database);
  if (before && !replace) {
    const message = `Cannot restore to "${database}": there is a store. Say --force to put the backup in its place; it is then kept beside it.`;
    throw new AgentcomError('AC_TARGET_EXISTS', message, { details: { file: database } });
  }
  const made = `${database}.restoring`;
  const contents = await copySqlite(file, made, (copy) => copy.change(RENEW, newStoreId()));
  const kept = before ? `${database}.before-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}` : null;
  try {
    await moveAside(database, kept ?? `${database}.left`);
  } catch (thrown) {
    throw cannotWrite(database, thrown);
  }
  await nameFile(made, database, true);
  return { ...contents, place: `file "${database}"`, kept };
}

/** The database first: SQLite drops a write-ahead log that lies beside no database, and would read one into the next that comes. */
async function moveAside(database: string, to: string): Promise<void> {
  for (const end of ['', '-wal', '-shm']) if (await isThere(`${database}${end}`)) await rename(`${database}${end}`, `${to}${end}`);
}

const RENEW = 'UPDATE store SET store_id = ?1';
const newStoreId = (): string => `store-${randomUUID().replaceAll('-', '')}`;

async function renewed(database: string): Promise<Awaited<ReturnType<typeof contentsOf>>> {
  const { default: sqlite3 } = await import('sqlite3');
  const { connection, close } = await openSqlite(database, sqlite3.OPEN_READWRITE);
  try {
    const rows = (sql: string) => connection.rows(sql);
    if (!(await isOfHub(rows))) throw cannotOpen(database, 'it is no database of a hub. Look at storage.file of the config');
    refuseUnknownSteps('sqlite', `file "${path.basename(database)}"`, await stepsTaken(rows));
    await connection.change('PRAGMA synchronous = FULL');
    await connection.change(RENEW, newStoreId());
    return await contentsOf(connection);
  } catch (thrown) {
    throw sqliteFailure(thrown, 'renew the store id', database);
  } finally {
    await close();
  }
}
