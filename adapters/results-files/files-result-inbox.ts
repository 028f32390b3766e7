/**
 * The files shared by sidecar and agent, in the sidecar's data directory:
 *
 *   results/<task_id>.g<generation>/   the agent's files: .started, .json, .progress; .stop from the sidecar
 *   results/                           the same files, flat, for agents that know only one folder
 *   runs/<task_id>.g<generation>/      task.json, and the streams of the run
 *   tasks/                             published tasks, for agents that poll
 *   refused/                           flat files that belonged to no assignment
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { TaskId } from '../../core/domain/ids.ts';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { FlatNames, ResultInbox, ResultFileEvent } from '../../core/ports/result-inbox.ts';
import { foldersIn, pathsOf, readAgentFileName } from './assignment-paths.ts';
import { assignmentWatch, type AssignmentWatch } from './assignment-watch.ts';
import { refuseFlatFile } from './flat-names.ts';
import { watchFolder, type FolderWatch, type FolderWatchOptions } from './folder-watch.ts';
import { keptBytes } from './kept-files.ts';
import { taskFiles } from './task-files.ts';

export interface FilesResultInboxOptions {
  /** The sidecar's data directory, absolute. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a result that does not parse must be unchanged to count as invalid, milliseconds. */
  readonly resultStillMs: number;
  /** How long a file must keep its size before the watcher reports it, milliseconds. Default 500. */
  readonly stabilityMs?: number | undefined;
  /** Poll interval, milliseconds, because watchers miss events. Default 5,000. */
  readonly pollMs?: number | undefined;
  /** Replaces the folder watcher; for tests in which no event arrives. */
  readonly watch?: ((options: FolderWatchOptions) => FolderWatch) | undefined;
}

const STABILITY_MS = 500;
const POLL_MS = 5_000;
/** A flat file of an unwatched task is moved away after this time: long enough for a sidecar that has just started. */
const UNCLAIMED_KEPT_MS = 60_000;

interface Watched {
  readonly flat: FlatNames;
  readonly files: AssignmentWatch;
  readonly folderWatch: FolderWatch;
}

/** A `ResultInbox` over `dataDir`. Touches nothing before `open`, which rejects with `AC_JOURNAL_WRITE`. */
export function filesResultInbox(options: FilesResultInboxOptions): ResultInbox {
  const { dataDir, clock, log, resultStillMs, stabilityMs = STABILITY_MS, pollMs = POLL_MS, watch = watchFolder } = options;
  const folders = foldersIn(dataDir);
  const tasks = taskFiles(folders, log);
  const watched = new Map<string, Watched>();
  /** Watches that are still closing. */
  const ending = new Set<Promise<unknown>>();
  /** When unclaimed flat files were first seen, by name. */
  let unclaimed = new Map<string, number>();
  let emit: ((event: ResultFileEvent) => void) | null = null;
  let flatWatch: FolderWatch | null = null;
  let pollTimer: Timer | null = null;
  let isClosed = false;

  const watching = (folder: string, onChange: () => void): FolderWatch =>
    watch({
      folder,
      stabilityMs,
      onChange,
      onError: (error) => log.warn('Cannot watch a folder; polling it instead.', { folder, error: messageOf(error) }),
    });

  function untilEnded(work: Promise<unknown>): Promise<unknown> {
    const ended = work.finally(() => ending.delete(ended));
    ending.add(ended);
    return ended;
  }

  function scheduleAllScans(): void {
    for (const { files } of watched.values()) files.scheduleScan();
  }

  function poll(): void {
    pollTimer = clock.after(pollMs, poll);
    scheduleAllScans();
    refuseUnclaimed().catch((error: unknown) => log.warn('Cannot list the results folder.', { error: messageOf(error) }));
  }

  const watchedGenerations = (taskId: TaskId): number =>
    [...watched.values()].filter(({ files }) => files.assignment.taskId === taskId).length;

  async function refuseUnclaimed(): Promise<void> {
    const seen = new Map<string, number>();
    for (const fileName of await readdir(folders.results)) {
      const agentFile = readAgentFileName(fileName);
      if (isClosed || agentFile === null || watchedGenerations(agentFile.taskId) > 0) continue;
      const sinceMs = unclaimed.get(fileName) ?? clock.monotonicMs();
      if (clock.monotonicMs() - sinceMs < UNCLAIMED_KEPT_MS) seen.set(fileName, sinceMs);
      else await refuseFlatFile(join(folders.results, fileName), folders.refused, 'No assignment of this task is held here.');
    }
    unclaimed = seen;
  }

  /** Stops reporting its events at once; resolves when its watch is closed. */
  function release(key: string): Promise<unknown> {
    const found = watched.get(key);
    if (found === undefined) return Promise.resolve();
    watched.delete(key);
    return untilEnded(Promise.all([found.files.end(), found.folderWatch.close()]));
  }

  return {
    async open(onEvent) {
      await tasks.makeFolders();
      if (isClosed || emit !== null) return;
      emit = onEvent;
      flatWatch = watching(folders.results, scheduleAllScans);
      pollTimer = clock.after(pollMs, poll);
    },

    prepare: (assignment, task, publish) => tasks.prepare(assignment, task, publish),
    pathsOf: (assignment) => tasks.pathsOf(assignment),

    watch(assignment, flat) {
      if (isClosed) return;
      if (emit === null)
        throw new AgentcomError('AC_INTERNAL', `Cannot watch ${assignmentText(assignment)}: the result inbox is not open.`);
      const key = assignmentText(assignment);
      const before = watched.get(key);
      if (before?.flat === flat) return;
      void release(key);
      const paths = pathsOf(folders, assignment);
      const made = assignmentWatch({
        assignment,
        paths,
        flat,
        refusedDir: folders.refused,
        stillMs: resultStillMs,
        clock,
        log,
        acceptsFlat: () => watchedGenerations(assignment.taskId) === 1,
        onEvent: (event) => emit?.(event),
      });
      watched.set(key, { flat, files: made, folderWatch: watching(paths.resultsDir, made.scheduleScan) });
      made.scheduleScan();
    },

    async scan(assignment) {
      const found = watched.get(assignmentText(assignment));
      try {
        await found?.files.scan();
      } catch (error) {
        if (AgentcomError.is(error)) throw error;
        throw new AgentcomError('AC_DATA_DIR', `Cannot read the files of ${assignmentText(assignment)}: ${messageOf(error)}.`, {
          cause: error,
        });
      }
    },

    unwatch: (assignment) => void release(assignmentText(assignment)),

    withdraw: (assignment) => tasks.withdraw(assignment),
    withdrawAllExcept: (assignments) => tasks.withdrawAllExcept(assignments),

    listFolders: () => tasks.listFolders(),

    async remove(assignment) {
      await release(assignmentText(assignment));
      await tasks.remove(assignment);
    },

    async keepResult(assignment, streams) {
      await release(assignmentText(assignment));
      await tasks.keepResult(assignment, streams);
    },

    keptBytes: (assignment) => keptBytes(pathsOf(folders, assignment)),

    async close() {
      isClosed = true;
      emit = null;
      pollTimer?.cancel();
      for (const key of [...watched.keys()]) void release(key);
      if (flatWatch !== null) void untilEnded(flatWatch.close());
      flatWatch = null;
      await Promise.all(ending);
    },
  };
}
