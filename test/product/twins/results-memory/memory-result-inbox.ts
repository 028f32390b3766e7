/**
 * The files between sidecar and agent, in memory, for tests and the simulation: a map of texts by the paths that the
 * real inbox uses below its data directory. A test plays the agent with `write` and `move`.
 */
import { utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { assignmentText, readAssignmentText } from '../../../../core/ports/assignment-name.ts';
import type { Clock } from '../../../../core/ports/clock.ts';
import type { AssignmentId } from '../../../../core/domain/assignment/slot.ts';
import { RUN_STREAM_FILES, type PreparedRun, type ResultInbox, type ResultFileEvent } from '../../../../core/ports/result-inbox.ts';
import { memoryWatch, type MemoryWatch } from './memory-watch.ts';
import { memoryFiles, refuseFlatFile, type MemoryFiles } from './memory-files.ts';

export interface MemoryResultInboxOptions {
  readonly clock: Clock;
  /** How long a result that does not parse must remain unchanged before it counts as invalid. Default 2,000. */
  readonly resultStillMs?: number | undefined;
}

export interface MemoryResultInbox extends ResultInbox {
  /** Writes a complete file, as an agent does; the path is relative to the data directory. */
  write(path: string, text: string): void;
  /** Renames a file, like an agent that takes a published task; false if it does not exist. */
  move(from: string, to: string): boolean;
  /** The text of a file, or null. */
  read(path: string): string | null;
  /** Puts something that is not a file under a name, such as a link, a FIFO or a folder. */
  writeOdd(path: string): void;
  /** The path of every file, in order. */
  paths(): readonly string[];
  /** Reports an event made by the test, if its assignment is expected. */
  emit(event: ResultFileEvent): void;
  /** The next `prepare` fails. */
  failPrepare(): void;
  /** Turns on or off: all folders refuse their sidecar, including that of the next process. Agents can still use them. */
  refuse(isRefused: boolean): void;
  /** The inbox of the next process over the same files. */
  reopen(): MemoryResultInbox;
}

const RESULT_STILL_MS = 2_000;
/** Prefix for paths that the port requires to be absolute. */
const ROOT = '/memory';

/** A `ResultInbox` over its own files. */
export const memoryResultInbox = (options: MemoryResultInboxOptions): MemoryResultInbox =>
  inboxOver(memoryFiles(), { isRefused: false }, options);

function inboxOver(files: MemoryFiles, folders: { isRefused: boolean }, options: MemoryResultInboxOptions): MemoryResultInbox {
  const { clock, resultStillMs = RESULT_STILL_MS } = options;
  const watched = new Map<string, MemoryWatch>();
  let emit: ((event: ResultFileEvent) => void) | null = null;
  let isClosed = false;
  let hasFault = false;

  const pathsOf = (assignment: AssignmentId) => {
    const text = assignmentText(assignment);
    const [resultsDir, runDir] = [`results/${text}`, `runs/${text}`];
    return {
      resultsDir,
      runDir,
      taskFile: `${runDir}/task.json`,
      published: `tasks/${text}.json`,
      stop: `${resultsDir}/${assignment.taskId}.stop`,
    };
  };

  function preparedRun(assignment: AssignmentId): PreparedRun {
    const { resultsDir, runDir, taskFile } = pathsOf(assignment);
    return { resultsDir: `${ROOT}/${resultsDir}`, taskFile: `${ROOT}/${taskFile}`, runDir: `${ROOT}/${runDir}` };
  }

  function release(assignment: AssignmentId): void {
    watched.get(assignmentText(assignment))?.end();
    watched.delete(assignmentText(assignment));
  }

  const refused = (what: string): Promise<never> =>
    Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', `EACCES: permission denied, ${what}: the folders in memory were told to refuse.`));

  const stopNoticing = files.onChange(() => {
    for (const watch of watched.values()) watch.scheduleScan();
  });

  return {
    open(onEvent) {
      if (!isClosed) emit = onEvent;
      return Promise.resolve();
    },

    prepare(assignment, task, publish) {
      if (folders.isRefused) return refused('mkdir');
      if (hasFault) {
        hasFault = false;
        return Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', 'This prepare in memory was told to fail.'));
      }
      const { resultsDir, taskFile, published } = pathsOf(assignment);
      if (files.isOdd(resultsDir)) {
        return Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', `${resultsDir} is not a folder. Remove it.`));
      }
      if (files.read(taskFile) === null) {
        const why = `It existed before the wake of ${assignmentText(assignment)}.`;
        for (const file of ['started', 'json', 'progress']) refuseFlatFile(files, assignment.taskId, file, why);
      }
      files.write(taskFile, JSON.stringify(task));
      const isTaken = files.read(published) !== null || files.under(resultsDir).length > 0;
      if (publish && !isTaken) {
        const { resultsDir } = preparedRun(assignment);
        files.write(published, JSON.stringify({ ...task, generation: assignment.generation, results_dir: resultsDir }));
      }
      return Promise.resolve(preparedRun(assignment));
    },

    pathsOf: preparedRun,

    watch(assignment, flat) {
      if (isClosed) return;
      if (emit === null)
        throw new AgentcomError('AC_INTERNAL', `Cannot watch ${assignmentText(assignment)}: the result inbox is not open.`);
      const key = assignmentText(assignment);
      if (watched.get(key)?.flat === flat) return;
      release(assignment);
      const made = memoryWatch({
        assignment,
        flat,
        files,
        clock,
        resultStillMs,
        isRefused: () => folders.isRefused,
        isAlone: () => [...watched.values()].filter((other) => other.assignment.taskId === assignment.taskId).length === 1,
        onEvent: (event) => emit?.(event),
      });
      watched.set(key, made);
      made.scheduleScan();
    },

    scan: (assignment) => (folders.isRefused ? refused('scandir') : (watched.get(assignmentText(assignment))?.scan() ?? Promise.resolve())),

    unwatch: release,

    withdraw(assignment) {
      if (folders.isRefused) return refused('unlink');
      const { published, resultsDir, stop } = pathsOf(assignment);
      files.remove(published);
      const { runDir } = pathsOf(assignment);
      if (files.under(resultsDir).length + files.under(runDir).length > 0) files.write(stop, 'This assignment is gone.\n');
      return Promise.resolve();
    },

    withdrawAllExcept(assignments) {
      const kept = new Set(assignments.map(assignmentText));
      for (const path of files.under('tasks')) {
        const text = /^tasks\/(.+)\.json$/.exec(path)?.[1] ?? '';
        if (readAssignmentText(text) !== null && !kept.has(text)) files.remove(path);
      }
      return Promise.resolve();
    },

    keepResult(assignment, streams) {
      release(assignment);
      if (folders.isRefused) return refused('scandir');
      const { published, resultsDir, runDir } = pathsOf(assignment);
      const kept = streams ? Object.values(RUN_STREAM_FILES).map((name) => `${runDir}/${name}`) : [];
      const stays = new Set([`${resultsDir}/${assignment.taskId}.json`, ...kept]);
      const found = [published, ...files.under(resultsDir), ...files.under(runDir)];
      for (const path of found) if (!stays.has(path)) files.remove(path);
      return Promise.resolve();
    },

    keptBytes(assignment) {
      const { resultsDir, runDir } = pathsOf(assignment);
      const paths = folders.isRefused ? [] : [...files.under(resultsDir), ...files.under(runDir)];
      return Promise.resolve(paths.reduce((sum, path) => sum + utf8Bytes(files.read(path)?.text ?? ''), 0));
    },

    listFolders() {
      const inFolders = [...files.under('results'), ...files.under('runs')]
        .map((path) => path.split('/'))
        .filter(({ length }) => length > 2);
      const texts = inFolders.map(([, text = '']) => text);
      const assignments = [...new Set(texts)].map(readAssignmentText).filter((assignment) => assignment !== null);
      return Promise.resolve(assignments.map((assignment) => ({ assignment, changedAtMs: null })));
    },

    remove(assignment) {
      release(assignment);
      if (folders.isRefused) return refused('rm');
      const { published, resultsDir, runDir } = pathsOf(assignment);
      for (const path of [published, ...files.under(resultsDir), ...files.under(runDir)]) files.remove(path);
      return Promise.resolve();
    },

    close() {
      isClosed = true;
      emit = null;
      stopNoticing();
      for (const watch of watched.values()) watch.end();
      watched.clear();
      return Promise.resolve();
    },

    write: (path, text) => files.write(path, text),
    move: (from, to) => files.move(from, to),
    read: (path) => files.read(path)?.text ?? null,
    paths: () => files.under('').filter((path) => files.read(path) !== null),
    writeOdd: (path) => files.writeOdd(path),
    emit(event) {
      if (watched.has(assignmentText(event.assignment))) emit?.(event);
    },
    failPrepare() {
      hasFault = true;
    },
    refuse(isRefused) {
      folders.isRefused = isRefused;
      for (const watch of watched.values()) watch.scheduleScan();
    },
    reopen: () => inboxOver(files, folders, options),
  };
}
