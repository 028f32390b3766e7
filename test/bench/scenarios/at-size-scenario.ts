/** One hub that contains a certain number of something: what work, reads, sweeps and a start cost there. */
import { setTimeout as sleep } from 'node:timers/promises';
import { repeated, resultOf, type Bench, type Run } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LightSidecarsPlan } from '../load/light-sidecars.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import type { Result } from '../rig/result.ts';
import { fill } from './lifecycle-scenario.ts';
import { commitsOf, LIMITS } from './limits-scenario.ts';

export interface AtSize {
  readonly bench: Bench;
  readonly hub: BenchHub;
  readonly load: LoadProcess;
  readonly scenario: string;
  /** What is counted, as printed after the number: `waiting tasks`. */
  readonly over: string;
  readonly at: number;
  /** Waits until everything that is counted is there again after the hub came back. */
  readonly back?: (() => Promise<void>) | undefined;
  /** Number of timed starts of the hub; by default as many as other runs. */
  readonly restarts?: number | undefined;
}

/** Tasks of each run. */
const WORKED = 1_600;
const READS = 100;
const QUICK_SHARE = 0.25;
const RESTARTS = 3;
const SIDECARS = 4;
const SLOTS = 16;
/** Sidecars with as many slots as allowed, so that many tasks take each step together. */
const STEPPING = 16;
const STEPPING_SLOTS = 125;
const SUBMITS_IN_FLIGHT = 64;
/** Interval between two sweeps while their cost is measured, and for how long. */
const SWEEP_MS = 100;
const SWEEPING_MS = 2_000;
/** A hub that has started is idle after this. */
const SETTLED_MS = 1_000;

/** A point of a series over that number. */
function tellAt({ bench, over, at }: AtSize, result: Result): void {
  const what = `${result.what}, ${at.toLocaleString('en-US')} ${over}`;
  if (bench.wants(what)) bench.tell({ ...result, what, series: { name: result.what, over, at } });
}

const shareOf = (bench: Bench, count: number): number => (bench.isQuick ? count * QUICK_SHARE : count);

/** Drains this many of the waiting tasks. */
export async function drain(hub: BenchHub, load: LoadProcess, count: number): Promise<Run> {
  const sidecars = await hub.newSidecars(SIDECARS, SLOTS);
  const plan = { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count, submit: { how: 'waiting' } } as const;
  const { value, ...cost } = await hub.measured(() => load.do('live', plan));
  return { figure: count / value.value.seconds, operations: count, cost: { ...cost, loadCpuMs: value.cpuMs } };
}

/** Submits tasks, and then drains as many: the number of waiting tasks stays the same. */
export async function workAt(here: AtSize): Promise<void> {
  const { bench, hub, load, scenario } = here;
  const count = shareOf(bench, WORKED);
  const plan = { ports: hub.ports, token: hub.adminToken, count };
  const both = await repeated(bench, hub.pair, async () => {
    const submitted = await hub.measured(() => load.do('submit', { ...plan, perRequest: 1, inFlight: SUBMITS_IN_FLIGHT, withKeys: false }));
    return { submitted, drained: await drain(hub, load, count) };
  });
  const submits = both.map(({ submitted: { value, ...cost } }): Run => {
    const { seconds, answers } = value.value;
    return { figure: count / seconds, operations: count, times: answers, cost: { ...cost, loadCpuMs: value.cpuMs } };
  });
  const drains = both.map(({ drained }) => drained);
  const { storage, transport } = hub.pair;
  tellAt(here, resultOf(bench, hub, submits, { scenario, what: 'submit', unit: 'tasks/s', limit: LIMITS.http(transport) }));
  tellAt(here, resultOf(bench, hub, drains, { scenario, what: 'drain', unit: 'tasks/s', limit: commitsOf(storage, 64) }));
}

/** Has all of these work while tasks are submitted. */
export async function throughAt(here: AtSize, sidecars: LightSidecarsPlan['sidecars']): Promise<void> {
  const { bench, hub, load, scenario } = here;
  const count = shareOf(bench, WORKED);
  const plan = { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count };
  const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
    const { value, ...cost } = await hub.measured(() =>
      load.do('live', { ...plan, submit: { how: 'in_flight', inFlight: SUBMITS_IN_FLIGHT } }),
    );
    return { figure: count / value.value.seconds, operations: count, cost: { ...cost, loadCpuMs: value.cpuMs } };
  });
  const labels = { scenario, what: 'whole lives, all agents working', unit: 'tasks/s', limit: commitsOf(hub.pair.storage, 64) } as const;
  // CPU time includes connecting all of them, which is not part of a task's cost.
  tellAt(here, { ...resultOf(bench, hub, runs, labels), cpuUs: undefined });
}

/** The cost of each step if many tasks take it together: being assigned, from the sidecars' connecting; being accepted; being completed. */
export async function stepsAt(here: AtSize): Promise<void> {
  const { bench, hub, load, scenario } = here;
  const stepping = shareOf(bench, STEPPING);
  const count = stepping * STEPPING_SLOTS;
  const all = await repeated(bench, hub.pair, async () => {
    await fill(hub, load, count);
    const sidecars = await hub.newSidecars(stepping, STEPPING_SLOTS);
    const assign = await hub.measured(() => load.do('assignAll', { ports: hub.ports, sidecars, count }));
    const accept = await hub.measured(() => load.do('acceptAll', undefined));
    const complete = await hub.measured(() => load.do('completeAll', undefined));
    return { assign, accept, complete };
  });
  for (const what of ['assign', 'accept', 'complete'] as const) {
    const runs = all.map(({ [what]: { value, ...cost } }): Run => {
      return { figure: count / value.value, operations: count, cost: { ...cost, loadCpuMs: value.cpuMs } };
    });
    const labels = { scenario, what, unit: 'tasks/s', limit: commitsOf(hub.pair.storage, 512) } as const;
    tellAt(here, resultOf(bench, hub, runs, labels));
  }
}

/** What people and dashboards request; the figure is the 99th of a hundred, since one slow answer is what is noticed. */
export async function readsAt(here: AtSize, more: Readonly<Record<string, readonly string[]>> = {}): Promise<void> {
  const { bench, hub, load, scenario } = here;
  const some = await hub.api.tasks.list({ limit: 50 });
  const requested: Readonly<Record<string, readonly string[]>> = {
    'list, the newest 50': ['/api/tasks?limit=50'],
    'list, 50 that wait': ['/api/tasks?status=queued&limit=50'],
    'list, 50 that are completed': ['/api/tasks?status=completed&limit=50'],
    stats: ['/api/tasks/stats'],
    'get one task': some.tasks.map(({ id }) => `/api/tasks/${id}`),
    ...more,
  };
  for (const [what, paths] of Object.entries(requested)) {
    const count = shareOf(bench, READS);
    const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
      const { value, ...cost } = await hub.measured(() => load.do('read', { port: hub.port, token: hub.adminToken, paths, count }));
      return { figure: value.value.p99Ms, operations: value.value.count, times: value.value, cost: { ...cost, loadCpuMs: value.cpuMs } };
    });
    tellAt(here, resultOf(bench, hub, runs, { scenario, what, unit: 'ms' }));
  }
}

/** CPU time of one sweep: of a hub that sweeps all the time, above what it takes when idle. */
export async function sweepsAt(here: AtSize): Promise<void> {
  const { hub, scenario } = here;
  const restFor = async (timing: Readonly<Record<string, number>>) => {
    await hub.restart(timing);
    await here.back?.();
    await sleep(SETTLED_MS);
    return hub.measured(() => sleep(SWEEPING_MS));
  };
  const sweeping = await restFor({ sweepMs: SWEEP_MS });
  const atRest = await restFor({});
  const count = SWEEPING_MS / SWEEP_MS;
  const ms = Math.max(0, sweeping.hubCpuMs + (sweeping.databaseCpuMs ?? 0) - atRest.hubCpuMs - (atRest.databaseCpuMs ?? 0)) / count;
  const result: Result = {
    scenario,
    what: 'one sweep (CPU)',
    unit: 'ms',
    ...hub.pair,
    n: count,
    runs: [ms],
    hubMiB: sweeping.hubMiB,
    durability: hub.durability,
  };
  tellAt(here, result);
}

/** From the start of the program, after a kill -9, to the first task assigned to a sidecar. */
export async function restartsAt(here: AtSize): Promise<void> {
  const { bench, hub, load, scenario, over } = here;
  const runs: Run[] = [];
  const restarts = bench.isQuick ? 1 : (here.restarts ?? RESTARTS);
  // The first assignment needs a waiting task.
  await fill(hub, load, restarts + 1);
  for (let nth = 0; nth <= restarts; nth += 1) {
    await here.back?.();
    const sidecars = await hub.newSidecars(1, 1);
    const { first, startedAtMs } = await hub.killed(() => load.do('firstAssignment', { ports: hub.ports, sidecars }));
    const cost = { hubCpuMs: hub.cpuMs(), databaseCpuMs: null, loadCpuMs: 0, hubMiB: 0 };
    if (nth > 0) runs.push({ figure: first.value - startedAtMs, operations: 1, cost });
  }
  tellAt(here, {
    ...resultOf(bench, hub, runs, {
      scenario: over === 'waiting tasks' ? 'restart' : scenario,
      what: 'start → first assignment',
      unit: 'ms',
    }),
    hubMiB: undefined,
    cpuUs: undefined,
  });
}
