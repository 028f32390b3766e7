/** What is left of an ended assignment whose files say more than its report: its result file, or the streams of its run. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AssignmentPaths } from './assignment-paths.ts';
import { isFolder, isRegular } from './folder-look.ts';

/** Removes all else: what an agent leaves beside its result may be a whole repository. */
export async function keepOnly(paths: AssignmentPaths, streams: boolean): Promise<void> {
  await rm(paths.published, { force: true });
  await clear(paths.resultsDir, (path) => path === paths.own('json'));
  await clear(paths.runDir, (path) => streams && path !== paths.taskFile && path !== paths.unpublished);
}

/** Regular files that `stays` wants stay; a folder without any goes. */
async function clear(folder: string, stays: (path: string) => boolean): Promise<void> {
  let kept = 0;
  for (const name of (await isFolder(folder)) ? await readdir(folder) : []) {
    const path = join(folder, name);
    if (stays(path) && (await isRegular(path))) kept += 1;
    else await rm(path, { recursive: true, force: true });
  }
  if (kept === 0) await rm(folder, { recursive: true, force: true });
}

/** Bytes of the files in both folders. An agent may have locked one: that counts as nothing. */
export async function keptBytes(paths: AssignmentPaths): Promise<number> {
  const sizes = [paths.resultsDir, paths.runDir].map(async (folder) => {
    let bytes = 0;
    for (const name of await readdir(folder)) bytes += (await lstat(join(folder, name))).size;
    return bytes;
  });
  const found = await Promise.allSettled(sizes);
  return found.reduce((sum, one) => sum + (one.status === 'fulfilled' ? one.value : 0), 0);
}
