/** Submits alone, without workers: one per request with 64 in flight, and many per request. */
import { isDefault, repeated, resultOf, withHub, type Bench, type Run, type Scenario } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import type { Pair } from '../rig/result.ts';
import { commitsOf, LIMITS } from './limits-scenario.ts';

interface Case {
  readonly what: string;
  readonly perRequest: number;
  readonly inFlight: number;
  readonly withKeys: boolean;
  readonly count: number;
  /** 0: a quick run skips it. */
  readonly quickCount: number;
  limit(pair: Pair): string;
  /** Only on the default pair that people get. */
  readonly onlyDefault?: boolean;
}

const CASES: readonly Case[] = [
  {
    what: 'singles, 64 in flight',
    perRequest: 1,
    inFlight: 64,
    withKeys: false,
    count: 5_000,
    quickCount: 3_000,
    limit: ({ transport }) => LIMITS.http(transport),
  },
  {
    what: 'singles with an Idempotency-Key, 64 in flight',
    perRequest: 1,
    inFlight: 64,
    withKeys: true,
    count: 5_000,
    quickCount: 3_000,
    limit: ({ transport }) => LIMITS.http(transport),
    onlyDefault: true,
  },
  {
    what: 'bulk of 500, 2 in flight',
    perRequest: 500,
    inFlight: 2,
    withKeys: false,
    count: 15_000,
    quickCount: 10_000,
    limit: ({ storage }) => commitsOf(storage, 512),
  },
  {
    what: 'bulk of 10,000, 2 in flight',
    perRequest: 10_000,
    inFlight: 2,
    withKeys: false,
    count: 20_000,
    quickCount: 0,
    limit: ({ storage }) => commitsOf(storage, 512),
    onlyDefault: true,
  },
];

export const submit: Scenario = {
  names: ['submit'],
  async run(bench) {
    for (const pair of bench.pairs)
      await withHub(bench, pair, async (hub, load) => {
        for (const one of CASES)
          if (bench.wants(one.what) && (isDefault(pair) || one.onlyDefault !== true) && !(bench.isQuick && one.quickCount === 0))
            await submitCase(bench, hub, load, one);
      });
  },
};

async function submitCase(bench: Bench, hub: BenchHub, load: LoadProcess, one: Case): Promise<void> {
  const { perRequest, inFlight, withKeys } = one;
  const count = bench.isQuick ? one.quickCount : isDefault(hub.pair) ? one.count : one.count / 2;
  const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
    const { value, ...cost } = await hub.measured(() =>
      load.do('submit', { ports: hub.ports, token: hub.adminToken, count, perRequest, inFlight, withKeys }),
    );
    const { seconds, answers } = value.value;
    return { figure: count / seconds, operations: count, times: answers, cost: { ...cost, loadCpuMs: value.cpuMs } };
  });
  bench.tell(resultOf(bench, hub, runs, { scenario: 'submit', what: one.what, unit: 'tasks/s', limit: one.limit(hub.pair) }));
}
