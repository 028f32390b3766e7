/** What the sidecar writes for an agent: its folders, the task file, and the stop note. */
import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { assignmentText, readAssignmentText } from '../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../core/domain/assignment/slot.ts';
import type { Log } from '../../core/ports/log.ts';
import type { FoundFolders, PreparedRun } from '../../core/ports/result-inbox.ts';
import { replaceFile, retriedWhileHeld, syncFolder } from '../kit/platform-files.ts';
import { keepResultOnly } from './kept-files.ts';
import { pathsOf, type AssignmentPaths, type InboxFolders } from './assignment-paths.ts';
import { refuseEarlierFlatNames } from './flat-names.ts';
import { isFolder, exists } from './folder-state.ts';
import { removeTrees } from './remove-tree.ts';

export interface TaskFiles {
  /** Creates the parent folders. */
  makeFolders(): Promise<void>;
  prepare(assignment: AssignmentId, task: Readonly<Record<string, unknown>>, publish: boolean): Promise<PreparedRun>;
  pathsOf(assignment: AssignmentId): PreparedRun;
  withdraw(assignment: AssignmentId): Promise<void>;
  withdrawAllExcept(assignments: readonly AssignmentId[]): Promise<void>;
  keepResult(assignment: AssignmentId, streams: boolean): Promise<void>;
  listFolders(): Promise<readonly FoundFolders[]>;
  remove(assignment: AssignmentId): Promise<void>;
}

const OWNER_ONLY_FOLDER = 0o700;
const OWNER_ONLY_FILE = 0o600;
const PUBLISHED_ENDING = '.json';

/** Every disk operation rejects with `AC_JOURNAL_WRITE`. */
export function taskFiles(folders: InboxFolders, log: Log): TaskFiles {
  async function prepare(
    paths: AssignmentPaths,
    assignment: AssignmentId,
    task: Readonly<Record<string, unknown>>,
    publish: boolean,
  ): Promise<PreparedRun> {
    // Must precede creating the folder, whose existence marks it as done.
    if (lstatSync(paths.runDir, { throwIfNoEntry: false }) === undefined) await refuseEarlierFlatNames(paths, assignment, folders.refused);
    for (const folder of [paths.resultsDir, paths.runDir]) {
      const found = lstatSync(folder, { throwIfNoEntry: false });
      if (found !== undefined && !found.isDirectory()) throw new Error(`"${folder}" is not a folder; remove it`);
      mkdirSync(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
    }
    // Not synced: the journal has the task, and after a power loss no agent is left to read this file.
    await writeWhole(paths.taskFile, task);
    if (publish) await publishTask(paths, { ...task, generation: assignment.generation, results_dir: paths.resultsDir });
    return preparedRun(assignment);
  }

  function preparedRun(assignment: AssignmentId): PreparedRun {
    const { resultsDir, taskFile, runDir } = pathsOf(folders, assignment);
    return { resultsDir, taskFile, runDir };
  }

  /**
   * An agent takes the task by renaming the published file into its results folder. So a task is published only while
   * that folder is empty and the file does not exist; publishing it again would give it to a second agent. The file is
   * checked first, because it can only move from here to the folder.
   */
  async function publishTask(paths: AssignmentPaths, task: Readonly<Record<string, unknown>>): Promise<void> {
    if (await exists(paths.published)) return;
    if ((await readdir(paths.resultsDir)).length > 0) return;
    const bytes = bytesOf(task);
    await retriedWhileHeld(() => writeFileAtomic(paths.unpublished, bytes, { mode: OWNER_ONLY_FILE, fsync: true }));
    requireWhole(paths.unpublished, paths.unpublished, bytes);
    await replaceFile(paths.unpublished, paths.published);
    await syncFolder(folders.tasks);
  }

  async function withdraw(assignment: AssignmentId): Promise<void> {
    const paths = pathsOf(folders, assignment);
    await rm(paths.published, { force: true });
    try {
      if (!(await isFolder(paths.resultsDir))) return;
      // `wx` neither follows a link nor overwrites what the agent put there.
      await unless(['EEXIST', 'ENOENT'], writeFile(paths.stop, 'This assignment is gone.\n', { flag: 'wx', mode: OWNER_ONLY_FILE }));
    } catch (error) {
      // Advisory, in a folder that the agent controls; the kill is what stops the agent.
      log.warn('Cannot write the stop file for the agent.', { file: paths.stop, error: messageOf(error) });
    }
  }

  async function withdrawAllExcept(assignments: readonly AssignmentId[]): Promise<void> {
    const kept = new Set(assignments.map(assignmentText));
    for (const fileName of await readdir(folders.tasks)) {
      if (!fileName.endsWith(PUBLISHED_ENDING)) continue;
      const text = fileName.slice(0, -PUBLISHED_ENDING.length);
      if (readAssignmentText(text) !== null && !kept.has(text)) await rm(join(folders.tasks, fileName), { force: true });
    }
    await syncFolder(folders.tasks);
  }

  return {
    makeFolders: () =>
      withContext('create the folders for results and tasks', async () => {
        for (const folder of [folders.results, folders.runs, folders.tasks]) await makeFolder(folder);
      }),
    prepare: (assignment, task, publish) =>
      withContext(`prepare ${assignmentText(assignment)}`, () => prepare(pathsOf(folders, assignment), assignment, task, publish)),
    pathsOf: preparedRun,
    withdraw: (assignment) => withContext(`withdraw ${assignmentText(assignment)}`, () => withdraw(assignment)),
    withdrawAllExcept: (assignments) => withContext('withdraw published tasks', () => withdrawAllExcept(assignments)),
    keepResult: (assignment, streams) =>
      withContext(`keep only the result of ${assignmentText(assignment)}`, () => keepResultOnly(pathsOf(folders, assignment), streams)),
    listFolders: () => withContext('list the folders of assignments', () => foundFolders(folders)),
    remove: (assignment) =>
      withContext(`remove the folders of ${assignmentText(assignment)}`, async () => {
        const { published, resultsDir, runDir } = pathsOf(folders, assignment);
        await removeTrees([published, resultsDir, runDir]);
      }),
  };
}

async function foundFolders({ results, runs }: InboxFolders): Promise<readonly FoundFolders[]> {
  const found = new Map<string, FoundFolders>();
  for (const parent of [results, runs]) {
    for (const entry of await readdir(parent, { withFileTypes: true })) {
      const assignment = entry.isDirectory() ? readAssignmentText(entry.name) : null;
      const changedMs = assignment === null ? undefined : lstatSync(join(parent, entry.name), { throwIfNoEntry: false })?.mtimeMs;
      if (assignment === null || changedMs === undefined) continue;
      found.set(entry.name, { assignment, changedAtMs: Math.max(changedMs, found.get(entry.name)?.changedAtMs ?? 0) });
    }
  }
  return [...found.values()];
}

async function withContext<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (AgentcomError.is(error)) throw error;
    throw new AgentcomError('AC_JOURNAL_WRITE', `Cannot ${what}: ${messageOf(error)}. Check free disk space and permissions.`, {
      cause: error,
    });
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
}

/**
 * Atomically replaces `path`; not synced. The agent may have put a link under either name; `wx` follows none.
 * Synchronous calls: each takes microseconds, while the thread pool would add 0.1 ms per call before an agent starts.
 */
async function writeWhole(path: string, value: unknown): Promise<void> {
  const bytes = bytesOf(value);
  const next = `${path}.next`;
  rmSync(next, { force: true });
  writeFileSync(next, bytes, { flag: 'wx', mode: OWNER_ONLY_FILE });
  requireWhole(next, path, bytes);
  await replaceFile(next, path);
}

const bytesOf = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value)}\n`);

/** On a nearly full disk a file may be truncated without an error, so it is read back. `path` is named in the error. */
function requireWhole(written: string, path: string, bytes: Buffer): void {
  if (bytes.equals(readFileSync(written))) return;
  rmSync(written, { force: true });
  throw new Error(`"${path}" was truncated when written`);
}

async function unless(codes: readonly string[], work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
