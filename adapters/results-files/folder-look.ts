/** Whether anything changed in the folder of an assignment: a sign that its agent lives. */
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** Entries looked at; an agent may fill its folder with a whole repository. */
const ENTRIES_MAX = 256;

/** A text that changes with the files in `folder`, but for the file at `ours`; null when there is no such folder. Links are not followed. */
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

/** A folder, and not a link to one. */
export const isFolder = async (path: string): Promise<boolean> => (await lstatOrNull(path))?.isDirectory() === true;

/** A regular file, and not a link to one. */
export const isRegular = async (path: string): Promise<boolean> => (await lstatOrNull(path))?.isFile() === true;

/** Anything at all. */
export const isThere = async (path: string): Promise<boolean> => (await lstatOrNull(path)) !== null;

async function lstatOrNull(path: string): Promise<Awaited<ReturnType<typeof lstat>> | null> {
  try {
    return await lstat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}
