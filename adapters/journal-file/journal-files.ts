/**
 * The steps on disk that the journal is made of. They stand behind an interface so that a test can fail, or stop the
 * world, at each of them in turn.
 *
 * Only what waits for the disk, a sync, is given to the thread pool. The other steps of a save change memory of the kernel in
 * some microseconds, and by the pool each of them cost a tenth of a millisecond before an agent starts.
 */
import {
  closeSync,
  fstatSync,
  fsync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { lstat, mkdir, opendir, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

export interface JournalFiles {
  /** Makes the folder and those above it, readable by its owner only; fine when it is there. */
  makeFolder(path: string): Promise<void>;
  /** Whether others than the owner may enter the folder. */
  isOpenToOthers(path: string): Promise<boolean>;
  list(folder: string): Promise<readonly string[]>;
  /** Null when there is no such file. */
  read(path: string): Promise<Buffer | null>;
  /** Writes the file anew and syncs it. A crash in between leaves part of it. May be short on a full disk: read it back. */
  write(path: string, bytes: Buffer): Promise<void>;
  /** Cuts a file off at this byte, writes on from there and syncs it. What stands before is left alone. As short as `write` may be. */
  append(path: string, at: number, bytes: Buffer): Promise<void>;
  /** What stands from this byte on; null when there is no such file. */
  readFrom(path: string, at: number): Promise<Buffer | null>;
  /** A second name for a file. Answers false when there is no `from`. */
  link(from: string, to: string): Promise<boolean>;
  /** Replaces `to`. */
  rename(from: string, to: string): Promise<void>;
  /** Fine when there is none. */
  remove(path: string): Promise<void>;
  /** Makes what happened to the names in a folder survive the loss of power. */
  syncFolder(path: string): Promise<void>;
  /** What the files of a folder have together, bytes. */
  bytesIn(folder: string): Promise<number>;
  /** Room left where `path` is. */
  freeBytes(path: string): Promise<number>;
}

const OWNER_ONLY_FOLDER = 0o700;
const OWNER_ONLY_FILE = 0o600;
const MODE_OF_OTHERS = 0o077;

/** Windows has neither modes nor a way to sync a folder; its file system journals the names by itself. */
const isPosix = process.platform !== 'win32';

export const nodeJournalFiles: JournalFiles = {
  async makeFolder(path) {
    const first = await mkdir(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
    if (first !== undefined) await this.syncFolder(dirname(first));
  },
  async isOpenToOthers(path) {
    return isPosix && ((await stat(path)).mode & MODE_OF_OTHERS) !== 0;
  },
  list: (folder) => readdir(folder),
  read: (path) => unlessMissing(async () => readFileSync(path), null),
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
    unlessMissing(async () => {
      linkSync(from, to);
      return true;
    }, false),
  rename: async (from, to) => renameSync(from, to),
  remove: async (path) => rmSync(path, { force: true }),
  async syncFolder(path) {
    if (isPosix) await withOpen(path, 'r', synced);
  },
  async bytesIn(folder) {
    let bytes = 0;
    for await (const { name } of await opendir(folder)) bytes += (await unlessMissing(() => lstat(join(folder, name)), null))?.size ?? 0;
    return bytes;
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
};

const synced = promisify(fsync);

async function withOpen<T>(path: string, flags: string, use: (file: number) => Promise<T>): Promise<T> {
  const file = openSync(path, flags, OWNER_ONLY_FILE);
  try {
    return await use(file);
  } finally {
    closeSync(file);
  }
}

async function unlessMissing<T, M>(work: () => Promise<T>, missing: M): Promise<T | M> {
  try {
    return await work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return missing;
    throw error;
  }
}

/** The name under which a file is prepared, before it takes its place. Leftovers of a crash are removed at open. */
export const nextOf = (path: string): string => `${path}.next`;
export const isLeftover = (fileName: string): boolean => fileName.endsWith('.next');

/**
 * Prepares `path`: whole, synced and read back, as `nextOf(path)`, which the caller puts in place. Reading back is
 * needed: on a nearly full disk a file may be cut short without an error.
 */
export async function prepareFile(files: JournalFiles, path: string, bytes: Buffer): Promise<void> {
  const next = nextOf(path);
  try {
    await files.write(next, bytes);
    const found = await files.read(next);
    if (found?.equals(bytes) === true) return;
    const message = `Wrote ${bytes.length} bytes to "${next}", and read back ${found?.length ?? 0} that are not the same. Is the disk full?`;
    throw new AgentcomError('AC_JOURNAL_WRITE', message);
  } catch (error) {
    await files.remove(next).catch((second: unknown) => {
      throw new AggregateError([error, second], `${messageOf(error)} Nor can it be removed.`);
    });
    throw error;
  }
}

/** Puts a whole file in the place of `path`, so that it survives the loss of power. */
export async function writeDurably(files: JournalFiles, folder: string, path: string, bytes: Buffer): Promise<void> {
  await prepareFile(files, path, bytes);
  await files.rename(nextOf(path), path);
  await files.syncFolder(folder);
}
