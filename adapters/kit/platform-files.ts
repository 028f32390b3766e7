/**
 * What file systems do differently on other platforms. Functions that depend on the platform take it as a parameter, so that a test can
 * pass one other than its own.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, type Stats } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

const OTHERS = 0o077;

/** The permissions of users other than the owner. None on Windows, which has no modes; the one that Node makes up lets everybody read. */
export const modeOfOthers = (mode: number, platform: string = process.platform): number => (platform === 'win32' ? 0 : mode & OTHERS);

// Opening a FIFO to read it blocks until somebody writes to it. Windows has neither this flag nor FIFOs in folders.
const READ_WITHOUT_BLOCKING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * Reads a whole file of our own; links are followed. Throws `AC_DATA_DIR` for a FIFO, a folder or a device in its place. Synchronous: that
 * takes microseconds, while the thread pool would take 0.1 ms.
 */
export function readRegularFile(path: string): Buffer {
  const file = openSync(path, READ_WITHOUT_BLOCKING);
  try {
    const stats = fstatSync(file);
    if (stats.isFile()) return readFileSync(file);
    throw notRegular(path, stats);
  } finally {
    closeSync(file);
  }
}

export const notRegular = (path: string, stats: Stats): AgentcomError =>
  new AgentcomError('AC_DATA_DIR', `Expected a regular file at "${path}", found ${kindOf(stats)}.`, {
    hint: 'Move it away, or restore the file.',
  });

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  return stats.isFIFO() ? 'a FIFO' : 'a device';
}

const BLOCK_BYTES = 512;

/** The disk space that the content of a file takes, bytes: a sparse file has fewer blocks than its size says. */
export const storedBytes = ({ size, blocks }: Pick<Stats, 'size' | 'blocks'>): number => Math.min(size, blocks * BLOCK_BYTES);

/** Syncs the names in a folder to disk. Does nothing on Windows, which cannot sync a folder (EPERM); NTFS journals names by itself. */
export async function syncFolder(folder: string, platform: string = process.platform): Promise<void> {
  if (platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Syncs the content of a file to disk. Opened for writing, since Windows cannot sync a file that was opened for reading. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Windows cannot rename a file while a virus scanner or an indexer briefly has it open. */
const HELD = new Set(['EPERM', 'EACCES', 'EBUSY']);
/** The waits between attempts, milliseconds; 1.27 s in total. */
const WAITS_MS = [10, 20, 40, 80, 160, 320, 640];

export interface RetryOptions {
  /** Default: the current platform. */
  readonly platform?: string | undefined;
  /** For tests. */
  readonly wait?: ((ms: number) => Promise<unknown>) | undefined;
}

/** Retries `work`, which renames files, while Windows reports that one of them is in use. Elsewhere it runs once. */
export async function retriedWhileHeld<T>(work: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { platform = process.platform, wait: pause = wait } = options;
  for (const ms of platform === 'win32' ? WAITS_MS : []) {
    try {
      return await work();
    } catch (error) {
      if (!HELD.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await pause(ms);
    }
  }
  return await work();
}

/** Renames a file, replacing the target if it exists. Synchronous: that takes microseconds, while the thread pool would take 0.1 ms. */
export const replaceFile = (from: string, to: string): Promise<void> => retriedWhileHeld(async () => renameSync(from, to));

/** What `work` resolves to, or `missing` if the file that it uses does not exist. */
export async function unlessMissing<T, M>(work: () => Promise<T>, missing: M): Promise<T | M> {
  try {
    return await work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return missing;
    throw error;
  }
}

/**
 * Creates a folder, with its parents, and returns the first one that was missing; undefined if none was. Below a folder that exists but can
 * hold no others, such as /proc, it fails with `ENOENT`; Node's `mkdir` with `recursive` would never return.
 */
export async function makeFolders(folder: string, mode: number): Promise<string | undefined> {
  try {
    return (await makeFolder(folder, mode)) ? folder : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw error;
  }
  const first = await makeFolders(dirname(folder), mode);
  await makeFolder(folder, mode);
  return first ?? folder;
}

/** The errors of `mkdir` for a folder that exists; for a drive or the root folder, the last two on some platforms. */
const MAY_EXIST: ReadonlySet<unknown> = new Set(['EEXIST', 'EISDIR', 'EPERM']);

/** False: it exists. */
async function makeFolder(folder: string, mode: number): Promise<boolean> {
  try {
    await mkdir(folder, { mode });
    return true;
  } catch (error) {
    const mayExist = MAY_EXIST.has((error as NodeJS.ErrnoException).code);
    if (mayExist && (await unlessMissing(async () => (await stat(folder)).isDirectory(), false))) return false;
    throw error;
  }
}
