/** Real processes killed at random moments and networks cut, while tasks run: what `npm run chaos` does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../product/twins/ids-seeded/seeded-random.ts';
import { tcpProxy } from '../../durability/tcp-proxy.ts';
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
import { bytesOf, eachSecond, readLag, sampleOf } from '../rig/gauges.ts';
import { judgeWorld, settle, stopAll } from '../rig/closing.ts';
import type { Verdict } from '../rig/chaos-judge.ts';
import { readStream, submitter } from '../rig/observed.ts';
import { shuffled } from '../rig/shuffled.ts';
import { submitAll } from '../rig/tasks/submit-all.ts';
import { makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';

export interface ChaosCounts {
  readonly tasks: number;
  readonly sidecars: number;
  readonly killsHub: number;
  readonly killsSidecar: number;
  readonly killsAgent: number;
  readonly cuts: number;
}

export interface ChaosOptions extends ChaosCounts {
  readonly tree: BuiltTree;
  readonly seed: string;
  /** One outage in this many is longer than the grace period; default 25. */
  readonly longEvery?: number | undefined;
  readonly onProgress?: (completed: number, note: string) => void;
}

export interface ChaosOutcome {
  readonly verdict: Verdict;
  readonly faults: FaultLog;
  readonly repeatedSubmits: number;
  readonly askedAgain: number;
  /** What ended by itself, did not stop when told, or answered a repeat differently. */
  readonly surprises: readonly string[];
  readonly seconds: number;
  readonly hubRssMaxMiB: number;
  readonly sidecarRssMaxMiB: number;
  readonly lagP99MaxMs: number;
  readonly lagMaxMs: number;
  readonly walMaxMiB: number;
}

const SLOTS = 2;
/** Sidecars whose connections go through one proxy. */
const ON_ONE_LINE = 5;
const SUBMITTERS = 8;
/** Faults are injected while tasks up to this share are completed, so that the last ones still hit running work. */
const FAULTS_UNTIL = 0.95;
/** After its moment has come a fault waits for up to this, in milliseconds. */
const JITTER_MS = 400;
const LONG_EVERY = 25;
const RECONNECT_GRACE_MS = 30_000;
/** If no task ends for this long, the run stops waiting: longer than the grace period and a whole round of restarts. */
const STUCK_MS = 120_000;
const LOOK_MS = 20;
const MIB = 2 ** 20;

export async function chaosRun(t: TestEnd, options: ChaosOptions): Promise<ChaosOutcome> {
  const { seed, longEvery = LONG_EVERY, onProgress } = options;
  const reconnectGraceMs = RECONNECT_GRACE_MS;
  const random = seededRandom(seed);
  const beganMs = performance.now();
  const timing = { reconnectGraceMs, quietAfterStartMs: reconnectGraceMs };
  const world = await makeChaosWorld(t, { tree: options.tree, hubTiming: timing });
  const log = newFaultLog();
  const hub = keepRunning({ name: 'hub', start: (env) => world.startHub({ env }) });
  if ((await hub.current().ready) === null) throw new Error('the hub did not start');
  const lines = await enrolAll(t, world, options.sidecars);
  const sidecars = lines.flatMap(({ agents }) => agents.map((agentId) => keepSidecar(world, agentId, log.absences)));
  const ending = new AbortController();
  let ended = 0;
  let endedAtMs = performance.now();
  const stream = readStream(world.api, ({ event }) => {
    if (event !== 'completed' && event !== 'dead_lettered') return;
    ended += 1;
    endedAtMs = performance.now();
    onProgress?.(ended, note(log));
  });
  const told = submitter(world.api, ending.signal);
  const gauges = watchGauges(world, () => [hub.current().pid, ...sidecars.map((one) => one.current().pid)]);
  t.teardown(async () => {
    ending.abort();
    gauges.stop();
    await stream.stop();
  });

  const parts: FaultParts = { world, random, hub, sidecars, lines, log, reconnectGraceMs, longEvery };
  let isFaulting = true;
  const faulting = doFaults(parts, options, () => ended).finally(() => (isFaulting = false));
  // As many more as needed for the last fault to have a target.
  const submitting = submitAll(told, {
    ...options,
    submitters: SUBMITTERS,
    random,
    ended: () => ended,
    goesOn: () => isFaulting && !ending.signal.aborted,
  });
  const isStuck = (): boolean => performance.now() - endedAtMs > STUCK_MS;
  const wanted = Promise.all([submitting, faulting]).then(([submitted]) => submitted);
  const all = await Promise.race([wanted, untilStuck(isStuck)]);
  while (all !== null && ended < all && !isStuck()) await sleep(LOOK_MS);
  if (isStuck()) ending.abort();

  const agents = sidecars.map((one) => one.agentId);
  await settle(world, stream, agents);
  const surprises = [
    ...(await stopAll(sidecars, hub)),
    ...told.changed.map((key) => `${key} was answered with another task than at first`),
  ];
  if (isStuck()) surprises.push(`no task ended for ${STUCK_MS} ms; ${ended} had`);
  const verdict = await judgeWorld(world, { told, stream, log, reconnectGraceMs, agents, wanted: () => 'completed' });
  return {
    verdict,
    faults: log,
    repeatedSubmits: told.repeated,
    askedAgain: told.askedAgain,
    surprises,
    seconds: Math.round((performance.now() - beganMs) / 1_000),
    ...gauges.read(),
  };
}

async function untilStuck(isStuck: () => boolean): Promise<null> {
  while (!isStuck()) await sleep(LOOK_MS, undefined, { ref: false });
  return null;
}

const note = ({ hub, sidecar, agent, cut }: FaultLog): string =>
  `tasks ended; killed: hub ${hub}, sidecars ${sidecar}, agents ${agent}; ${cut} cuts`;

async function enrolAll(t: TestEnd, world: ChaosWorld, count: number): Promise<readonly Line[]> {
  const ids = Array.from({ length: count }, (_, n) => `agent-${String(n + 1).padStart(2, '0')}`);
  const lines: Line[] = [];
  while (ids.length > 0) {
    const agents = ids.splice(0, ON_ONE_LINE);
    const proxy = await tcpProxy(t, world.hubPort);
    for (const agentId of agents) await world.enrol({ agentId, hubPort: proxy.port, slots: SLOTS });
    lines.push({ proxy, agents, isBusy: false });
  }
  return lines;
}

/** Each fault has its moment: a number of ended tasks, and a moment after. */
async function doFaults(parts: FaultParts, counts: ChaosCounts, ended: () => number): Promise<void> {
  const { random } = parts;
  const of = (kind: FaultKind, count: number): FaultKind[] => Array.from({ length: count }, () => kind);
  const faults = shuffled(
    [...of('hub', counts.killsHub), ...of('sidecar', counts.killsSidecar), ...of('agent', counts.killsAgent), ...of('cut', counts.cuts)],
    random,
  );
  const running: Promise<void>[] = [];
  for (const [index, kind] of faults.entries()) {
    const dueAt = Math.floor((counts.tasks * FAULTS_UNTIL * (index + (random() % 100) / 100)) / faults.length);
    while (ended() < dueAt) await sleep(LOOK_MS);
    await sleep(random() % JITTER_MS);
    const doing = doFault(kind, parts);
    running.push(doing);
    // There is one hub: its faults come one after the other.
    if (kind === 'hub') await doing;
  }
  await Promise.all(running);
}

/** Samples each second until `stop` or `read`, which return the maximum seen. */
function watchGauges(world: ChaosWorld, pids: () => readonly number[]) {
  let [hubRss, sidecarRss, wal] = [0, 0, 0];
  const stop = eachSecond(() => {
    const [hub = 0, ...sidecars] = pids().map((pid) => sampleOf(pid)?.rssBytes ?? 0);
    hubRss = Math.max(hubRss, hub);
    sidecarRss = Math.max(sidecarRss, ...sidecars);
    wal = Math.max(wal, bytesOf(`${world.database}-wal`));
  });
  const read = () => {
    stop();
    const lag = readLag(world.lagFile);
    return {
      hubRssMaxMiB: Math.round(hubRss / MIB),
      sidecarRssMaxMiB: Math.round(sidecarRss / MIB),
      walMaxMiB: Math.round((wal / MIB) * 10) / 10,
      lagP99MaxMs: Math.max(0, ...lag.map(({ p99Ms }) => p99Ms)),
      lagMaxMs: Math.max(0, ...lag.map(({ maxMs }) => maxMs)),
    };
  };
  return { stop, read };
}
