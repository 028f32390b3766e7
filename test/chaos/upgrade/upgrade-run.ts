/** A hub is stopped and its next version started on the same folder and port, while tasks are submitted and done. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hubClient } from '../../../apps/client/index.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { startProgram, type Program, type ProgramEnd } from '../rig/chaos-program.ts';
import { makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';
import type { Stored } from '../rig/stored.ts';
import { newerBuild } from './newer-build.ts';
import type { WorkersSetting } from './upgrade-workers.ts';

export interface UpgradeOptions {
  readonly tree: BuiltTree;
  /** The entry file of an older version's command line, whose hub is upgraded; without it, the same build is used. */
  readonly olderBin?: string | undefined;
  readonly version: string;
  readonly tasksPerSecond: number;
  /** How long tasks are submitted before the old hub is told to stop, and after the new one is ready; in milliseconds. */
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly agents: number;
}

export interface UpgradeOutcome {
  readonly versions: readonly [before: string, after: string];
  /** The text of each task by its id. */
  readonly submitted: ReadonlyMap<string, string>;
  /** Messages of submits that failed although the client retries. */
  readonly failed: readonly string[];
  /** Submits made between the signal and the readiness of the new hub. */
  readonly submittedMeanwhile: number;
  /** Why requests were retried, each reason once. */
  readonly retried: readonly string[];
  readonly stopEnd: ProgramEnd;
  readonly stopMs: number;
  /** From the start of the new process until it is ready. */
  readonly startMs: number;
  readonly slowestSubmitMs: number;
  /** Lines of the workers' ledger, by `TASK GENERATION`. */
  readonly runs: ReadonlyMap<string, readonly string[]>;
  readonly stored: Stored;
}

const SLOTS = 4;
const WORK_MS = 50;
/** Between two groups of submits. */
const EACH_MS = 25;
/** Longer than any upgrade: what operators are told to set. */
const RETRY_WITHIN_MS = 60_000;
const DONE_WITHIN_MS = 60_000;
const LOOK_MS = 50;

export async function upgradeRun(t: TestEnd, options: UpgradeOptions): Promise<UpgradeOutcome> {
  const world = await makeChaosWorld(t, { tree: options.tree });
  const newer = newerBuild(options.tree, join(world.dir, 'newer'), options.version);
  const older = world.startHub({ tree: { ...options.tree, bin: options.olderBin ?? options.tree.bin } });
  await ready(older, world, 'hub');
  const { program: workers, ledgerFile } = await startWorkers(t, world, options);
  const versionBefore = await versionOf(world);
  const submits = steadySubmits(world, options.tasksPerSecond);

  await sleep(options.beforeMs);
  const madeBefore = submits.made();
  const stoppedMs = performance.now();
  const stopEnd = await older.kill('SIGTERM');
  const stopMs = performance.now() - stoppedMs;
  newer.upgrade(world.dir);
  const startedMs = performance.now();
  const hub = world.startHub({ tree: { ...options.tree, bin: newer.bin } });
  await ready(hub, world, 'hub');
  const startMs = performance.now() - startedMs;
  const submittedMeanwhile = submits.made() - madeBefore;
  await sleep(options.afterMs);

  const { submitted, failed, retried, slowestMs } = await submits.stop();
  await untilCompleted(world, submitted.size);
  const versionAfter = await versionOf(world);
  await workers.kill('SIGTERM');
  await hub.kill('SIGTERM');
  const stored = await world.store.readStored();
  const versions = [versionBefore, versionAfter] as const;
  const runs = readRuns(ledgerFile);
  return { versions, submitted, failed, submittedMeanwhile, retried, stopEnd, stopMs, startMs, slowestSubmitMs: slowestMs, runs, stored };
}

async function ready(program: Program, world: ChaosWorld, name: string): Promise<void> {
  if ((await program.ready) === null) throw new Error(`${name} did not start; its log: ${readFileSync(world.logOf(name), 'utf8')}`);
}

async function versionOf(world: ChaosWorld): Promise<string> {
  return String((await world.api.health())['version']);
}

async function startWorkers(
  t: TestEnd,
  world: ChaosWorld,
  { tree, agents: count }: UpgradeOptions,
): Promise<{ readonly program: Program; readonly ledgerFile: string }> {
  const agents = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const agentId = `worker-${n + 1}`;
      return { agentId, token: (await world.api.tokens.create({ agent_id: agentId })).token ?? '' };
    }),
  );
  const ledgerFile = join(world.dir, 'runs');
  const settingFile = join(world.dir, 'workers.json');
  const setting: WorkersSetting = { hub: `http://127.0.0.1:${world.hubPort}`, agents, slots: SLOTS, workMs: WORK_MS, ledgerFile };
  writeFileSync(ledgerFile, '');
  writeFileSync(settingFile, JSON.stringify(setting), { mode: 0o600 });
  const args = [tree.compiled('test/chaos/upgrade/upgrade-workers.ts'), settingFile];
  const program = startProgram({ args, cwd: world.dir, logFile: world.logOf('workers') });
  t.teardown(async () => void (await program.kill('SIGKILL')));
  await ready(program, world, 'workers');
  return { program, ledgerFile };
}

interface SteadySubmits {
  /** How many were begun. */
  made(): number;
  /** Begins no more, and waits until each is answered. */
  stop(): Promise<{
    readonly submitted: ReadonlyMap<string, string>;
    readonly failed: readonly string[];
    readonly retried: readonly string[];
    readonly slowestMs: number;
  }>;
}

/** This many each second, whether or not the earlier ones were answered. */
function steadySubmits(world: ChaosWorld, perSecond: number): SteadySubmits {
  const retried = new Set<string>();
  const api = hubClient({
    url: `http://127.0.0.1:${world.hubPort}`,
    token: world.adminToken,
    retryWithinMs: RETRY_WITHIN_MS,
    onRetry: (reason) => void retried.add(reason),
  });
  const submitted = new Map<string, string>();
  const failed: string[] = [];
  const submits: Promise<void>[] = [];
  let slowestMs = 0;
  const submit = async (description: string): Promise<void> => {
    const beganMs = performance.now();
    try {
      const { task_id: id } = await api.tasks.submit({ description, needed_capabilities: ['code'] });
      submitted.set(id, description);
      slowestMs = Math.max(slowestMs, performance.now() - beganMs);
    } catch (thrown) {
      failed.push(thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
  const beganMs = performance.now();
  const timer = setInterval(() => {
    // A late timer makes up for it.
    const due = Math.floor(((performance.now() - beganMs) / 1_000) * perSecond);
    while (submits.length < due) submits.push(submit(`task-${submits.length + 1}`));
  }, EACH_MS);
  return {
    made: () => submits.length,
    async stop() {
      clearInterval(timer);
      await Promise.all(submits);
      return { submitted, failed, retried: [...retried], slowestMs };
    },
  };
}

async function untilCompleted(world: ChaosWorld, count: number): Promise<void> {
  const untilMs = performance.now() + DONE_WITHIN_MS;
  while (Number((await world.api.tasks.stats())['completed']) < count && performance.now() < untilMs) await sleep(LOOK_MS);
}

function readRuns(ledgerFile: string): ReadonlyMap<string, readonly string[]> {
  const runs = new Map<string, string[]>();
  for (const line of readFileSync(ledgerFile, 'utf8').trimEnd().split('\n')) {
    const [what = '', ...run] = line.split(' ');
    runs.set(run.join(' '), [...(runs.get(run.join(' ')) ?? []), what]);
  }
  return runs;
}
