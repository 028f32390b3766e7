/**
 * Flat files, for agents that know only one results folder: `results/<task_id>.started`, `.json` and `.progress`. Such
 * a name has no generation, so the file may come from an earlier run. A file that is there before the first wake does,
 * regardless of its timestamp: clocks are adjusted, and a mount may have its own. Later files count unless their
 * content names another generation, or names none while an earlier run may be alive. Files that count are moved into
 * the assignment's folder, all others to `refused/`.
 */
import { lstatSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../core/domain/assignment/slot.ts';
import { readResult } from '../../core/protocol/agent-files.ts';
import type { FlatNames as FlatNamesThatCount } from '../../core/ports/result-inbox.ts';
import { replaceFile } from '../kit/platform-files.ts';
import { AGENT_FILES, type AgentFile, type AssignmentPaths } from './assignment-paths.ts';
import { isRegularFile, exists } from './folder-state.ts';
import { cutToLimit } from './kept-files.ts';
import { readBytes, withRegularFile, type FileFacts } from './regular-file.ts';
import type { ResultFound, ResultReader } from './result-reader.ts';

/** How much of a `.started` file is read. */
const STARTED_BYTES_MAX = 65_536;

export interface FlatNames {
  /**
   * Moves the flat `.started` and `.json` files into the assignment's folder, or to `refused/`. An incomplete result
   * stays; resolves to the milliseconds after which to retry, else null. `overSinceMs`: see `ResultReader.read`.
   */
  take(overSinceMs: number | null): Promise<number | null>;
}

export interface FlatNamesOptions {
  readonly assignment: AssignmentId;
  readonly paths: AssignmentPaths;
  /** Which flat files count. */
  readonly which: FlatNamesThatCount;
  /** Shared with the assignment's own folder. */
  readonly reader: ResultReader;
  readonly refusedDir: string;
}

export function flatNames({ assignment, paths, which, reader, refusedDir }: FlatNamesOptions): FlatNames {
  async function moveStarted(): Promise<void> {
    const found = await withRegularFile(paths.flat('started'), ({ handle }) => readBytes(handle, 0, STARTED_BYTES_MAX));
    if (found.kind === 'file') await move('started', readResult(found.value.toString('utf8')));
  }

  async function moveResult(overSinceMs: number | null): Promise<number | null> {
    if (!(await isRegularFile(paths.flat('json')))) return null;
    // The folder already has a result, so this one is too late. Reading it would reset what the reader knows about the other.
    const isSecond = await exists(paths.own('json'));
    const result: ResultFound = isSecond ? { kind: 'missing' } : await reader.read(paths.flat('json'), overSinceMs);
    if (result.kind === 'waiting') return result.retryMs;
    // Only move a file that was read; it may have appeared just now.
    if (isSecond || result.kind === 'object' || result.kind === 'invalid') await move('json', result);
    return null;
  }

  /** `content` is its parsed content, if any. */
  async function move(
    file: AgentFile,
    content: { readonly kind: string; readonly value?: Readonly<Record<string, unknown>> },
  ): Promise<void> {
    if (!(await isRegularFile(paths.flat(file)))) return;
    const named = content.value?.['generation'];
    const generation = named ?? assignment.generation;
    if (named === undefined && which === 'named') {
      await refuse(
        file,
        `It names no generation, and an earlier run may be alive; it must contain "generation": ${assignment.generation}.`,
      );
    } else if (String(generation) !== String(assignment.generation)) {
      await refuse(file, `It names generation ${JSON.stringify(generation)}, where ${assignmentText(assignment)} was expected.`);
    } else if (await exists(paths.own(file))) {
      await refuse(file, `The folder of ${assignmentText(assignment)} already has one.`);
    } else {
      await replaceFile(paths.flat(file), paths.own(file));
    }
  }

  const refuse = (file: AgentFile, reason: string): Promise<void> => refuseFlatFile(paths.flat(file), refusedDir, reason);

  return {
    async take(overSinceMs) {
      await moveStarted();
      return await moveResult(overSinceMs);
    },
  };
}

/** Before the first wake, flat files of the task belong to an earlier run. */
export async function refuseEarlierFlatNames(paths: AssignmentPaths, assignment: AssignmentId, refusedDir: string): Promise<void> {
  for (const file of AGENT_FILES) {
    if (lstatSync(paths.flat(file), { throwIfNoEntry: false }) === undefined) continue;
    await refuseFlatFile(paths.flat(file), refusedDir, `It existed before the wake of ${assignmentText(assignment)}.`);
  }
}

/** Moves a file to `refused/` with its reason, under a name unique by time and inode. */
export async function refuseFlatFile(path: string, refusedDir: string, reason: string): Promise<void> {
  const found = await withRegularFile(path, ({ mtimeMs, inode }: FileFacts) => Promise.resolve(`${Math.floor(mtimeMs)}-${inode}`));
  if (found.kind !== 'file') return;
  const [taskId, file] = basename(path).split('.');
  const kept = join(refusedDir, `${taskId}.flat-${found.value}`);
  await cutToLimit(path);
  if (!(await exists(path))) return;
  await mkdir(refusedDir, { recursive: true, mode: 0o700 });
  await writeFile(`${kept}.reason.txt`, `${reason}\n`, { mode: 0o600 });
  await replaceFile(path, `${kept}.${file}`);
}
