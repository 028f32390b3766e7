/** What is done with each queue. Every scenario begins and ends with an empty one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { treeCpuMs } from '../rig/bench-hub.ts';
import { recordTimes, type Spread } from '../load/spread.ts';
import type { Participant } from './participants.ts';
import type { SubmitPlan } from './participant.ts';
import type { Figures } from './peer-table.ts';

/** One run on one queue. */
export interface PeerRun {
  readonly submitter: Participant;
  readonly worker: Participant;
  /** Of everything whose CPU time counts; children count too. */
  readonly pids: readonly number[];
  readonly isSynchronous: boolean;
  readonly isQuick: boolean;
  /** Numbers for this many tasks; returns the first. */
  take(count: number): number;
  /** Stores a result, and when it was measured. */
  tell(scenario: string, n: number, figures: Figures, window: TimeWindow): void;
}

/** Milliseconds of the machine's monotonic clock. */
export interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

const IN_FLIGHT = 64;
const PER_REQUEST = 500;
const RATES = [200, 2_000];

export const PEER_SCENARIOS: Readonly<Record<string, (run: PeerRun) => Promise<void>>> = {
  async singles(run) {
    const count = run.isQuick ? 1_000 : 20_000;
    const first = run.take(count);
    const { value, cpuOf } = await costed(run, () => run.submitter.do('submit', { first, count, how: lines(run) }));
    const { sentMs, answeredMs } = value;
    const { perSecond, window } = rateOf(count, Math.min(...sentMs), answeredMs);
    // One at a time is not comparable with many: most of their time is waiting for each other.
    const times = run.isSynchronous ? undefined : timesBetween(sentMs, answeredMs);
    run.tell(`singles, ${IN_FLIGHT} in flight`, count, { perSecond, ...cpuOf(count), ...percentilesOf(times) }, window);
    await workOff(run, first, count);
  },

  async bulk(run) {
    const count = run.isQuick ? 2_000 : 20_000;
    const first = run.take(count);
    const { value, cpuOf } = await costed(run, () => run.submitter.do('submit', bulk(first, count)));
    const { perSecond, window } = rateOf(count, Math.min(...value.sentMs), value.answeredMs);
    run.tell(`bulk, ${PER_REQUEST} a request`, count, { perSecond, ...cpuOf(count) }, window);
    await workOff(run, first, count);
  },

  async drain(run) {
    const count = run.isQuick ? 2_000 : 20_000;
    const first = run.take(count);
    await run.submitter.do('submit', bulk(first, count));
    const { value, cpuOf } = await costed(run, async () => ({
      startedMs: await run.worker.do('start', { first, count }),
      completedMs: await run.worker.do('all', undefined),
    }));
    const { perSecond, window } = rateOf(count, value.startedMs, value.completedMs);
    run.tell(`drain, ${count.toLocaleString('en-US')} waiting`, count, { perSecond, ...cpuOf(count) }, window);
    await run.worker.do('stop', undefined);
  },

  async together(run) {
    const count = run.isQuick ? 1_000 : 20_000;
    const first = run.take(count);
    await throughBoth(run, 'submitted and worked on together', { first, count, how: lines(run) }, 0);
  },

  async idle(run) {
    const [count, untilMs] = run.isQuick ? [50, 2_000] : [500, 10_000];
    const first = run.take(count);
    const times = recordTimes();
    await run.worker.do('start', { first, count });
    const fromMs = performance.now();
    const {
      value: done,
      cpuOf,
      window,
    } = await costed(run, async () => {
      let n = 0;
      for (; n < count && performance.now() - fromMs < untilMs; n += 1) {
        const { sentMs } = await run.submitter.do('submit', { first: first + n, count: 1, how: { inFlight: 1 } });
        times.record((await run.worker.do('one', { n: first + n })) - (sentMs[0] ?? 0));
        // Varied, so as not to keep step with any timer.
        await sleep(1 + ((n * 7) % 10));
      }
      return n;
    });
    // What was not submitted is returned.
    run.take(done - count);
    run.tell('one at a time, submit → completed', done, { ...cpuOf(done), ...percentilesOf(times.spread()) }, window);
    await run.worker.do('stop', undefined);
  },

  async rate(run) {
    for (const perSecond of RATES) {
      // The first second is not counted.
      const count = perSecond * (run.isQuick ? 2 : 6);
      const first = run.take(count);
      const name = `${perSecond.toLocaleString('en-US')} tasks/s, submit → completed`;
      await throughBoth(run, name, { first, count, how: { perSecond } }, perSecond);
    }
  },
};

/** Opens connections, fills caches, and lets V8 compile most hot code. */
export async function warmUp(run: PeerRun): Promise<void> {
  const half = run.isQuick ? 250 : 5_000;
  const first = run.take(2 * half);
  await run.worker.do('start', { first, count: 2 * half });
  await run.submitter.do('submit', { first, count: half, how: lines(run) });
  await run.submitter.do('submit', bulk(first + half, half));
  await run.worker.do('all', undefined);
  await run.worker.do('stop', undefined);
}

/**
 * Runs the scenario in small rounds that are not measured, for this long. V8 compiles what a scenario runs only while
 * it runs: what is measured afterwards is as fast as in a process that has run for long.
 */
export async function warmUpWith(run: PeerRun, scenario: string, ms: number): Promise<void> {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) await PEER_SCENARIOS[scenario]?.({ ...run, isQuick: true, tell: () => undefined });
}

const lines = ({ isSynchronous }: PeerRun): SubmitPlan['how'] => ({ inFlight: isSynchronous ? 1 : IN_FLIGHT });
const bulk = (first: number, count: number): SubmitPlan => ({ first, count, how: { perRequest: PER_REQUEST } });

/** Submits while the worker runs. Times are those of the tasks after the first `uncounted`. */
async function throughBoth(run: PeerRun, name: string, plan: SubmitPlan, uncounted: number): Promise<void> {
  const { first, count } = plan;
  await run.worker.do('start', { first, count });
  const { value, cpuOf } = await costed(run, async () => {
    const [{ sentMs }, completedMs] = await Promise.all([run.submitter.do('submit', plan), run.worker.do('all', undefined)]);
    return { sentMs, completedMs };
  });
  const { sentMs, completedMs } = value;
  const { perSecond, window } = rateOf(count, Math.min(...sentMs), completedMs);
  const times = timesBetween(sentMs.subarray(uncounted), completedMs.subarray(uncounted));
  run.tell(name, count, { perSecond, ...cpuOf(count), ...percentilesOf(times) }, window);
  await run.worker.do('stop', undefined);
}

async function workOff({ worker }: PeerRun, first: number, count: number): Promise<void> {
  await worker.do('start', { first, count });
  await worker.do('all', undefined);
  await worker.do('stop', undefined);
}

interface Costed<T> {
  readonly value: T;
  /** CPU time of all processes together, and of each, per task. */
  cpuOf(count: number): Pick<Figures, 'cpuUs' | 'cpuUsOf'>;
  readonly window: TimeWindow;
}

async function costed<T>({ submitter, worker, pids }: PeerRun, work: () => Promise<T>): Promise<Costed<T>> {
  const processes = { submitter: [submitter.pid], worker: [worker.pid], ...(pids.length === 0 ? {} : { server: pids }) };
  const cpuMs = (): readonly number[] => Object.values(processes).map((some) => sum(some.map(treeCpuMs)));
  const [before, fromMs] = [cpuMs(), nowMs()];
  const value = await work();
  const window = { fromMs, toMs: nowMs() };
  const tookMs = cpuMs().map((ms, n) => ms - (before[n] ?? 0));
  return {
    value,
    cpuOf: (count) => ({
      cpuUs: (sum(tookMs) * 1_000) / count,
      cpuUsOf: Object.fromEntries(Object.keys(processes).map((name, n) => [name, ((tookMs[n] ?? 0) * 1_000) / count])),
    }),
    window,
  };
}

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

function rateOf(count: number, fromMs: number, endsMs: Float64Array): { readonly perSecond: number; readonly window: TimeWindow } {
  const toMs = endsMs.reduce((latest, each) => Math.max(latest, each), 0);
  return { perSecond: (count * 1_000) / (toMs - fromMs), window: { fromMs, toMs } };
}

function timesBetween(fromMs: Float64Array, toMs: Float64Array): Spread {
  const times = recordTimes();
  fromMs.forEach((from, n) => times.record((toMs[n] ?? 0) - from));
  return times.spread();
}

const percentilesOf = (times: Spread | undefined): Pick<Figures, 'p50Ms' | 'p99Ms'> => ({ p50Ms: times?.p50Ms, p99Ms: times?.p99Ms });
