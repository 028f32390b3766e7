/** Detects changes in an assignment's folder, as a sign of life. */
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** Maximum number of entries examined; an agent may put a whole repository there. */
const ENTRIES_MAX = 256;

/**
 * A text that changes with the files in `folder`, except the one at `ours`; null if there is no such folder. Does not
 * follow links.
 */
export async function folderTrace(folder: string, ours: string): Promise<string | null> {
  if (!(await isFolder(folder))) return null;
  const facts: string[] = [];
  for await (const { name } of await opendir(folder)) {
    const path = join(folder, name);
    if (path === ours) continue;
    const stats = await lstatOrNull(path);
    if (stats !== null) facts.push(`${name}:${stats.size}:${stats.mtimeMs}`);
    if (facts.length === ENTRIES_MAX) break;
  }
  return facts.sort().join('/');
}

/** A folder, not a link to one. */
export const isFolder = async (path: string | Buffer): Promise<boolean> => (await lstatOrNull(path))?.isDirectory() === true;

/** A regular file, not a link to one. */
export const isRegularFile = async (path: string | Buffer): Promise<boolean> => (await lstatOrNull(path))?.isFile() === true;

/** Anything at all. */
export const exists = async (path: string): Promise<boolean> => (await lstatOrNull(path)) !== null;

async function lstatOrNull(path: string | Buffer): Promise<Awaited<ReturnType<typeof lstat>> | null> {
  try {
    return await lstat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}
