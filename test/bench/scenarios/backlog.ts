/** The same work with more and more tasks waiting: draining, submitting, reading, sweeping, and a hub that starts over them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_PAIR, isDefault, repeated, resultOf, withHub, type Bench, type Run, type Scenario } from '../rig/bench.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import { median, type Pair, type Result } from '../rig/result.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { fill } from './lifecycle.ts';
import { commitsOf, LIMITS } from './limits.ts';

/** Tasks waiting. */
const SIZES = [1_000, 10_000, 100_000, 1_000_000];
const LONG_SIZES = [...SIZES, 10_000_000];
const QUICK_SIZES = [1_000, 20_000];
/** Elsewhere than on what people get unless they choose. */
const OTHER_SIZES = [1_000, 100_000];
/** Tasks of each run; they are added before a drain, so that the size is what is left. */
const DRAINED = 8_000;
const SUBMITTED = 8_000;
const QUICK_SHARE = 0.25;
const READS = 200;
const RESTARTS = 3;
const FILLED_AT_ONCE = 50_000;
/** Between two sweeps while their cost is measured, and for how long. */
const SWEEP_MS = 100;
const SWEEPING_MS = 3_000;
/** A hub that has started does nothing more after this. */
const SETTLED_MS = 1_000;

/** One hub at one size. */
interface Grown {
  readonly bench: Bench;
  readonly hub: BenchHub;
  readonly load: LoadProcess;
  readonly waiting: number;
}

export const backlog: Scenario = {
  names: ['backlog', 'restart'],
  async run(bench) {
    for (const pair of pairsOf(bench))
      await withHub(bench, pair, async (hub, load) => {
        const sizes = sizesOf(bench, pair);
        let waiting = 0;
        const drainsAt = new Map<number, number>();
        for (const size of sizes) {
          await grow(bench, hub, load, size - waiting);
          waiting = size;
          const grown = { bench, hub, load, waiting };
          if (bench.isAsked('backlog')) drainsAt.set(size, await measureAt(grown));
          if (bench.isAsked('restart')) await restarts(grown);
        }
        tellFlatness(bench, pair, drainsAt);
      });
  },
};

/** The transport has no part in it: one pair for each storage. */
const pairsOf = (bench: Bench): readonly Pair[] =>
  bench.pairs.filter(
    (pair, n) =>
      bench.pairs.findIndex(({ storage }) => storage === pair.storage) === n &&
      (!bench.isQuick || isDefault(pair) || bench.pairs.length === 1),
  );

const sizesOf = (bench: Bench, { storage }: Pair): readonly number[] =>
  bench.isQuick ? QUICK_SIZES : storage !== DEFAULT_PAIR.storage ? OTHER_SIZES : bench.isLong ? LONG_SIZES : SIZES;

async function grow(bench: Bench, hub: BenchHub, load: LoadProcess, count: number): Promise<void> {
  const bar = progressBar(count);
  for (let done = 0; done < count;) {
    const some = Math.min(FILLED_AT_ONCE, count - done);
    await fill(hub, load, some);
    done += some;
    if (!bench.isQuiet) bar.at(done, 'waiting tasks stored');
  }
  if (!bench.isQuiet) bar.end();
}

/** Answers how many tasks a second are drained. */
async function measureAt(grown: Grown): Promise<number> {
  const perSecond = await drains(grown);
  await submits(grown);
  await reads(grown);
  await sweeps(grown);
  return perSecond;
}

/** What is left of the rate with the fewest waiting when the most wait. */
function tellFlatness(bench: Bench, pair: Pair, drainsAt: ReadonlyMap<number, number>): void {
  const [[least, fast] = [], [most, slow] = []] = [[...drainsAt].at(0), [...drainsAt].at(-1)];
  if (least === undefined || most === undefined || fast === undefined || slow === undefined || least === most) return;
  const words = (size: number): string => `${size.toLocaleString('en-US')} waiting`;
  bench.tell({ scenario: 'backlog', what: `drain, ${words(most)} ÷ ${words(least)}`, unit: '×', ...pair, n: 1, runs: [slow / fast] });
}

/** Part of a series over the number of waiting tasks. */
function tellAt({ bench, waiting }: Grown, result: Result): void {
  const what = `${result.what}, ${waiting.toLocaleString('en-US')} waiting`;
  if (bench.wants(what)) bench.tell({ ...result, what, series: { name: result.what, over: 'waiting tasks', at: waiting } });
}

const shareOf = (bench: Bench, count: number): number => (bench.isQuick ? count * QUICK_SHARE : count);

async function drains(grown: Grown): Promise<number> {
  const { bench, hub, load } = grown;
  const count = shareOf(bench, DRAINED);
  const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
    await fill(hub, load, count);
    const sidecars = await hub.newSidecars(4, 16);
    const plan = { port: hub.port, token: hub.adminToken, sidecars, atOnce: false, count, submit: { how: 'waiting' } } as const;
    const { value, ...cost } = await hub.measured(() => load.do('live', plan));
    return { figure: count / value.value.seconds, operations: count, cost: { ...cost, loadCpuMs: value.cpuMs } };
  });
  const told = { scenario: 'backlog', what: 'drain', unit: 'tasks/s', limit: commitsOf(hub.pair.storage, 64) } as const;
  const result = resultOf(bench, hub, runs, told);
  tellAt(grown, result);
  return median(result.runs);
}

async function submits(grown: Grown): Promise<void> {
  const { bench, hub, load } = grown;
  const count = shareOf(bench, SUBMITTED);
  const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
    const plan = { port: hub.port, token: hub.adminToken, count, perRequest: 1, inFlight: 64, withKeys: false };
    const { value, ...cost } = await hub.measured(() => load.do('submit', plan));
    const { seconds, answers } = value.value;
    return { figure: count / seconds, operations: count, times: answers, cost: { ...cost, loadCpuMs: value.cpuMs } };
  });
  const told = { scenario: 'backlog', what: 'submit', unit: 'tasks/s', limit: LIMITS.http(hub.pair.transport) } as const;
  tellAt(grown, resultOf(bench, hub, runs, told));
}

/** What people and dashboards ask; the figure is the 99th of a hundred, since one slow answer is what is noticed. */
async function reads(grown: Grown): Promise<void> {
  const { bench, hub, load } = grown;
  const some = await hub.api.list({ limit: 50 });
  const asked: Readonly<Record<string, readonly string[]>> = {
    'list, the newest 50': ['/api/tasks?limit=50'],
    'list, 50 that wait': ['/api/tasks?status=queued&limit=50'],
    'list, 50 that are completed': ['/api/tasks?status=completed&limit=50'],
    stats: ['/api/tasks/stats'],
    'get one task': some.tasks.map(({ id }) => `/api/tasks/${id}`),
  };
  for (const [what, paths] of Object.entries(asked)) {
    const count = shareOf(bench, READS);
    const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
      const { value, ...cost } = await hub.measured(() => load.do('read', { port: hub.port, token: hub.adminToken, paths, count }));
      return { figure: value.value.p99Ms, operations: count, times: value.value, cost: { ...cost, loadCpuMs: value.cpuMs } };
    });
    tellAt(grown, resultOf(bench, hub, runs, { scenario: 'backlog', what, unit: 'ms' }));
  }
}

/** Processor time of one sweep: of a hub that sweeps all the time, over what it takes at rest. */
async function sweeps(grown: Grown): Promise<void> {
  const { hub } = grown;
  const restFor = async (timing: Readonly<Record<string, number>>) => {
    await hub.restart(timing);
    await sleep(SETTLED_MS);
    return hub.measured(() => sleep(SWEEPING_MS));
  };
  const atRest = await restFor({});
  const sweeping = await restFor({ sweepMs: SWEEP_MS });
  await hub.restart();
  const count = SWEEPING_MS / SWEEP_MS;
  const ms = Math.max(0, sweeping.hubCpuMs + (sweeping.databaseCpuMs ?? 0) - atRest.hubCpuMs - (atRest.databaseCpuMs ?? 0)) / count;
  const result: Result = {
    scenario: 'backlog',
    what: 'one sweep (CPU)',
    unit: 'ms',
    ...hub.pair,
    n: count,
    runs: [ms],
    hubMiB: sweeping.hubMiB,
  };
  tellAt(grown, result);
}

/** From the start of the program, after a kill -9, to the first task in a sidecar's hands. */
async function restarts(grown: Grown): Promise<void> {
  const { bench, hub, load } = grown;
  const runs: Run[] = [];
  for (let nth = 0; nth <= (bench.isQuick ? 1 : RESTARTS); nth += 1) {
    const sidecars = await hub.newSidecars(1, 1);
    const { first, startedAtMs } = await hub.killed(() => load.do('firstAssignment', { port: hub.port, sidecars }));
    const cost = { hubCpuMs: hub.cpuMs(), databaseCpuMs: null, loadCpuMs: 0, hubMiB: 0 };
    if (nth > 0) runs.push({ figure: first.value - startedAtMs, operations: 1, cost });
  }
  tellAt(grown, {
    ...resultOf(bench, hub, runs, { scenario: 'restart', what: 'start → first assignment', unit: 'ms' }),
    hubMiB: undefined,
    cpuUs: undefined,
  });
}
