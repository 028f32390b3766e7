/**
 * What a file system does differently on another platform. Each function takes the platform, so that a test can pass another one than
 * its own.
 */
import { renameSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

const OTHERS = 0o077;

/** The permissions of users other than the owner. None on Windows, which has no modes: Node makes one up there that lets everybody read. */
export const modeOfOthers = (mode: number, platform: string = process.platform): number => (platform === 'win32' ? 0 : mode & OTHERS);

/** Puts the names in a folder on disk. Does nothing on Windows, which cannot sync a folder (EPERM); NTFS journals names by itself. */
export async function syncFolder(folder: string, platform: string = process.platform): Promise<void> {
  if (platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Puts the content of a file on disk. Opened for writing, since Windows syncs no file that was opened to be read. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Windows renames no file that a virus scanner or an indexer has open for a moment. */
const HELD = new Set(['EPERM', 'EACCES', 'EBUSY']);
/** Between attempts, milliseconds; 1.27 s in all. */
const WAITS_MS = [10, 20, 40, 80, 160, 320, 640];

export interface RetryOptions {
  /** Default: of this system. */
  readonly platform?: string | undefined;
  /** For tests. */
  readonly wait?: ((ms: number) => Promise<unknown>) | undefined;
}

/** Repeats `work`, which renames files, while Windows says that one of them is in use. Elsewhere it is done once. */
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

/** Renames a file over another one, if there is one. Synchronously: that takes microseconds, through the thread pool 0.1 ms. */
export const replaceFile = (from: string, to: string): Promise<void> => retriedWhileHeld(async () => renameSync(from, to));
