/** Folders, faults and processes for the tests of the journal on disk. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { nodeJournalFiles, type JournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import { builtTree } from '../../rig/built-tree.ts';

/** An empty folder for this test, removed after it. */
export async function emptyFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-journal-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** A folder in which a sidecar has saved these states and stopped. */
export async function folderWith(t: Teardown, ...states: readonly unknown[]): Promise<string> {
  const dataDir = await emptyFolder(t);
  const journal = journalIn(dataDir);
  await journal.open();
  for (const state of states) await journal.save(state);
  await journal.close();
  return dataDir;
}

export const journalIn = (dataDir: string, files: JournalFiles = nodeJournalFiles): Journal =>
  fileJournal({ dataDir, clock: virtualClock(), log: silentLog, files });

/** The PID of a process that has ended. */
export async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid as number;
}

/** A later process with this PID has another start time. */
let dead: Promise<number> | null = null;

/** Leaves this process's locks as a process killed at any step leaves them. */
export async function pretendHolderDied(dataDir: string): Promise<void> {
  const mark = { pid: await (dead ??= deadPid()), startTime: '1', bootId: null, id: 'dead' };
  const candidates = (await readdir(dataDir)).filter((name) => name.startsWith('lock.'));
  for (const name of ['lock', ...candidates]) await writeFile(join(dataDir, name), `${JSON.stringify(mark)}\n`);
}

/** What goes wrong at a disk operation. */
export type Fault = 'fails' | 'stops the world';

export interface FaultyFiles extends JournalFiles {
  /** From now on the `nth` step, 1 being the next one, hits the fault; later steps work, or never end. */
  arm(nth: number, fault: Fault): void;
  /** Whether the armed step was reached. */
  readonly wasMet: boolean;
  /** Resolves when the world has stopped. */
  readonly stopped: Promise<void>;
}

/** Real files whose steps can be made to fail. Each method of `JournalFiles` counts as one step. */
export function faultyFiles(): FaultyFiles {
  let stepsLeft = Infinity;
  let fault: Fault = 'fails';
  let wasMet = false;
  let hasStopped = false;
  let stop: () => void;
  const stopped = new Promise<void>((resolve) => (stop = resolve));

  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    stepsLeft -= 1;
    if (stepsLeft === 0) {
      wasMet = true;
      hasStopped = fault === 'stops the world';
      if (fault === 'fails') throw Object.assign(new Error('ENOSPC: no space left on device, planted'), { code: 'ENOSPC' });
      stop();
    }
    return hasStopped ? await new Promise<T>(() => undefined) : await work();
  };

  return {
    arm(nth, what) {
      [stepsLeft, fault, wasMet] = [nth, what, false];
    },
    get wasMet() {
      return wasMet;
    },
    stopped,
    makeFolder: (path) => step(() => nodeJournalFiles.makeFolder(path)),
    isOpenToOthers: (path) => step(() => nodeJournalFiles.isOpenToOthers(path)),
    list: (folder) => step(() => nodeJournalFiles.list(folder)),
    read: (path) => step(() => nodeJournalFiles.read(path)),
    write: (path, bytes) => step(() => nodeJournalFiles.write(path, bytes)),
    append: (path, at, bytes) => step(() => nodeJournalFiles.append(path, at, bytes)),
    readFrom: (path, at) => step(() => nodeJournalFiles.readFrom(path, at)),
    link: (from, to) => step(() => nodeJournalFiles.link(from, to)),
    rename: (from, to) => step(() => nodeJournalFiles.rename(from, to)),
    remove: (path) => step(() => nodeJournalFiles.remove(path)),
    syncFolder: (path) => step(() => nodeJournalFiles.syncFolder(path)),
    bytesIn: (folder) => step(() => nodeJournalFiles.bytesIn(folder)),
    freeBytes: (path) => step(() => nodeJournalFiles.freeBytes(path)),
  };
}

/** A journal that has saved these states, and whose `nth` step from now on hits the fault. */
export async function armed(
  t: Teardown,
  before: readonly unknown[],
  nth: number,
  fault: Fault,
): Promise<{ dataDir: string; files: FaultyFiles; journal: Journal; die: () => Promise<void> }> {
  const dataDir = await emptyFolder(t);
  const files = faultyFiles();
  const journal = journalIn(dataDir, files);
  await journal.open();
  for (const each of before) await journal.save(each);
  files.arm(nth, fault);
  return { dataDir, files, journal, die: () => pretendHolderDied(dataDir) };
}

/**
 * Makes each step of a save fail, and be the last before the process is killed: the next process finds the old or the new state, whole. After
 * a failure the sidecar continues, and saves `next`. `checkFolder` is called for each folder in which a process was killed.
 */
export async function tryEachStep(
  t: Test,
  {
    about,
    before,
    after,
    next,
  }: { readonly about: string; readonly before: readonly unknown[]; readonly after: unknown; readonly next: unknown },
  checkFolder: (dataDir: string) => Promise<void>,
): Promise<{ readonly dataDir: string }> {
  const old = before.at(-1);
  for (let nth = 1; ; nth += 1) {
    const step = `${about}, step ${nth}`;
    const failing = await armed(t, before, nth, 'fails');
    const failed = await failing.journal.save(after).then(
      () => null,
      (error: unknown) => error as { readonly code: string },
    );
    const isDone = !failing.files.wasMet;
    // Tidying up and making room come after the state is safe; failing there does not fail the save.
    if (failed !== null) t.equal(failed.code, 'AC_JOURNAL_WRITE', step);
    await failing.die();
    t.strictSame(await stateIn(failing.dataDir), failed === null ? after : old, `${step} ${failed === null ? 'worked' : 'failed'}`);

    // A sidecar that survives the failure also saves what comes next, wherever it is killed then.
    if (!isDone) {
      const continuing = await armed(t, before, nth, 'fails');
      await Promise.allSettled([continuing.journal.save(after)]);
      await continuing.journal.save(next);
      await continuing.die();
      t.strictSame(await stateIn(continuing.dataDir), next, `${step}: the save after a failure`);
    }

    const killed = await armed(t, before, nth, 'stops the world');
    const answer = await Promise.race([killed.journal.save(after).then(() => 'saved'), killed.files.stopped.then(() => 'killed')]);
    await killed.die();
    const found = JSON.stringify(await stateIn(killed.dataDir));
    const allowed = (answer === 'saved' ? [after] : [after, old]).map((each) => JSON.stringify(each));
    t.ok(allowed.includes(found), `${step}: ${answer}, found ${String(found).slice(0, 80)}`);
    await checkFolder(killed.dataDir);
    if (isDone) return failing;
  }
}

/** More tasks than the state has room for, one of them new in each save. */
export const largeSlots = (n: number): readonly unknown[] =>
  Array.from({ length: 5 }, (_, back) => ({ n, task: { description: `${n - back} ${'x'.repeat(100_000)}` } }));

/** A process that saves 1, 2, 3, … and prints each number after it was saved. */
export function startSaver(t: Test, dataDir: string, before: readonly string[] = []): ChildProcess {
  const [program = '', ...args] = [...before, process.execPath, builtTree().compiled('test/adapters/files/journal-file-saver.ts'), dataDir];
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

export const readText = (path: string): Promise<string> => readFile(path, 'utf8');

/** What the next process finds. */
export async function stateIn(dataDir: string): Promise<unknown> {
  const journal = journalIn(dataDir);
  const { state } = await journal.open();
  await journal.close();
  return state;
}

/** Reports of one task, distinguished by generation. */
export const reportName = (generation: number): AssignmentId => ({
  taskId: `task-${'a'.repeat(16)}` as TaskId,
  generation: generation as Generation,
});

/** Mounts a small file system, if this user may. */
export function smallDisk(t: Test, folder: string, size: string): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch (error) {
    t.comment(`Cannot mount a small disk here: ${String(error)}`);
    return false;
  }
}
