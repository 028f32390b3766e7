/** Folders, requests and process checks, for tests that start real processes. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, watch } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WakeRequest } from '../../core/ports/wake-runner.ts';
import { aGeneration, anAgentId, aTaskId } from '../product/contracts/fixtures.ts';

export const PROBE_AGENT = fileURLToPath(new URL('../product/contracts/runner/probe-agent.mjs', import.meta.url));

export interface RunWorld {
  /** Exists; removed by `close`. */
  readonly baseDir: string;
  /** A request with its folders and its task file. */
  request(task?: { readonly description: string } & Readonly<Record<string, unknown>>): Promise<WakeRequest>;
  /** Kills everything that carries the id of a run made here, removes the folder, and returns which runs had left something. */
  close(): Promise<readonly string[]>;
}

export async function runWorld(): Promise<RunWorld> {
  const baseDir = await mkdtemp(join(tmpdir(), 'agentcom-run-'));
  const runIds: string[] = [];
  return {
    baseDir,
    async request(task = { description: 'count the files' }) {
      const taskId = aTaskId(runIds.length + 1);
      const runId = `run-${randomBytes(16).toString('hex')}`;
      const resultsDir = join(baseDir, 'results', runId);
      const runDir = join(baseDir, 'runs', runId);
      const taskFile = join(runDir, 'task.json');
      runIds.push(runId);
      await mkdir(resultsDir, { recursive: true });
      await mkdir(runDir, { recursive: true });
      await writeFile(taskFile, JSON.stringify(task));
      return { taskId, generation: aGeneration(1), agentId: anAgentId(), runId, task, taskFile, resultsDir, runDir };
    },
    async close() {
      const leftovers = runIds.filter((runId) => carriersOf(runId).length > 0);
      for (const pid of runIds.flatMap(carriersOf)) process.kill(pid, 'SIGKILL');
      await rm(baseDir, { recursive: true, force: true });
      return leftovers;
    },
  };
}

/** The living processes that carry this run id, found without the code under test. */
export function carriersOf(runId: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => readOrEmpty(`/proc/${pid}/environ`).split('\0').includes(`AGENTCOM_RUN_ID=${runId}`)).map(Number);
}

/** Also if it is gone: it may end while it is inspected. */
export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // It has ended meanwhile, or is a zombie.
  }
}

/** Resolves when a file exists and, if given, `isRight` returns true. */
export async function fileAppears(folder: string, name: string, isRight: (path: string) => boolean = () => true): Promise<void> {
  const path = join(folder, name);
  const isThere = (): boolean => existsSync(path) && isRight(path);
  await new Promise<void>((resolve) => {
    const watcher = watch(folder, () => {
      if (isThere()) finish();
    });
    const finish = (): void => {
      watcher.close();
      resolve();
    };
    if (isThere()) finish();
  });
}

export const atWork = (request: WakeRequest): Promise<void> => fileAppears(request.resultsDir, `${request.taskId}.started`);

export const endAgent = (request: WakeRequest): Promise<void> => writeFile(join(request.resultsDir, 'end'), '');
