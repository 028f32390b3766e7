/** Removes a folder that an agent wrote, however deep it is, and whatever its permissions are. */
import { randomUUID } from 'node:crypto';
import { chmod, readdir, rename, rm } from 'node:fs/promises';
import { sep } from 'node:path';
import { unlessMissing } from '../kit/platform-files.ts';
import { isFolder } from './folder-state.ts';

/** How many nested folders one call moves; a later call continues. */
const MOVES_MAX = 100_000;
const OWNER_ONLY_FOLDER = 0o700;

/** What helps against an error, besides trying later. */
const REPAIRS: ReadonlyMap<string | undefined, (path: string | Buffer) => Promise<void>> = new Map([
  ['EACCES', unlockTree],
  ['EPERM', unlockTree],
  ['ENAMETOOLONG', flatten],
]);

/** Does nothing if there is nothing at `path`. Removes a link, not what it points to. */
export async function removeTree(path: string | Buffer): Promise<void> {
  const tried = new Set<unknown>();
  for (;;) {
    try {
      return await rm(path, { recursive: true, force: true });
    } catch (error) {
      const repair = REPAIRS.get((error as NodeJS.ErrnoException).code);
      if (repair === undefined || tried.has(repair)) throw error;
      tried.add(repair);
      await repair(path);
    }
  }
}

/** Removes all of them, even if one fails; rejects with the first failure. */
export async function removeTrees(paths: readonly string[]): Promise<void> {
  for (const removed of await Promise.allSettled(paths.map(removeTree))) if (removed.status === 'rejected') throw removed.reason;
}

/** An agent may have taken our access to a folder of its own. Does nothing if `path` is not a folder. */
export async function unlockFolder(path: string | Buffer): Promise<void> {
  if (await isFolder(path)) await unlessMissing(() => chmod(path, OWNER_ONLY_FOLDER), undefined);
}

/** A path in a folder, as bytes: a name need not be UTF-8. */
export function pathIn(folder: string | Buffer, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(folder), Buffer.from(sep), name]);
}

/** Makes every folder writable: some programs, such as Go for its modules, leave folders from which nothing can be removed. */
async function unlockTree(top: string | Buffer): Promise<void> {
  await unlockFolder(top);
  const open = [...(await foldersIn(top))];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    try {
      await unlockFolder(folder);
      open.push(...(await foldersIn(folder)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw error; // Too deep for now: it is moved up first.
    }
  }
}

/**
 * Relative names can build a tree whose paths are longer than the system accepts. So each nested folder is moved up to the top, and
 * removed once it holds no other folder. An earlier attempt may still be removing what it can reach.
 */
async function flatten(top: string | Buffer): Promise<void> {
  let moves = 0;
  for (let folders = await foldersIn(top); folders.length > 0; folders = await foldersIn(top)) {
    for (const folder of folders) {
      await unlockFolder(folder);
      for (const nested of await foldersIn(folder)) {
        moves += 1;
        if (moves > MOVES_MAX) throw new Error(`"${String(top)}" holds more than ${MOVES_MAX} nested folders; the rest is removed later`);
        await unlockFolder(nested); // Moving it changes its own entry `..`.
        await unlessMissing(() => rename(nested, pathIn(top, Buffer.from(randomUUID()))), undefined);
      }
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** None for anything but a folder. */
async function foldersIn(folder: string | Buffer): Promise<readonly Buffer[]> {
  if (!(await isFolder(folder))) return [];
  const entries = await unlessMissing(() => readdir(folder, { withFileTypes: true, encoding: 'buffer' }), []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => pathIn(folder, name));
}
