/** Keeps what an ended assignment's report could not hold: its result file or the streams of its run. */
import { constants } from 'node:fs';
import { lstat, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RUN_STREAM_FILES } from '../../core/ports/result-inbox.ts';
import { RESULT_FILE_BYTES_MAX } from '../../core/protocol/agent-files.ts';
import { storedBytes } from '../kit/platform-files.ts';
import type { AssignmentPaths } from './assignment-paths.ts';
import { isFolder, isRegularFile } from './folder-state.ts';
import { pathIn, removeTree, unlockFolder } from './remove-tree.ts';

// Windows has neither flag.
const WRITE_WITHOUT_FOLLOWING = constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Removes everything else; an agent may leave a whole repository next to its result or the streams of its run. */
export async function keepResultOnly(paths: AssignmentPaths, streams: boolean): Promise<void> {
  await rm(paths.published, { force: true });
  for (const folder of [paths.resultsDir, paths.runDir]) await unlockFolder(folder);
  if (await isRegularFile(paths.own('json'))) await cutToLimit(paths.own('json'));
  await clear(paths.resultsDir, (path) => path === paths.own('json'));
  const kept = streams ? Object.values(RUN_STREAM_FILES).map((name) => join(paths.runDir, name)) : [];
  await clear(paths.runDir, (path) => kept.includes(path));
}

/**
 * Cuts a file to the size of the largest result that is read, so that one huge file cannot use up the room for kept ones. Removes it if it
 * has another name, under which it stays whole, or if it cannot be cut.
 */
export async function cutToLimit(path: string): Promise<void> {
  const { size, nlink } = await lstat(path);
  if (size <= RESULT_FILE_BYTES_MAX) return;
  if (nlink > 1 || !(await isCut(path))) await rm(path, { force: true });
}

async function isCut(path: string): Promise<boolean> {
  try {
    const file = await open(path, WRITE_WITHOUT_FOLLOWING);
    await file.truncate(RESULT_FILE_BYTES_MAX).finally(() => file.close());
    return true;
  } catch {
    return false; // For example, the agent made it read-only.
  }
}

/** Keeps the regular files that `stays` selects; removes a folder without any. */
async function clear(folder: string, stays: (path: string) => boolean): Promise<void> {
  let kept = 0;
  for (const name of (await isFolder(folder)) ? await readdir(folder, { encoding: 'buffer' }) : []) {
    const path = pathIn(folder, name);
    if (stays(join(folder, String(name))) && (await isRegularFile(path))) kept += 1;
    else await removeTree(path);
  }
  if (kept === 0) await removeTree(folder);
}

/** Size of both folders in bytes. A folder that cannot be read counts as 0. */
export async function keptBytes(paths: AssignmentPaths): Promise<number> {
  const sizes = [paths.resultsDir, paths.runDir].map(async (folder) => {
    let bytes = 0;
    for (const name of await readdir(folder, { encoding: 'buffer' })) bytes += storedBytes(await lstat(pathIn(folder, name)));
    return bytes;
  });
  const found = await Promise.allSettled(sizes);
  return found.reduce((sum, one) => sum + (one.status === 'fulfilled' ? one.value : 0), 0);
}
