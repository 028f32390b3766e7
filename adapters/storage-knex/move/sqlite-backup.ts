/** Backs up a store while its hub runs, and restores a backup. */
import { constants } from 'node:fs';
import { copyFile, link, realpath, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { BackupProgress, BackupSummary, RestoreSummary, StoreContents } from '../../../core/config/config.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { replaceFile, syncFolder } from '../../kit/platform-files.ts';
import { saveAndRemoveCommitLog } from '../sqlite/commit-log/commit-log-file.ts';
import type { SqliteConnection } from '../sqlite/connection.ts';
import type { SqliteDriver } from '../sqlite/sqlite-driver.ts';
import { isDamaged, sqliteFailure } from '../sqlite/failures.ts';
import { cannotOpen, ENDS_BESIDE, lockOf, prepareSqliteFiles, restoringOf, type SqliteFiles, targetOf } from '../sqlite/files.ts';
import { takeSqliteLock } from '../sqlite/lock.ts';
import { isOfHub, stepsTaken } from '../sqlite/schema.ts';
import { refuseUnknownSteps } from '../rows/unknown-steps.ts';
import { newStoreId } from '../rows/store-id.ts';
import { lastNumberAfterRestore, noteSkipped } from './restored-numbers.ts';
import { isSameFile, partOf, removeLeftParts } from './part-files.ts';
import { cannotWrite, contentsOf, copySqlite, nameFile, refuseExistingFile } from './sqlite-copy.ts';
import { isNonEmptyFile } from './sqlite-place.ts';

/**
 * Writes a copy of `database` as it is at this moment. The copy gets its name only once it is complete, checked and on
 * disk. It contains everything that the hub acknowledged before. The hub continues meanwhile; its write-ahead log is
 * not truncated until the end.
 */
export async function backUpSqlite(
  driver: SqliteDriver,
  database: string,
  to: { readonly file: string; readonly replace: boolean; readonly onProgress?: ((progress: BackupProgress) => void) | undefined },
): Promise<BackupSummary> {
  const { file, replace, onProgress } = to;
  await refuseStore(file, database);
  if (!replace) await refuseExistingFile(file);
  const part = partOf(file);
  try {
    const contents = await copySqlite(driver, { from: database, to: part, onProgress });
    const { size, mtimeMs } = await stat(part);
    await nameFile(part, file, replace);
    await removeLeftParts(file, mtimeMs);
    return { ...contents, file, bytes: size };
  } catch (thrown) {
    throw AgentcomError.is(thrown) ? thrown : cannotWrite(file, thrown);
  }
}

/**
 * Replacing a store while a hub has it open would destroy it: the hub would continue to write to the unlinked file,
 * and SQLite would apply the old write-ahead log to the copy.
 */
async function refuseStore(file: string, database: string): Promise<void> {
  const place = await placeOf(file);
  const store = await targetOf(database);
  const files = [await placeOf(database), ...['', ...ENDS_BESIDE].map((end) => store + end), lockOf(store)];
  const isSame = files.includes(place);
  // An empty one counts too.
  const isOpen = await stat(`${file}-wal`).then(
    () => true,
    () => false,
  );
  if (!isSame && !isOpen) return;
  const what = isSame ? 'it is a file of the store that is to be backed up' : `it may be a store in use: ${file}-wal exists`;
  const hint = isSame ? 'Name another file.' : 'Name another file, or remove both if no program has them open.';
  throw new AgentcomError('AC_TARGET_EXISTS', `Cannot write "${file}": ${what}.`, { hint, details: { file } });
}

/** The file with the symbolic links of its folder resolved. If the file itself is a link, the link is replaced. */
const placeOf = async (file: string): Promise<string> => {
  const folder = path.dirname(path.resolve(file));
  return path.join(await realpath(folder).catch(() => folder), path.basename(file));
};

/**
 * Replaces `database`, whose hub does not run, with a backup that gets a new store id; without `file`, the existing
 * database gets one. A store that was there is kept next to it, complete.
 */
export async function restoreSqlite(
  driver: SqliteDriver,
  database: string,
  from: { readonly file: string | null; readonly replace: boolean },
  nowMs: number,
  onStep: OnStep = () => undefined,
): Promise<RestoreSummary> {
  if (from.file === null && !(await isNonEmptyFile(database)))
    throw cannotOpen(database, 'there is no store', 'Name a backup to put there.');
  // Nothing is there if an interrupted restore moved the store aside.
  const files = await prepareSqliteFiles(await targetOf(database));
  const lock = await takeSqliteLock(driver, files);
  try {
    if (from.file === null) return { ...(await renewed(driver, files.database, nowMs)), place: `file "${files.database}"`, kept: null };
    return await replaceStore(driver, files, { file: from.file, replace: from.replace }, nowMs, onStep);
  } finally {
    await lock.release();
  }
}

/** The steps of a restore, in order. `OnStep` is called after each; if it throws, the restore ends there, as if it were killed. */
export type RestoreStep = 'copied' | 'checkpointed' | 'log kept' | 'store kept' | 'log gone' | 'restored';
type OnStep = (step: RestoreStep) => Promise<void> | void;

/**
 * The copy is made beside the store and gets the name `.restoring` once it is complete. The store's write-ahead log is checkpointed, the
 * store is renamed, and the copy takes its name. A log that cannot be checkpointed, because the store is damaged, is first linked or copied
 * to the name that it needs beside the renamed store. So at each moment the store is complete, with its log, under its old name or its new
 * one. If the restore is killed before the last step, it must be run again. Until then a hub starts on the store under its old name, or,
 * once that is renamed, not at all (`refuseUnfinishedRestore`). A later restore that fails leaves the copy of the first, so that still no hub
 * starts.
 */
async function replaceStore(
  driver: SqliteDriver,
  { database }: SqliteFiles,
  { file, replace }: { readonly file: string; readonly replace: boolean },
  nowMs: number,
  onStep: OnStep,
): Promise<RestoreSummary> {
  const before = await isNonEmptyFile(database);
  if (before && !replace) {
    const message = `Cannot restore to "${database}": a store already exists there. Pass --force to replace it; it is then kept beside the new one.`;
    throw new AgentcomError('AC_TARGET_EXISTS', message, { details: { file: database } });
  }
  const { part, made } = restoringOf(database);
  if (await isSameFile(file, part)) {
    const message = `Cannot restore "${file}": it is the unfinished copy of a restore that was interrupted. Nothing was changed.`;
    throw new AgentcomError('AC_USAGE', message, { hint: 'Name the backup itself.', details: { file } });
  }
  const lastBefore = before ? await lastNumberIn(driver, database) : 0;
  const kept = before ? `${database}.before-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}` : null;
  let contents: StoreContents;
  try {
    contents = await copySqlite(driver, { from: file, to: part, change: (copy) => renew(copy, lastBefore, nowMs) }).catch(refuseBackup);
    // `file` may be `made`, the complete copy of an interrupted restore: it is replaced by a copy of itself.
    await nameFile(part, made, true);
    await onStep('copied');
    if (kept === null) await moveLeftAside(database);
    else await keepStore(driver, { database, kept }, onStep);
    await onStep('log gone');
    // If that fails, the copy stays, and with it the sign that no hub may start on what is there.
    await replaceFile(made, database);
    await syncFolder(path.dirname(database));
  } catch (thrown) {
    throw AgentcomError.is(thrown) || !isOfFiles(thrown) ? thrown : cannotWrite(database, thrown);
  }
  await onStep('restored');
  return { ...contents, place: `file "${database}"`, kept };
}

/** The advice for a damaged store would be to restore the backup that is damaged. */
function refuseBackup(thrown: unknown): never {
  if (!AgentcomError.is(thrown) || !isDamaged(thrown.cause)) throw thrown;
  const { code, found, cause, details } = thrown;
  throw new AgentcomError(code, found, { cause, details, hint: 'The backup is damaged, and nothing was changed. Restore another one.' });
}

async function keepStore(
  driver: SqliteDriver,
  { database, kept }: { readonly database: string; readonly kept: string },
  onStep: OnStep,
): Promise<void> {
  await checkpoint(driver, database);
  await onStep('checkpointed');
  for (const end of ['-wal', '-commits']) {
    const log = `${database}${end}`;
    if (!(await isNonEmptyFile(log))) continue;
    await link(log, `${kept}${end}`).catch(() => copyFile(log, `${kept}${end}`, constants.COPYFILE_EXCL));
    await syncFolder(path.dirname(database));
  }
  await onStep('log kept');
  await replaceFile(database, kept);
  await syncFolder(path.dirname(database));
  await onStep('store kept');
  // A leftover log would be applied to the next database of this name.
  for (const end of ENDS_BESIDE) await rm(`${database}${end}`, { force: true });
}

/**
 * Renames files next to a missing store: left by a restore of an older version that was killed. It is unknown which
 * store they belong to, so they are kept.
 */
async function moveLeftAside(database: string): Promise<void> {
  for (const end of ENDS_BESIDE)
    if (await isNonEmptyFile(`${database}${end}`)) await replaceFile(`${database}${end}`, `${database}.left${end}`);
}

/** Copies the log into the store, after which the store is complete without it. A damaged store keeps its log. */
async function checkpoint(driver: SqliteDriver, database: string): Promise<void> {
  await looked(driver, database, (connection) => connection.rows('PRAGMA wal_checkpoint(TRUNCATE)'));
}

/** The highest number that an event of the store ever had; 0 if it cannot be read. */
async function lastNumberIn(driver: SqliteDriver, database: string): Promise<number> {
  // If it cannot be saved, it is kept beside the store.
  await Promise.allSettled([saveAndRemoveCommitLog(driver, database)]);
  const rows = await looked(driver, database, (connection) =>
    connection.rows("SELECT seq FROM sqlite_sequence WHERE name = 'task_events'"),
  );
  return Number(rows?.[0]?.['seq'] ?? 0);
}

/** What `look` finds in a store that may be damaged, which is often why it is replaced; undefined if that fails. */
async function looked<T>(
  driver: SqliteDriver,
  database: string,
  look: (connection: SqliteConnection) => Promise<T>,
): Promise<T | undefined> {
  const [opening] = await Promise.allSettled([driver.open(database, 'write')]);
  if (opening.status === 'rejected') return undefined;
  const [found] = await Promise.allSettled([look(opening.value.connection)]);
  await Promise.allSettled([opening.value.close()]);
  return found.status === 'fulfilled' ? found.value : undefined;
}

const isOfFiles = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && 'syscall' in thrown;

/** Sets a new id, so that sidecars notice, and continues the numbers of events above every one that was assigned, so that streams notice. */
async function renew(connection: SqliteConnection, lastBefore: number, nowMs: number): Promise<void> {
  const [sequence] = await connection.rows("SELECT seq FROM sqlite_sequence WHERE name = 'task_events'");
  const last = lastNumberAfterRestore(Math.max(Number(sequence?.['seq'] ?? 0), lastBefore), nowMs);
  const [table] = await connection.rows("SELECT count(*) AS tables FROM sqlite_master WHERE name = 'removed_events'");
  await connection.change('BEGIN IMMEDIATE');
  await connection.change('UPDATE store SET store_id = ?1', newStoreId());
  await connection.change("DELETE FROM sqlite_sequence WHERE name = 'task_events'");
  await connection.change(`INSERT INTO sqlite_sequence (name, seq) VALUES ('task_events', ${last})`);
  if (table?.['tables'] === 1) await connection.change(noteSkipped(last));
  await connection.change('COMMIT');
}

async function renewed(driver: SqliteDriver, database: string, nowMs: number): Promise<Awaited<ReturnType<typeof contentsOf>>> {
  const { connection, close } = await driver.open(database, 'write');
  try {
    const rows = (sql: string) => connection.rows(sql);
    if (!(await isOfHub(rows))) throw cannotOpen(database, 'it is not a database of a hub', 'Correct storage.file in the config.');
    refuseUnknownSteps('sqlite', `file "${path.basename(database)}"`, await stepsTaken(rows));
    await saveAndRemoveCommitLog(driver, database);
    await connection.change('PRAGMA synchronous = FULL');
    await renew(connection, 0, nowMs);
    return await contentsOf(connection);
  } catch (thrown) {
    throw sqliteFailure(thrown, 'renew the store id', database);
  } finally {
    await close();
  }
}
