/** A hub and two hundred sidecars at work for long, with a fault each minute: what `npm run soak` does. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom, type RandomBits } from '../../adapters/ids-seeded/seeded-random.ts';
import { tcpProxy } from '../apps/tcp-proxy.ts';
import type { TestEnd } from '../apps/world.ts';
import type { BuiltTree } from '../rig/built-tree.ts';
import { doFault, keepRunning, keepSidecar, newFaultLog, type FaultKind, type FaultLog, type FaultParts, type Line } from './rig/faults.ts';
import { bytesOf, eachSecond, openFiles, readLag, sampleOf, type LagSample, type Sample } from './rig/gauges.ts';
import { startProgram, type Program } from './rig/program.ts';
import { readStream, submitter, type Submitter } from './rig/told.ts';
import { makeChaosWorld, type ChaosWorld } from './rig/world.ts';
import type { LightSetting } from './soak/light-sidecars.ts';

export interface SoakOptions {
  readonly tree: BuiltTree;
  readonly seed: string;
  readonly minutes: number;
  readonly sidecars: number;
  readonly tasksPerSecond: number;
  readonly onProgress?: (seconds: number, note: string) => void;
}

/** By process, by kind. */
export type OpenFiles = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface SoakOutcome {
  readonly submitted: number;
  readonly completed: number;
  readonly faults: FaultLog;
  /** Of the hub, from the end of the warm-up on. */
  readonly hub: readonly Sample[];
  readonly lag: readonly LagSample[];
  readonly walMaxMiB: number;
  /** Open files of idle processes with all sidecars connected: before the load and after it, by process. */
  readonly filesBefore: OpenFiles;
  readonly filesAfter: OpenFiles;
  readonly surprises: readonly string[];
}

/** Sidecars that are processes with agents of their own; the rest share one process. */
const REAL = 10;
const SLOTS = 2;
const LINES = 20;
/** More than the hub keeps connections to read its database by. */
const READERS = 32;
const FAULT_EACH_MS = 60_000;
/** A stall is short enough for nobody to be taken for dead. */
const STALL_MS = 2_000;
const WORK_SECONDS = 2;
const MAX_RETRIES = 50;
/** The hub closes idle connections of HTTP after 30 s. */
const IDLE_MS = 40_000;
const DRAINED_WITHIN_MS = 120_000;
/** Garbage is collected this often, so that the lowest of each window is what is alive. */
const COLLECT_EACH_MS = 15_000;
/** This share of the time is not looked at: caches fill and the heap finds its size. */
const WARM_UP = 0.25;
const MIB = 2 ** 20;

export async function soakRun(t: TestEnd, options: SoakOptions): Promise<SoakOutcome> {
  const { minutes, seed, onProgress } = options;
  const random = seededRandom(seed);
  const world = await makeChaosWorld(t, { tree: options.tree });
  const log = newFaultLog();
  const hub = keepRunning({ name: 'hub', start: (env) => world.startHub({ env: { ...env, COLLECT_EACH_MS: String(COLLECT_EACH_MS) } }) });
  if ((await hub.current().ready) === null) throw new Error('the hub did not start');
  const proxies = await Promise.all(Array.from({ length: LINES }, () => tcpProxy(t, world.hubPort)));
  const real = Array.from({ length: Math.min(REAL, options.sidecars) }, (_, n) => `real-${n + 1}`);
  for (const [n, agentId] of real.entries()) await world.enrol({ agentId, hubPort: proxies[n % LINES]?.port, slots: SLOTS });
  const lines = proxies.map((proxy, n): Line => ({ proxy, agents: real.filter((_, at) => at % LINES === n), isBusy: false }));
  const sidecars = real.map((agentId) => keepSidecar(world, agentId, log.absences));
  const light = await startLight(t, world, options.tree, { count: options.sidecars - real.length, ports: proxies.map(({ port }) => port) });
  await Promise.all([...sidecars.map((one) => one.current().ready), light.ready]);

  let completed = 0;
  const stream = readStream(world.api, ({ event }) => {
    if (event === 'completed') completed += 1;
  });
  const told = submitter(world.api, new AbortController().signal);
  const filesOf = (): OpenFiles => {
    const processes: readonly (readonly [string, Program])[] = [
      ['hub', hub.current()],
      ['light sidecars', light],
      ...sidecars.map((one) => [one.agentId, one.current()] as const),
    ];
    return Object.fromEntries(processes.map(([name, program]) => [name, openFiles(program.pid)]));
  };

  // A first task on each, and as many readers at once as the hub has, so that what is opened once is open.
  await load(told, random, { tasksPerSecond: options.tasksPerSecond, forMs: 10_000, from: 0 });
  await drained(() => told.answered.size - completed);
  await Promise.all(Array.from({ length: READERS }, () => world.api.list({ limit: 500 })));
  await sleep(IDLE_MS);
  const filesBefore = filesOf();

  const hubSamples: Sample[] = [];
  let walMax = 0;
  const beganMs = Date.now();
  const stopLooking = eachSecond(() => {
    const sample = sampleOf(hub.current().pid);
    if (sample !== null) hubSamples.push(sample);
    walMax = Math.max(walMax, bytesOf(`${world.database}-wal`));
    onProgress?.(Math.round((Date.now() - beganMs) / 1_000), `${completed} tasks, hub ${Math.round((sample?.rssBytes ?? 0) / MIB)} MiB`);
  });
  const over = new AbortController();
  const parts: FaultParts = { world, random, hub, sidecars, lines, log, reconnectGraceMs: 30_000, longEvery: 0 };
  const faulting = faultEachMinute(parts, over.signal);
  const submitted = told.answered.size + (await load(told, random, { ...options, forMs: minutes * 60_000, from: told.answered.size }));
  over.abort();
  const stalls = await faulting;
  stopLooking();

  await drained(() => submitted - completed);
  await sleep(IDLE_MS);
  const filesAfter = filesOf();
  const surprises = [...hub.unasked, ...sidecars.flatMap((one) => one.unasked)];
  if (completed !== submitted) surprises.push(`${submitted} tasks were submitted and ${completed} completed`);
  await stream.stop();
  await Promise.all([...sidecars.map((one) => one.stop()), light.kill('SIGTERM')]);
  await hub.stop();
  const fromMs = beganMs + minutes * 60_000 * WARM_UP;
  return {
    submitted,
    completed,
    faults: { ...log, hub: stalls },
    hub: hubSamples.filter(({ atMs }) => atMs >= fromMs),
    lag: readLag(world.lagFile).filter(({ atMs }) => atMs >= fromMs),
    walMaxMiB: Math.round((walMax / MIB) * 10) / 10,
    filesBefore,
    filesAfter,
    surprises,
  };
}

/** Whole sidecars `light-1` to `light-COUNT` in one process, on these ports of the hub. */
export async function startLight(
  t: TestEnd,
  world: ChaosWorld,
  tree: BuiltTree,
  { count, ports }: { readonly count: number; readonly ports: readonly number[] },
): Promise<Program> {
  const sidecars: LightSetting['sidecars'][number][] = [];
  for (let n = 1; n <= count; n += 1) {
    const agentId = `light-${n}`;
    sidecars.push({ agentId, token: (await world.api.createToken({ agent_id: agentId })).token });
  }
  const file = join(world.dir, 'light.json');
  const setting: LightSetting = { ports, sidecars, sources: 1, countFile: null };
  writeFileSync(file, JSON.stringify(setting), { mode: 0o600 });
  const args = [tree.compiled('test/chaos/soak/light-sidecars.ts'), file];
  const program = startProgram({ args, cwd: world.dir, logFile: world.logOf('light') });
  t.teardown(async () => void (await program.kill('SIGKILL')));
  return program;
}

/** Submits evenly, and answers how many. */
async function load(
  told: Submitter,
  random: RandomBits,
  { tasksPerSecond, forMs, from }: { readonly tasksPerSecond: number; readonly forMs: number; readonly from: number },
): Promise<number> {
  const count = Math.round((forMs / 1_000) * tasksPerSecond);
  const beganMs = performance.now();
  const submits: Set<Promise<unknown>> = new Set();
  for (let n = 0; n < count; n += 1) {
    await sleep(Math.max(0, beganMs + (n * 1_000) / tasksPerSecond - performance.now()));
    const seconds = ((random() % 1_000) / 1_000) * WORK_SECONDS;
    const body = { description: `soak-${from + n} ok ${seconds.toFixed(2)}`, needed_capabilities: ['code'], max_retries: MAX_RETRIES };
    const submit: Promise<unknown> = told.submit(`soak-${from + n}`, body).finally(() => submits.delete(submit));
    submits.add(submit);
  }
  await Promise.all(submits);
  return count;
}

async function drained(waiting: () => number): Promise<void> {
  const untilMs = performance.now() + DRAINED_WITHIN_MS;
  while (waiting() > 0 && performance.now() < untilMs) await sleep(100);
}

/** In turn; the hub is stalled, not killed, since it is the one whose memory is watched. Answers how often it was. */
async function faultEachMinute(parts: FaultParts, over: AbortSignal): Promise<number> {
  const kinds: readonly FaultKind[] = ['sidecar', 'cut', 'agent', 'hub'];
  let stalls = 0;
  for (let n = 0; ; n += 1) {
    try {
      await sleep(FAULT_EACH_MS, undefined, { signal: over });
    } catch {
      return stalls; // over
    }
    const kind = kinds[n % kinds.length] ?? 'cut';
    if (kind !== 'hub') {
      await doFault(kind, parts);
      continue;
    }
    stalls += 1;
    process.kill(parts.hub.current().pid, 'SIGSTOP');
    await sleep(STALL_MS);
    process.kill(parts.hub.current().pid, 'SIGCONT');
  }
}
