/** Removes a folder that an agent wrote, however deep it is. */
import { randomUUID } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { unlessMissing } from '../kit/platform-files.ts';

/** How many nested folders one call moves; a later call continues. */
const MOVES_MAX = 100_000;

/** Does nothing if there is nothing at `path`. Removes a link, not what it points to. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw error;
    await flatten(path);
    await rm(path, { recursive: true, force: true });
  }
}

/** Removes all of them, even if one fails; rejects with the first failure. */
export async function removeTrees(paths: readonly string[]): Promise<void> {
  for (const removed of await Promise.allSettled(paths.map(removeTree))) if (removed.status === 'rejected') throw removed.reason;
}

/**
 * Relative names can build a tree whose paths are longer than the system accepts. So each nested folder is moved up to the top, and
 * removed once it holds no other folder. An earlier attempt may still be removing what it can reach.
 */
async function flatten(top: string): Promise<void> {
  let moves = 0;
  for (let folders = await foldersIn(top); folders.length > 0; folders = await foldersIn(top)) {
    for (const folder of folders) {
      for (const nested of await foldersIn(folder)) {
        moves += 1;
        if (moves > MOVES_MAX) throw new Error(`"${top}" holds more than ${MOVES_MAX} nested folders; the rest is removed later`);
        await unlessMissing(() => rename(nested, join(top, randomUUID())), undefined);
      }
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** Their paths, as bytes: a name need not be UTF-8. */
async function foldersIn(folder: string | Buffer): Promise<readonly Buffer[]> {
  const entries = await unlessMissing(() => readdir(folder, { withFileTypes: true, encoding: 'buffer' }), []);
  const prefix = Buffer.concat([Buffer.from(folder), Buffer.from(sep)]);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => Buffer.concat([prefix, name]));
}
