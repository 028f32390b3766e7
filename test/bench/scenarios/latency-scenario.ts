/** How long one task takes from the first byte of its submit: until a sidecar has it, and until its completion is acknowledged. */
import { isDefault, repeated, resultOf, withHub, type Bench, type Run, type Scenario } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LifecyclePlan } from '../load/lifecycle-load.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import { round } from '../rig/result.ts';
import { LIMITS, timeOf } from './limits-scenario.ts';

interface Case {
  readonly what: string;
  readonly submit: LifecyclePlan['submit'];
  readonly count: number;
  readonly quickCount: number;
}

const CASES: readonly Case[] = [
  { what: 'one at a time', submit: { how: 'one_at_a_time' }, count: 400, quickCount: 200 },
  { what: '200 tasks/s', submit: { how: 'rate', perSecond: 200 }, count: 400, quickCount: 200 },
  { what: '2,000 tasks/s', submit: { how: 'rate', perSecond: 2_000 }, count: 4_000, quickCount: 2_000 },
];
/** Also with two hubs on one Postgres, each of which has half of the sidecars and gets half of the submits. */
const WITH_TWO_HUBS = CASES.filter(({ what }) => what === '200 tasks/s');
const SIDECARS = 4;
const SLOTS = 16;

export const latency: Scenario = {
  names: ['latency'],
  async run(bench) {
    for (const pair of bench.pairs) {
      await withHub(bench, pair, async (hub, load) => {
        for (const one of CASES) if (bench.wants(one.what)) await latencyCase(bench, hub, load, one);
      });
      if (pair.storage !== 'postgres') continue;
      const named = WITH_TWO_HUBS.map((one) => ({ ...one, what: `${one.what}, two hubs` })).filter(({ what }) => bench.wants(what));
      if (named.length === 0) continue;
      await withHub(
        bench,
        pair,
        async (hub, load) => {
          for (const one of named) await latencyCase(bench, hub, load, one);
        },
        { hubs: 2 },
      );
    }
  },
};

async function latencyCase(bench: Bench, hub: BenchHub, load: LoadProcess, one: Case): Promise<void> {
  const count = bench.isQuick ? one.quickCount : isDefault(hub.pair) ? one.count : one.count / 2;
  const lived = await repeated(bench, hub.pair, async () => {
    const sidecars = await hub.newSidecars(SIDECARS, SLOTS);
    const plan = { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count, submit: one.submit };
    const { value, ...cost } = await hub.measured(() => load.do('live', plan));
    return { ...value.value, cost: { ...cost, loadCpuMs: value.cpuMs } };
  });
  const late = Math.max(...lived.map((run) => run.late.p99Ms));
  const note = late === 0 ? undefined : `submits sent up to ${round(late)} ms late (p99)`;
  for (const [to, times] of [
    ['assignment received', lived.map(({ toAssigned }) => toAssigned)],
    ['completed', lived.map(({ toCompleted }) => toCompleted)],
  ] as const) {
    const runs = lived.map(({ cost }, n): Run => ({ figure: times[n]?.p50Ms ?? 0, operations: count, times: times[n], cost }));
    const what = `submit → ${to}, ${one.what}`;
    bench.tell({ ...resultOf(bench, hub, runs, { scenario: 'latency', what, unit: 'ms', limit: timeOf(LIMITS.sync) }), note });
  }
}
