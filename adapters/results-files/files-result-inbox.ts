/**
 * The files between sidecar and agent, in the sidecar's data directory:
 *
 *   results/<task_id>.g<generation>/   the agent's own: .started, .json, .progress; .stop from us
 *   results/                           the same names, flat, of agents that know only one folder
 *   runs/<task_id>.g<generation>/      task.json, and the streams of the run
 *   tasks/                             published tasks, for agents that poll
 *   refused/                           flat files that were nobody's
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { TaskId } from '../../core/domain/ids.ts';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { FlatNames, ResultInbox, ResultSighting } from '../../core/ports/result-inbox.ts';
import { foldersIn, pathsOf, readAgentFileName } from './assignment-paths.ts';
import { expectation, type Expectation } from './expectation.ts';
import { refuseFlatFile } from './flat-names.ts';
import { watchFolder, type FolderWatch, type FolderWatchOptions } from './folder-watch.ts';
import { keptBytes } from './kept-files.ts';
import { taskFiles } from './task-files.ts';

export interface FilesResultInboxOptions {
  /** The sidecar's data directory, absolute. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a result that does not parse must be still before it counts as invalid. */
  readonly resultStillMs: number;
  /** How long a file must keep its size before the watcher tells of it. Default 500. */
  readonly stabilityMs?: number | undefined;
  /** Between two listings of the folders: watchers miss events. Default 5,000. */
  readonly pollMs?: number | undefined;
  /** How a folder is watched; for tests of what happens when nothing is noticed. */
  readonly watch?: ((options: FolderWatchOptions) => FolderWatch) | undefined;
}

const STABILITY_MS = 500;
const POLL_MS = 5_000;
/** A flat file of a task that nobody expects is moved away after this time: long enough for a sidecar that just started. */
const UNCLAIMED_MS = 60_000;

interface Expected {
  readonly flat: FlatNames;
  readonly expectation: Expectation;
  readonly folderWatch: FolderWatch;
}

/** A `ResultInbox` over `dataDir`. Nothing is touched before `open`, which fails with `AC_JOURNAL_WRITE`. */
export function filesResultInbox(options: FilesResultInboxOptions): ResultInbox {
  const { dataDir, clock, log, resultStillMs, stabilityMs = STABILITY_MS, pollMs = POLL_MS, watch = watchFolder } = options;
  const folders = foldersIn(dataDir);
  const tasks = taskFiles(folders, log);
  const expected = new Map<string, Expected>();
  /** What was let go of and has not ended yet. */
  const ending = new Set<Promise<unknown>>();
  /** Since when flat files were seen that nobody claims, by name. */
  let unclaimed = new Map<string, number>();
  let tell: ((sighting: ResultSighting) => void) | null = null;
  let flatWatch: FolderWatch | null = null;
  let pollTimer: Timer | null = null;
  let isClosed = false;

  const watching = (folder: string, onChange: () => void): FolderWatch =>
    watch({
      folder,
      stabilityMs,
      onChange,
      onError: (error) => log.warn('A folder cannot be watched; it is listed instead.', { folder, error: messageOf(error) }),
    });

  function untilEnded(work: Promise<unknown>): Promise<unknown> {
    const ended = work.finally(() => ending.delete(ended));
    ending.add(ended);
    return ended;
  }

  function pokeAll(): void {
    for (const { expectation } of expected.values()) expectation.poke();
  }

  function poll(): void {
    pollTimer = clock.after(pollMs, poll);
    pokeAll();
    refuseUnclaimed().catch((error: unknown) => log.warn('The results folder cannot be listed.', { error: messageOf(error) }));
  }

  const generationsOf = (taskId: TaskId): number =>
    [...expected.values()].filter(({ expectation }) => expectation.name.taskId === taskId).length;

  async function refuseUnclaimed(): Promise<void> {
    const seen = new Map<string, number>();
    for (const fileName of await readdir(folders.results)) {
      const agentFile = readAgentFileName(fileName);
      if (isClosed || agentFile === null || generationsOf(agentFile.taskId) > 0) continue;
      const sinceMs = unclaimed.get(fileName) ?? clock.monotonicMs();
      if (clock.monotonicMs() - sinceMs < UNCLAIMED_MS) seen.set(fileName, sinceMs);
      else await refuseFlatFile(join(folders.results, fileName), folders.refused, 'No assignment of this task is held here.');
    }
    unclaimed = seen;
  }

  /** Nothing is told of it from the call on; answers when nothing of it runs any more. */
  function release(key: string): Promise<unknown> {
    const found = expected.get(key);
    if (found === undefined) return Promise.resolve();
    expected.delete(key);
    return untilEnded(Promise.all([found.expectation.end(), found.folderWatch.close()]));
  }

  return {
    async open(onSighting) {
      await tasks.makeFolders();
      if (isClosed || tell !== null) return;
      tell = onSighting;
      flatWatch = watching(folders.results, pokeAll);
      pollTimer = clock.after(pollMs, poll);
    },

    prepare: (name, task, publish) => tasks.prepare(name, task, publish),
    placeOf: (name) => tasks.placeOf(name),

    expect(name, flat) {
      if (isClosed) return;
      if (tell === null) throw new AgentcomError('AC_INTERNAL', `Cannot expect ${assignmentText(name)}: the result inbox is not open.`);
      const key = assignmentText(name);
      const before = expected.get(key);
      if (before?.flat === flat) return;
      void release(key);
      const paths = pathsOf(folders, name);
      const made = expectation({
        name,
        paths,
        flat,
        refusedDir: folders.refused,
        stillMs: resultStillMs,
        clock,
        log,
        mayTakeFlat: () => generationsOf(name.taskId) === 1,
        onSighting: (sighting) => tell?.(sighting),
      });
      expected.set(key, { flat, expectation: made, folderWatch: watching(paths.resultsDir, made.poke) });
      made.poke();
    },

    async look(name) {
      const found = expected.get(assignmentText(name));
      try {
        await found?.expectation.look();
      } catch (error) {
        if (AgentcomError.is(error)) throw error;
        throw new AgentcomError('AC_DATA_DIR', `Cannot look at the files of ${assignmentText(name)}: ${messageOf(error)}.`, {
          cause: error,
        });
      }
    },

    forget: (name) => void release(assignmentText(name)),

    withdraw: (name) => tasks.withdraw(name),
    withdrawAllBut: (names) => tasks.withdrawAllBut(names),

    folders: () => tasks.folders(),

    async remove(name) {
      await release(assignmentText(name));
      await tasks.remove(name);
    },

    async keep(name, streams) {
      await release(assignmentText(name));
      await tasks.keep(name, streams);
    },

    keptBytes: (name) => keptBytes(pathsOf(folders, name)),

    async close() {
      isClosed = true;
      tell = null;
      pollTimer?.cancel();
      for (const key of [...expected.keys()]) void release(key);
      if (flatWatch !== null) void untilEnded(flatWatch.close());
      flatWatch = null;
      await Promise.all(ending);
    },
  };
}
