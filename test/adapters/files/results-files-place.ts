/** A data directory on disk for the tests of the results inbox, and the agent that writes into it. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as realTime } from 'node:timers/promises';
import { promisify } from 'node:util';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { type FilesResultInboxOptions, filesResultInbox } from '../../../adapters/results-files/files-result-inbox.ts';
import { memoryLog, type MemoryLog } from '../../product/twins/log-memory/memory-log.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import type { InboxPlace } from '../../product/contracts/files/inbox-place.ts';

export const STILL_MS = 2_000;

export interface FilesPlace extends InboxPlace {
  readonly dataDir: string;
  readonly log: MemoryLog;
}

export async function filesPlace(t: Teardown, over: Partial<FilesResultInboxOptions> = {}): Promise<FilesPlace> {
  const dataDir = await mkdtemp(join(tmpdir(), 'agentcom-results-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const clock = virtualClock({ wallMs: Date.now() });
  const log = memoryLog();
  const at = (path: string): string => join(dataDir, path);

  return {
    dataDir,
    log,
    clock,
    stillMs: STILL_MS,
    inbox() {
      const inbox = filesResultInbox({ dataDir, clock, log, resultStillMs: STILL_MS, stabilityMs: 50, ...over });
      t.teardown(() => inbox.close());
      return inbox;
    },

    async write(path, text, mtimeMs = clock.nowMs()) {
      await mkdir(dirname(at(path)), { recursive: true });
      if (!/^results\/[^/]+$/.test(path)) return await writeFile(at(path), text);
      // It appears with its modification time.
      await writeFile(at('aside'), text);
      await utimes(at('aside'), mtimeMs / 1000, mtimeMs / 1000);
      await rename(at('aside'), at(path));
    },

    move: (from, to) =>
      rename(at(from), at(to)).then(
        () => true,
        () => false,
      ),

    read: (path) =>
      readFile(at(path), 'utf8').catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }),

    async paths() {
      const entries = await readdir(dataDir, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => relative(dataDir, join(entry.parentPath, entry.name)))
        .sort();
    },

    async pass(work) {
      let isDone = false;
      const done = work.finally(() => (isDone = true));
      do {
        await realTime(1); // for the disk, which does not use our clock
        clock.advance(100);
      } while (!isDone);
      await done;
    },

    async breakPrepare() {
      await rm(at('runs'), { recursive: true });
      await writeFile(at('runs'), 'in the way');
    },

    odd: {
      link: (path, target) => symlink(at(target), at(path)),
      fifo: async (path) => void (await promisify(execFile)('mkfifo', [at(path)])),
      folder: async (path) => void (await mkdir(at(path), { recursive: true })),
    },
  };
}
