/** A hub and two hundred sidecars working for long, with hostile neighbours and with a fault each minute: what `npm run soak` does. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom, type RandomBits } from '../../product/twins/ids-seeded/seeded-random.ts';
import { tcpProxy } from '../../durability/tcp-proxy.ts';
import type { HubTiming } from '../../../core/config/times.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import {
  doFault,
  keepRunning,
  keepSidecar,
  newFaultLog,
  type FaultKind,
  type FaultLog,
  type FaultParts,
  type Line,
} from '../rig/chaos-faults.ts';
import { bytesOf, eachSecond, openFiles, readLag, sampleOf, type LagSample, type Sample } from '../rig/gauges.ts';
import { judgeLog } from '../rig/hub-log.ts';
import { startProgram, type Program } from '../rig/chaos-program.ts';
import type { Submitter } from '../rig/observed.ts';
import { judgeRows, readRows, type RowSample, type RowVerdict } from '../rig/stored-rows.ts';
import { MALLOC, makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';
import type { LightSetting } from '../soak/soak-sidecars.ts';
import { honestTasks } from '../soak/honest-tasks.ts';
import type { Tallies } from '../soak/neighbour-kinds.ts';
import { HOSTILE_AGENTS, HOSTILE_OPEN_MAX, neighbourTokens, startNeighbours } from '../soak/start-neighbours.ts';
import { AGENT_DEEDS, startWatched } from '../soak/watched-sidecars.ts';

export interface SoakOptions {
  readonly tree: BuiltTree;
  readonly seed: string;
  readonly minutes: number;
  readonly sidecars: number;
  readonly tasksPerSecond: number;
  /** How many of the sidecars are processes with real agents; the rest share one process. Default 10. */
  readonly real?: number;
  /** Additional ones that are never killed and whose agents harm them. Default 2. */
  readonly watched?: number;
  /** How long load (four times as much as later) and neighbours run before anything is counted, in milliseconds. Default 5 minutes. */
  readonly firstMs?: number;
  /** The interval between faults, in milliseconds; default a minute. */
  readonly faultEachMs?: number;
  /**
   * How long everything is left idle before open files are counted, in milliseconds; default longer than the hub keeps
   * idle connections.
   */
  readonly idleMs?: number;
  /**
   * The load continues until this holds for what the neighbours have done, at most a minute: a short run on a busy
   * machine sees few of their turns.
   */
  readonly mischief?: (done: Tallies) => boolean;
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
  /** Of each watched sidecar, from the end of the warm-up on. */
  readonly watched: Readonly<Record<string, readonly Sample[]>>;
  /** What their agents did, and how often. */
  readonly deeds: Readonly<Record<string, number>>;
  /** What the neighbours did and how they were answered, by kind. */
  readonly neighbours: Tallies | null;
  readonly rows: RowVerdict;
  /** From submit to completion, for each honest task, in milliseconds. */
  readonly honestMs: readonly number[];
  /** Open files of idle processes with all sidecars connected: before and after the load, by process. */
  readonly filesBefore: OpenFiles;
  readonly filesAfter: OpenFiles;
  readonly surprises: readonly string[];
}

const REAL = 10;
const WATCHED = 2;
const SLOTS = 2;
const LINES = 20;
/** More than the number of connections with which the hub reads its database. */
const READERS = 32;
const FAULT_EACH_MS = 60_000;
/** A stall is too short for any peer to be considered dead. */
const STALL_MS = 2_000;
const FIRST_MS = 300_000;
/** The load factor of the warm-up: afterwards the caches of the database are as full as they get in half an hour. */
const FIRST_RATE = 4;
const WORK_SECONDS = 2;
const MAX_RETRIES = 50;
/** The hub closes idle HTTP connections after 30 s. */
const IDLE_MS = 40_000;
/**
 * What has ended is kept for an eighth of the load, and its remains for a quarter more: so the number of rows settles
 * before the quarter around the middle, which the last one is compared with.
 */
const KEPT_SHARE = 1 / 8;
const KEPT_MAX_MS = 300_000;
const LOOKS = 40;
const LOOK_MAX_MS = 60_000;
const MISCHIEF_WITHIN_MS = 60_000;
const DRAINED_WITHIN_MS = 120_000;
/** Garbage is collected this often, so that the lowest value of each window is live memory. */
const COLLECT_EACH_MS = 30_000;
/** This share of the time is not judged: caches fill and the heap finds its size. */
const WARM_UP = 0.25;
const MIB = 2 ** 20;

export async function soakRun(t: TestEnd, options: SoakOptions): Promise<SoakOutcome> {
  const { minutes, seed, onProgress, firstMs = FIRST_MS, idleMs = IDLE_MS, faultEachMs = FAULT_EACH_MS } = options;
  const random = seededRandom(seed);
  const loadMs = minutes * 60_000;
  // The hub's default limits: they are what keeps the neighbours in check.
  const world = await makeChaosWorld(t, { tree: options.tree, limits: {}, hubTiming: keptFor(loadMs) });
  const log = newFaultLog();
  const hub = keepRunning({
    name: 'hub',
    start: (env) => world.startHub({ env: { ...env, ...MALLOC, COLLECT_EACH_MS: String(COLLECT_EACH_MS) } }),
  });
  if ((await hub.current().ready) === null) throw new Error('the hub did not start');
  const proxies = await Promise.all(Array.from({ length: LINES }, () => tcpProxy(t, world.hubPort)));
  const real = Array.from({ length: Math.min(options.real ?? REAL, options.sidecars) }, (_, n) => `real-${n + 1}`);
  for (const [n, agentId] of real.entries()) await world.enrol({ agentId, hubPort: proxies[n % LINES]?.port, slots: SLOTS });
  const lines = proxies.map((proxy, n): Line => ({ proxy, agents: real.filter((_, at) => at % LINES === n), isBusy: false }));
  const sidecars = real.map((agentId) => keepSidecar(world, agentId, log.absences));
  const ports = proxies.map(({ port }) => port);
  const watched = await startWatched(t, world, { ports, count: options.watched ?? WATCHED, collectEachMs: COLLECT_EACH_MS });
  const light = await startLight(t, world, options.tree, { count: options.sidecars - real.length, ports });
  const all = [...sidecars, ...watched.sidecars];
  await Promise.all([...all.map((one) => one.current().ready), light.ready]);

  const honest = honestTasks(world);
  const filesOf = (): OpenFiles => {
    const processes: readonly (readonly [string, Program])[] = [
      ['hub', hub.current()],
      ['light sidecars', light],
      ...all.map((one) => [one.agentId, one.current()] as const),
    ];
    return Object.fromEntries(processes.map(([name, program]) => [name, openFiles(program.pid)]));
  };

  const { orders, hostile } = await neighbourTokens(world, seed);
  const surprises: string[] = [];

  // A first task on each, the hub's maximum of readers, and the neighbours, so that everything that is opened once is
  // open.
  const early = firstMs === 0 ? null : startNeighbours(t, world, options.tree, { ...orders, seed: `${seed} at first` }, firstMs);
  const first = await load(honest, random, { tasksPerSecond: options.tasksPerSecond * FIRST_RATE, forMs: firstMs, from: 0 });
  await early?.begun;
  if (early !== null) surprises.push(...(await early.stop(true)));
  await drained(honest.waiting);
  await Promise.all(Array.from({ length: READERS }, () => world.api.tasks.list({ limit: 500 })));
  await sleep(idleMs);
  const filesBefore = filesOf();

  const hubSamples: Sample[] = [];
  const watchedSamples: Record<string, Sample[]> = {};
  let walMax = 0;
  const beganMs = Date.now();
  const stopLooking = eachSecond(() => {
    const sample = sampleOf(hub.current().pid);
    if (sample !== null) hubSamples.push(sample);
    for (const [name, of] of Object.entries(watched.samples())) if (of !== null) (watchedSamples[name] ??= []).push(of);
    walMax = Math.max(walMax, bytesOf(`${world.database}-wal`));
    const rssMiB = Math.round((sample?.rssBytes ?? 0) / MIB);
    onProgress?.(Math.round((Date.now() - beganMs) / 1_000), `${honest.completed()} tasks, hub ${rssMiB} MiB`);
  });
  const over = new AbortController();
  const parts: FaultParts = { world, random, hub, sidecars, lines, log, reconnectGraceMs: 30_000, longEvery: 0 };
  const faulting = faultEach(parts, faultEachMs, over.signal);
  const looking = lookEach(
    Math.min(LOOK_MAX_MS, loadMs / LOOKS),
    async () => withMore(await readRows(world.database, hostile), watched.look()),
    over.signal,
  );
  const neighbours = startNeighbours(t, world, options.tree, orders, loadMs);
  await neighbours.begun;
  let submitted = first + (await load(honest, random, { ...options, forMs: loadMs, from: first }));
  const isMischiefDone = (): boolean => {
    const done = neighbours.now();
    return options.mischief === undefined || (done !== null && options.mischief(done));
  };
  for (const untilMs = performance.now() + MISCHIEF_WITHIN_MS; !isMischiefDone() && performance.now() < untilMs;)
    submitted += await load(honest, random, { ...options, forMs: 1_000, from: submitted });
  over.abort();
  surprises.push(...(await neighbours.stop()));
  const endedMs = Date.now();
  const [stalls, looks] = await Promise.all([faulting, looking]);
  stopLooking();

  await drained(honest.waiting);
  await sleep(idleMs);
  const filesAfter = filesOf();
  surprises.push(...hub.unasked, ...all.flatMap((one) => one.unasked), ...openTooMany(looks), ...judgeLog(world.logOf('hub')));
  if (honest.gaps() > 0) surprises.push(`the stream of events had ${honest.gaps()} gaps`);
  if (honest.waiting() > 0) {
    surprises.push(`${submitted} tasks were submitted and ${submitted - honest.waiting()} completed`);
    surprises.push(...(await honest.histories()));
  }
  const agentsMax = options.sidecars + watched.sidecars.length + HOSTILE_AGENTS;
  if (looks.some(({ rows }) => (rows['agents'] ?? 0) > agentsMax)) surprises.push(`there were more than ${agentsMax} agents`);
  const deeds = watched.deeds();
  if (Object.keys(deeds).length < AGENT_DEEDS)
    surprises.push(`of ${AGENT_DEEDS} kinds of hostile agent acts only these were done: ${Object.keys(deeds).join('; ')}`);
  await honest.stop();
  await Promise.all([...all.map((one) => one.stop()), light.kill('SIGTERM')]);
  await hub.stop();
  const fromMs = beganMs + loadMs * WARM_UP;
  return {
    submitted,
    completed: submitted - honest.waiting(),
    faults: { ...log, hub: stalls },
    hub: hubSamples.filter(({ atMs }) => atMs >= fromMs),
    lag: readLag(world.lagFile).filter(({ atMs }) => atMs >= fromMs),
    watched: Object.fromEntries(Object.entries(watchedSamples).map(([name, of]) => [name, of.filter(({ atMs }) => atMs >= fromMs)])),
    deeds,
    walMaxMiB: Math.round((walMax / MIB) * 10) / 10,
    neighbours: neighbours.now(),
    rows: judgeRows(looks, beganMs, endedMs),
    honestMs: honest.tookMs,
    filesBefore,
    filesAfter,
    surprises,
  };
}

const withMore = (look: RowSample, more: RowSample['rows']): RowSample => ({ ...look, rows: { ...look.rows, ...more } });

function keptFor(loadMs: number): Pick<HubTiming, 'endedKeptMs' | 'deadLetterKeptMs' | 'tombstoneMs'> {
  const keptMs = Math.round(Math.min(KEPT_MAX_MS, loadMs * KEPT_SHARE));
  return { endedKeptMs: keptMs, deadLetterKeptMs: keptMs, tombstoneMs: 2 * keptMs };
}

/** The neighbours end what they submit; more than their own bound means that something of theirs stayed. */
function openTooMany(looks: readonly RowSample[]): readonly string[] {
  const most = Math.max(0, ...looks.map(({ rows }) => rows['hostile tasks not ended'] ?? 0));
  return most > HOSTILE_OPEN_MAX ? [`${most} tasks of the neighbours had not ended, at most ${HOSTILE_OPEN_MAX} may be`] : [];
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
    sidecars.push({ agentId, token: (await world.api.tokens.create({ agent_id: agentId })).token });
  }
  const file = join(world.dir, 'light.json');
  const setting: LightSetting = { ports, sidecars, sources: 1, countFile: null };
  writeFileSync(file, JSON.stringify(setting), { mode: 0o600 });
  const args = [tree.compiled('test/chaos/soak/soak-sidecars.ts'), file];
  const program = startProgram({ args, cwd: world.dir, logFile: world.logOf('light') });
  t.teardown(async () => void (await program.kill('SIGKILL')));
  return program;
}

/** Submits at an even rate, and returns how many. */
async function load(
  submitClient: Pick<Submitter, 'submit'>,
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
    const submit: Promise<unknown> = submitClient.submit(`soak-${from + n}`, body).finally(() => submits.delete(submit));
    submits.add(submit);
  }
  await Promise.all(submits);
  return count;
}

async function drained(waiting: () => number): Promise<void> {
  const untilMs = performance.now() + DRAINED_WITHIN_MS;
  while (waiting() > 0 && performance.now() < untilMs) await sleep(100);
}

/** Samples now and at each interval until it is over. */
async function lookEach(everyMs: number, look: () => Promise<RowSample>, over: AbortSignal): Promise<readonly RowSample[]> {
  const looks = [await look()];
  while (await passes(everyMs, over)) looks.push(await look());
  return looks;
}

/** Whether this much time passed before it was over. */
const passes = (forMs: number, over: AbortSignal): Promise<boolean> =>
  sleep(forMs, true, { signal: over }).catch((error: Error) => {
    if (error.name === 'AbortError') return false;
    throw error;
  });

/** In turn; the hub is stalled, not killed, since its memory is watched. Returns how often it was. */
async function faultEach(parts: FaultParts, everyMs: number, over: AbortSignal): Promise<number> {
  const kinds: readonly FaultKind[] = ['sidecar', 'cut', 'agent', 'hub'];
  let stalls = 0;
  for (let n = 0; await passes(everyMs, over); n += 1) {
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
  return stalls;
}
