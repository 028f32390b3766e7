/**
 * Processes that kill themselves at named steps, one step after the other, while tasks of every kind run: what `npm
 * run chaos:points` does. Each process started after a kill recovers from it and is itself killed at the next step.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom, type RandomBits } from '../../product/twins/ids-seeded/seeded-random.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { judgeWorld, settle, stopAll } from '../rig/closing.ts';
import { keepRunning, keepSidecar, type Kept, type KeptSidecar } from '../rig/chaos-faults.ts';
import type { Absence, Verdict } from '../rig/chaos-judge.ts';
import { mixOfTasks, type TaskMix } from '../rig/tasks/task-mix.ts';
import { shuffled } from '../rig/shuffled.ts';
import { makeChaosWorld } from '../rig/chaos-world.ts';

export interface PointsOptions {
  readonly tree: BuiltTree;
  readonly seed: string;
  /** How often each step is killed at. */
  readonly times: number;
  /** Default 4. */
  readonly sidecars?: number;
  /** Only these. Default: all that the first part of the run has met. */
  readonly steps?: Steps;
  readonly onProgress?: (done: number, of: number, note: string) => void;
}

export interface Steps {
  readonly hub: readonly string[];
  readonly sidecar: readonly string[];
}

export interface StepCount {
  readonly step: string;
  readonly kills: number;
}

export interface PointsOutcome {
  readonly hub: readonly StepCount[];
  readonly sidecar: readonly StepCount[];
  readonly verdict: Verdict;
  readonly surprises: readonly string[];
  readonly seconds: number;
}

const HUB_PROGRAM = 'test/chaos/points/points-hub.ts';
const SIDECAR_PROGRAM = 'test/chaos/points/points-sidecar.ts';
const SIDECARS = 4;
const SLOTS = 4;
/** A step that recurs is not always killed at its first time. */
const SKIP_MAX = 4;
/** How long a step may take to be met, in milliseconds; after that it is tried again without skipping, and then given up. */
const MET_WITHIN_MS = 30_000;
const TIMING = {
  hubTiming: {
    heartbeatMs: 1_000,
    pongWaitMs: 2_000,
    reconnectMaxMs: 500,
    graceMarginMs: 1_500,
    reconnectGraceMs: 60_000,
    quietAfterStartMs: 60_000,
    acceptMs: 60_000,
    leaseMs: 6_000,
    killGraceMs: 500,
    stopResendMs: 1_000,
    breaker: { firstMs: 200, maxMs: 500 },
  },
  sidecarTiming: { reportRepeat: { firstMs: 500, maxMs: 2_000 } },
} as const;

export async function pointsRun(t: TestEnd, options: PointsOptions): Promise<PointsOutcome> {
  const { times, sidecars: count = SIDECARS, onProgress } = options;
  const agents = Array.from({ length: count }, (_, n) => `p${n + 1}`);
  const random = seededRandom(options.seed);
  const beganMs = performance.now();
  const world = await makeChaosWorld(t, { tree: options.tree, ...TIMING });
  const stepsFile = (name: string): string => join(world.dir, `${name}.steps`);
  const absences: Absence[] = [];
  const env = (name: string): Readonly<Record<string, string>> => ({ STEPS_FILE: stepsFile(name) });
  const hub = keepRunning({ name: 'hub', start: (more) => world.startHub({ program: HUB_PROGRAM, env: { ...env('hub'), ...more } }) });
  if ((await hub.current().ready) === null) throw new Error(`the hub did not start: ${readFileSync(world.logOf('hub'), 'utf8')}`);
  for (const agentId of agents) await world.enrol({ agentId, slots: SLOTS });
  const sidecars = agents.map((agentId) => keepSidecar(world, agentId, absences, { program: SIDECAR_PROGRAM, env: env(agentId) }));
  const mix = mixOfTasks(t, world, { agents, atOnce: SLOTS + 1, random });

  const met = (names: readonly string[]): readonly string[] => [...new Set(names.flatMap((name) => stepsIn(stepsFile(name))))].sort();
  if (options.steps === undefined) await survey(mix, hub, sidecars);
  const steps: Steps = options.steps ?? { hub: met(['hub']), sidecar: met(agents) };
  const total = (steps.hub.length + steps.sidecar.length) * times;
  const killed = new Map<string, number>();
  const onKill = (step: string): void => {
    killed.set(step, (killed.get(step) ?? 0) + 1);
    onProgress?.(
      [...killed.values()].reduce((sum, count) => sum + count, 0),
      total,
      step,
    );
  };

  const jobsOf = (who: string, names: readonly string[]): Job[] =>
    Array.from({ length: times }, () => shuffled(names, random).map((step) => ({ step, key: `${who}: ${step}` }))).flat();
  const ofSidecars = jobsOf('sidecar', steps.sidecar);
  // All in parallel: some steps of the hub occur only because a sidecar died, and vice versa.
  await Promise.all([
    killInTurn({ jobs: jobsOf('hub', steps.hub), kept: hub, stepsFile: stepsFile('hub'), random, onKill }),
    ...sidecars.map((kept) => killInTurn({ jobs: ofSidecars, kept, stepsFile: stepsFile(kept.agentId), random, onKill })),
  ]);

  const stuck = await mix.finish();
  await settle(world, mix.stream, agents);
  const surprises = [...(await stopAll(sidecars, hub)), ...stuck];
  const log = { killed: new Set<string>(), absences };
  const reconnectGraceMs = TIMING.hubTiming.reconnectGraceMs;
  const verdict = await judgeWorld(world, {
    told: mix.told,
    stream: mix.stream,
    log,
    reconnectGraceMs,
    agents,
    wanted: mix.wanted,
  });
  const counted = (who: string, names: readonly string[]): readonly StepCount[] =>
    names.map((step) => ({ step, kills: killed.get(`${who}: ${step}`) ?? 0 }));
  return {
    hub: counted('hub', steps.hub),
    sidecar: counted('sidecar', steps.sidecar),
    verdict,
    surprises,
    seconds: Math.round((performance.now() - beganMs) / 1_000),
  };
}

const SURVEYED_TASKS = 60;

/** Lets tasks run, and hub and sidecars be killed and restarted, so that every common step has been met. */
async function survey(mix: TaskMix, hub: Kept, sidecars: readonly KeptSidecar[]): Promise<void> {
  const ended = (count: number): Promise<void> =>
    mix.until(() => {
      const died = [hub, ...sidecars].flatMap((one) => one.unasked);
      if (died.length > 0) throw new Error(died.join('; '));
      return mix.ended() >= count;
    });
  await ended(SURVEYED_TASKS / 3);
  await hub.kill(0);
  await ended((2 * SURVEYED_TASKS) / 3);
  await Promise.all(sidecars.map((one) => one.kill(500)));
  await ended(SURVEYED_TASKS);
}

interface Job {
  readonly step: string;
  readonly key: string;
}

interface InTurn {
  /** Taken from the front until it is empty; several processes may share it. */
  readonly jobs: Job[];
  readonly kept: Kept;
  readonly stepsFile: string;
  readonly random: RandomBits;
  readonly onKill: (key: string) => void;
}

async function killInTurn({ jobs, kept, stepsFile, random, onKill }: InTurn): Promise<void> {
  const isKilledAt = async ({ step }: Job, skip: number): Promise<boolean> => {
    const before = killsIn(stepsFile, step);
    const program = await kept.restart({ KILL_AT: step, KILL_SKIP: String(skip) });
    await Promise.race([program.ended, sleep(MET_WITHIN_MS, undefined, { ref: false })]);
    // A process that does not even start would never meet a step.
    if (kept.unasked.length > 0) throw new Error(kept.unasked.join('; '));
    return killsIn(stepsFile, step) > before;
  };
  const givenUp = new Set<string>();
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    if (givenUp.has(job.key)) continue;
    if ((await isKilledAt(job, random() % SKIP_MAX)) || (await isKilledAt(job, 0))) onKill(job.key);
    else givenUp.add(job.key);
  }
  await kept.restart({});
}

const linesIn = (file: string): readonly string[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);

const stepsIn = (file: string): readonly string[] => linesIn(file).filter((line) => !line.startsWith('killed '));

const killsIn = (file: string, step: string): number => linesIn(file).filter((line) => line === `killed ${step}`).length;
