/** Keeps what an ended assignment's report could not hold: its result file or the streams of its run. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AssignmentPaths } from './assignment-paths.ts';
import { isFolder, isRegularFile } from './folder-state.ts';

/** Removes everything else; an agent may leave a whole repository beside its result. */
export async function keepResultOnly(paths: AssignmentPaths, streams: boolean): Promise<void> {
  await rm(paths.published, { force: true });
  await clear(paths.resultsDir, (path) => path === paths.own('json'));
  await clear(paths.runDir, (path) => streams && path !== paths.taskFile && path !== paths.unpublished);
}

/** Keeps the regular files that `stays` selects; removes a folder without any. */
async function clear(folder: string, stays: (path: string) => boolean): Promise<void> {
  let kept = 0;
  for (const name of (await isFolder(folder)) ? await readdir(folder) : []) {
    const path = join(folder, name);
    if (stays(path) && (await isRegularFile(path))) kept += 1;
    else await rm(path, { recursive: true, force: true });
  }
  if (kept === 0) await rm(folder, { recursive: true, force: true });
}

/** Size of both folders in bytes. A folder that cannot be read counts as 0. */
export async function keptBytes(paths: AssignmentPaths): Promise<number> {
  const sizes = [paths.resultsDir, paths.runDir].map(async (folder) => {
    let bytes = 0;
    for (const name of await readdir(folder)) bytes += (await lstat(join(folder, name))).size;
    return bytes;
  });
  const found = await Promise.allSettled(sizes);
  return found.reduce((sum, one) => sum + (one.status === 'fulfilled' ? one.value : 0), 0);
}
