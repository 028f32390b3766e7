/**
 * The journal's disk operations, behind an interface so that tests can make each of them fail or crash.
 *
 * What a task waits for before its agent starts uses the thread pool only to sync, which waits for the disk. The other steps take
 * microseconds; through the pool each would add 0.1 ms.
 */
import {
  closeSync,
  fstatSync,
  fsync,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { lstat, opendir, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import {
  makeFolders,
  modeOfOthers,
  notRegular,
  readRegularFile,
  replaceFile,
  storedBytes,
  syncFolder,
  unlessMissing,
} from '../kit/platform-files.ts';

export interface JournalFiles {
  /** Creates the folder and its parents, readable by their owner only. Idempotent. */
  makeFolder(path: string): Promise<void>;
  /** Whether users other than the owner may enter the folder. */
  isOpenToOthers(path: string): Promise<boolean>;
  list(folder: string): Promise<readonly string[]>;
  /** Null if there is no such file. */
  read(path: string): Promise<Buffer | null>;
  /** Writes and syncs the whole file. A crash may leave a part of it, and a full disk may truncate it: read it back. */
  write(path: string, bytes: Buffer): Promise<void>;
  /**
   * Truncates the file at this byte, appends there and syncs. What precedes it is untouched. As with `write`, the result
   * may be truncated.
   */
  append(path: string, at: number, bytes: Buffer): Promise<void>;
  /** The content from this byte on; null if there is no such file. */
  readFrom(path: string, at: number): Promise<Buffer | null>;
  /** Hard link. False if `from` does not exist. */
  link(from: string, to: string): Promise<boolean>;
  /** Replaces `to`. */
  rename(from: string, to: string): Promise<void>;
  /** Does nothing if there is none. */
  remove(path: string): Promise<void>;
  /** Makes changes to names in the folder survive a power loss. */
  syncFolder(path: string): Promise<void>;
  /** The disk space that the files in a folder take, bytes. */
  bytesIn(folder: string): Promise<number>;
  /** Free space at `path`, bytes. */
  freeBytes(path: string): Promise<number>;
}

const OWNER_ONLY_FOLDER = 0o700;
const OWNER_ONLY_FILE = 0o600;

export const nodeJournalFiles: JournalFiles = {
  async makeFolder(path) {
    const first = await makeFolders(path, OWNER_ONLY_FOLDER);
    if (first !== undefined) await this.syncFolder(dirname(first));
  },
  async isOpenToOthers(path) {
    return modeOfOthers((await stat(path)).mode) !== 0;
  },
  list: (folder) => readdir(folder),
  read: (path) => unlessMissing(async () => readRegularFile(path), null),
  write: (path, bytes) =>
    withOpen(path, 'w', async (file) => {
      writeFileSync(file, bytes);
      await synced(file);
    }),
  append: (path, at, bytes) =>
    withOpen(path, 'r+', async (file) => {
      ftruncateSync(file, at);
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, at + done);
      await synced(file);
    }),
  readFrom: (path, at) =>
    unlessMissing(
      () =>
        withOpen(path, 'r', async (file) => {
          const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - at));
          return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, at));
        }),
      null,
    ),
  link: (from, to) =>
    unlessMissing(
      () =>
        unlessFolder(from, async () => {
          linkSync(from, to);
          return true;
        }),
      false,
    ),
  rename: (from, to) => unlessFolder(to, () => replaceFile(from, to)),
  remove: async (path) => rmSync(path, { force: true }),
  syncFolder: (path) => syncFolder(path),
  async bytesIn(folder) {
    let bytes = 0;
    for await (const { name } of await opendir(folder))
      bytes += await unlessMissing(async () => storedBytes(await lstat(join(folder, name))), 0);
    return bytes;
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
};

/** Says so if what `work` links or replaces is a folder: the system's own error does not. */
async function unlessFolder<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    throw stats?.isDirectory() === true ? notRegular(path, stats) : error;
  }
}

const synced = promisify(fsync);

async function withOpen<T>(path: string, flags: string, use: (file: number) => Promise<T>): Promise<T> {
  const file = openSync(path, flags, OWNER_ONLY_FILE);
  try {
    return await use(file);
  } catch (error) {
    // Node names the file only in the errors of calls that take its path.
    if (error instanceof Error) error.message += ` "${path}"`;
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Name of a file being prepared. Orphans of a crash are removed by open. */
export const nextOf = (path: string): string => `${path}.next`;
export const isTemporary = (fileName: string): boolean => fileName.endsWith('.next');

/**
 * Writes, syncs and reads back `nextOf(path)`, which the caller then renames. Reading back is necessary: a nearly full
 * disk may truncate a file without an error.
 */
export async function prepareFile(files: JournalFiles, path: string, bytes: Buffer): Promise<void> {
  const next = nextOf(path);
  try {
    await files.write(next, bytes);
    const found = await files.read(next);
    if (found?.equals(bytes) === true) return;
    const message = `Wrote ${bytes.length} bytes to "${next}", but read back ${found?.length ?? 0} different ones. Is the disk full?`;
    throw new AgentcomError('AC_JOURNAL_WRITE', message);
  } catch (error) {
    await files.remove(next).catch((second: unknown) => {
      throw new AggregateError([error, second], `${messageOf(error)} Removing it failed too.`);
    });
    throw error;
  }
}

/** Atomically and durably replaces `path`. */
export async function writeDurably(files: JournalFiles, folder: string, path: string, bytes: Buffer): Promise<void> {
  await prepareFile(files, path, bytes);
  await files.rename(nextOf(path), path);
  await files.syncFolder(folder);
}
