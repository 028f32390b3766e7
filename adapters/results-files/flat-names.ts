/**
 * The files of agents that know only one results folder: `results/<task_id>.started`, `.json` and `.progress`. Such a
 * name says no generation, so it might be the word of an earlier run. What lies there before the first wake is one, whatever its time:
 * clocks are set, and a mount may have another one. What comes later counts unless it names another generation inside, or names none
 * while an earlier run may be alive; then it moves into the assignment's folder. Else it moves to `refused/`.
 */
import { lstatSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { Assignment } from '../../core/domain/assignment/slot.ts';
import { readResult } from '../../core/protocol/agent-files.ts';
import type { FlatNames as FlatNamesThatCount } from '../../core/ports/result-inbox.ts';
import { AGENT_FILES, type AgentFile, type AssignmentPaths } from './assignment-paths.ts';
import { isRegular, isThere } from './folder-look.ts';
import { readBytes, withRegularFile, type FileFacts } from './regular-file.ts';
import type { ResultFound, ResultReader } from './result-reader.ts';

/** How much of a `.started` is read for a generation. */
const STARTED_BYTES_MAX = 65_536;

export interface FlatNames {
  /**
   * Moves the flat `.started` and `.json` of the assignment into its folder, or out of the way. Where a result is in
   * the making it stays; the answer is when to look again, else null. `overSinceMs` is as for the reader.
   */
  take(overSinceMs: number | null): Promise<number | null>;
}

export interface FlatNamesOptions {
  readonly name: Assignment;
  readonly paths: AssignmentPaths;
  /** Which of them count. */
  readonly which: FlatNamesThatCount;
  /** Reads the result of this assignment, wherever it lies. */
  readonly reader: ResultReader;
  readonly refusedDir: string;
}

export function flatNames({ name, paths, which, reader, refusedDir }: FlatNamesOptions): FlatNames {
  async function takeStarted(): Promise<void> {
    const found = await withRegularFile(paths.flat('started'), ({ handle }) => readBytes(handle, 0, STARTED_BYTES_MAX));
    if (found.kind === 'file') await move('started', readResult(found.value.toString('utf8')));
  }

  async function takeResult(overSinceMs: number | null): Promise<number | null> {
    // While there is a result in its own folder, this one is too late; to read it would disturb what is known of that.
    const isSecond = await isThere(paths.own('json'));
    const result: ResultFound = isSecond ? { kind: 'missing' } : await reader.read(paths.flat('json'), overSinceMs);
    if (result.kind === 'waiting') return result.againMs;
    // Nothing moves that was not read: it may have appeared this very moment.
    if (isSecond || result.kind === 'object' || result.kind === 'invalid') await move('json', result);
    return null;
  }

  /** `content` is what is known to be inside. */
  async function move(
    file: AgentFile,
    content: { readonly kind: string; readonly value?: Readonly<Record<string, unknown>> },
  ): Promise<void> {
    if (!(await isRegular(paths.flat(file)))) return;
    const named = content.value?.['generation'];
    const generation = named ?? name.generation;
    if (named === undefined && which === 'named') {
      await refuse(file, `It names no generation, and an earlier run may be alive; "generation": ${name.generation} was wanted in it.`);
    } else if (String(generation) !== String(name.generation)) {
      await refuse(file, `It names generation ${JSON.stringify(generation)}, where ${assignmentText(name)} was expected.`);
    } else if (await isThere(paths.own(file))) {
      await refuse(file, `There is one in the folder of ${assignmentText(name)}.`);
    } else {
      await rename(paths.flat(file), paths.own(file));
    }
  }

  const refuse = (file: AgentFile, reason: string): Promise<void> => refuseFlatFile(paths.flat(file), refusedDir, reason);

  return {
    async take(overSinceMs) {
      await takeStarted();
      return await takeResult(overSinceMs);
    },
  };
}

/** Before the first wake of an assignment: what lies under the flat names of its task is an earlier run's. */
export async function refuseEarlierFlatNames(paths: AssignmentPaths, name: Assignment, refusedDir: string): Promise<void> {
  for (const file of AGENT_FILES) {
    if (lstatSync(paths.flat(file), { throwIfNoEntry: false }) === undefined) continue;
    await refuseFlatFile(paths.flat(file), refusedDir, `It was there before the wake of ${assignmentText(name)}.`);
  }
}

/** Moves a file to `refused/`, with the reason beside it. The name there is its own, by time and inode. */
export async function refuseFlatFile(path: string, refusedDir: string, reason: string): Promise<void> {
  const found = await withRegularFile(path, ({ mtimeMs, inode }: FileFacts) => Promise.resolve(`${Math.floor(mtimeMs)}-${inode}`));
  if (found.kind !== 'file') return;
  const [taskId, file] = basename(path).split('.');
  const kept = join(refusedDir, `${taskId}.flat-${found.value}`);
  await mkdir(refusedDir, { recursive: true, mode: 0o700 });
  await writeFile(`${kept}.reason.txt`, `${reason}\n`, { mode: 0o600 });
  await rename(path, `${kept}.${file}`);
}
