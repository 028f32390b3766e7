/**
 * The archive: a folder of NDJSON files, one for each day (UTC), with a line for each task that was removed from the store. Its files
 * are append-only. A line that a crash cut short stays, and the next one starts on a new line.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { WholeTask } from '../../core/domain/task/removal.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { TaskArchive } from '../../core/ports/storage.ts';
import { makeFolders, syncFolder } from '../kit/platform-files.ts';
import { archivedTaskJson } from '../../core/protocol/task-json.ts';

/** Once a file has this many bytes, another one is started for the same day. */
const FILE_BYTES_MAX = 268_435_456;
const NEWLINE = 0x0a;

export interface ArchiveFilesOptions {
  readonly dir: string;
  /** Default 256 MiB. */
  readonly fileBytesMax?: number | undefined;
}

export function archiveFiles({ dir, fileBytesMax = FILE_BYTES_MAX }: ArchiveFilesOptions): TaskArchive {
  /** The day, and the number of its file that is written to. */
  let [day, part] = ['', 1];

  /** The file to append to, and its size. */
  const openLast = async (today: string): Promise<readonly [FileHandle, number]> => {
    if (today !== day) [day, part] = [today, 1];
    for (; ; part += 1) {
      const handle = await open(join(dir, `tasks-${day}${part === 1 ? '' : `-${part}`}.ndjson`), 'a+', 0o600);
      const { size } = await handle.stat();
      if (size < fileBytesMax) return [handle, size];
      await handle.close();
    }
  };

  return {
    async append(tasks, nowMs) {
      try {
        await makeFolders(dir, 0o700);
        const [handle, size] = await openLast(new Date(nowMs).toISOString().slice(0, 10));
        try {
          await handle.appendFile(`${(await endsInLine(handle, size)) ? '' : '\n'}${linesOf(tasks, nowMs)}`);
          await handle.datasync();
        } finally {
          await handle.close();
        }
        if (size === 0) await syncFolder(dir); // So that a new file is still there after a crash.
      } catch (cause) {
        throw new AgentcomError('AC_ARCHIVE', `Cannot write the archive of removed tasks in ${dir}: ${messageOf(cause)}.`, { cause });
      }
    },
  };
}

const linesOf = (tasks: readonly WholeTask[], nowMs: number): string => tasks.map((task) => `${archivedTaskJson(task, nowMs)}\n`).join('');

async function endsInLine(handle: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return true;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] === NEWLINE;
}
