/**
 * The database's file and folder, created for this user only. A file that others may read is refused.
 *
 * A file that SQLite has open is never opened here a second time: closing it would drop SQLite's locks, which the system keeps for the
 * process, not for the handle.
 */
import { open, readlink, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { makeFolders, modeOfOthers, syncFolder, unlessMissing } from '../../kit/platform-files.ts';

/** As Linux follows at most. */
const MAX_LINKS = 40;

export interface SqliteFiles {
  /** The database, with links followed, so that one database has one name. */
  readonly database: string;
  /** The database whose lock says that a hub uses the one beside it. */
  readonly lock: string;
}

/** Creates what is missing. Fails with `AC_STORAGE_OPEN` or `AC_DATA_DIR`, naming the file and what to do. */
export async function prepareSqliteFiles(file: string): Promise<SqliteFiles> {
  const folder = path.dirname(file);
  try {
    await makeFolder(folder);
    const isNew = await makeFile(file);
    if (!isNew) await refuseLinkToNothing(file);
    const database = await realpath(file);
    const lock = lockOf(database);
    const lockIsNew = await makeFile(lock);
    if (isNew || lockIsNew) await syncFolder(path.dirname(database));
    await refuseIfShared(database);
    return { database, lock };
  } catch (thrown) {
    if (AgentcomError.is(thrown)) throw thrown;
    throw cannotOpen(
      file,
      messageOf(thrown),
      `Let this user write to "${folder}", or set storage.file or hub.dataDir to another place.`,
      thrown,
    );
  }
}

/** The file that `file` leads to through symbolic links, which may not exist: an interrupted restore leaves a link to nothing. */
export async function targetOf(file: string, linksLeft = MAX_LINKS): Promise<string> {
  try {
    return await realpath(file);
  } catch {
    const target = await readlink(file).catch(() => null);
    return target === null || linksLeft === 0 ? file : await targetOf(path.resolve(path.dirname(file), target), linksLeft - 1);
  }
}

/** The database whose lock says that a hub uses the one beside it. */
export const lockOf = (database: string): string => path.join(path.dirname(database), 'hub.lock');

/** How the names of the files that belong to a database in use end: SQLite's, and the commit log. */
export const ENDS_BESIDE = ['-wal', '-shm', '-commits'] as const;

/** What a restore makes beside the database: `part` while it copies, `made` once the copy is complete. */
export const restoringOf = (database: string): { readonly part: string; readonly made: string } => ({
  part: `${database}.restoring.part`,
  made: `${database}.restoring`,
});

/**
 * Fails after a restore that was interrupted while it copied to where no store was, or once it had moved the store aside: a hub would begin
 * with an empty one.
 */
export async function refuseUnfinishedRestore(named: string): Promise<void> {
  const file = await targetOf(named);
  const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => null))?.size ?? 0;
  if ((await sizeOf(file)) > 0) return;
  const { part, made } = restoringOf(file);
  for (const left of [made, part]) {
    if ((await sizeOf(left)) === 0) continue;
    const found = `\`agentcom restore\` was interrupted; the previous store, if there was one, is beside it as "${file}.before-…"`;
    throw cannotOpen(file, found, `Run \`agentcom restore\` again. To begin with an empty store instead, remove "${left}".`);
  }
}

/** `found` without a full stop, `hint` with one. */
export const cannotOpen = (file: string, found: string, hint: string, cause?: unknown): AgentcomError =>
  new AgentcomError('AC_STORAGE_OPEN', `Cannot open storage "sqlite": file "${file}": ${found}.`, { cause, hint, details: { file } });

async function makeFolder(folder: string): Promise<void> {
  const first = await makeFolders(folder, 0o700);
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) await syncFolder(path.dirname(made));
}

/** Creates the file if it is missing, and returns whether it did. An existing file is never opened here. */
async function makeFile(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.close();
    return true;
  } catch (thrown) {
    if (isExisting(thrown)) return false;
    throw thrown;
  }
}

/** Its target may be on a disk that is not mounted: a new store there would hide the one that is. */
async function refuseLinkToNothing(file: string): Promise<void> {
  const target = await targetOf(file);
  if (await unlessMissing(() => stat(target), null)) return;
  const found = `it is a link to "${target}", which does not exist`;
  throw cannotOpen(file, found, 'Mount the disk that the store is on. To begin with an empty store, remove the link.');
}

const isExisting = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST';

/** Fails with `AC_DATA_DIR` if others may use it, with `AC_STORAGE_OPEN` if it is not a file. */
export async function refuseIfShared(database: string, platform: string = process.platform): Promise<void> {
  const found = await stat(database);
  if (!found.isFile()) throw cannotOpen(database, 'it is not a regular file', 'Set storage.file to one.');
  if (modeOfOthers(found.mode, platform) === 0) return;
  throw new AgentcomError(
    'AC_DATA_DIR',
    `Cannot open storage "sqlite": file "${database}" may be used by others (mode ${(found.mode & 0o777).toString(8)}, expected 600).`,
    { hint: `Run: chmod 600 "${database}"`, details: { file: database, mode: found.mode & 0o777 } },
  );
}
