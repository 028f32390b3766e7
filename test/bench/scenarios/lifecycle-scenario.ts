/** Whole lives of tasks: submit, assign, accept, complete, acknowledged, each step committed and through a real socket. */
import { DEFAULT_PAIR, isDefault, repeated, resultOf, withHub, type Bench, type Run, type Scenario } from '../rig/bench-rig.ts';
import { UNBOUNDED, type BenchHub } from '../rig/bench-hub.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import { median } from '../rig/result.ts';
import { commitsOf } from './limits-scenario.ts';

interface Case {
  readonly what: string;
  readonly sidecars: number;
  /** Of each. */
  readonly slots: number;
  readonly isDrain: boolean;
  readonly atOnce: boolean;
  readonly count: number;
  readonly quickCount: number;
  readonly onlyDefault?: boolean;
}

/** Submits in flight while tasks are worked on. */
const SUBMITS_IN_FLIGHT = 64;
/** Of the bulk that fills the queue. */
const FILLED_PER_REQUEST = 5_000;

const TOGETHER: Case = {
  what: '64 slots, submitted and worked on together',
  sidecars: 4,
  slots: 16,
  isDrain: false,
  atOnce: false,
  count: 5_000,
  quickCount: 2_000,
};

const CASES: readonly Case[] = [
  TOGETHER,
  { what: '64 slots, draining what waits', sidecars: 4, slots: 16, isDrain: true, atOnce: false, count: 5_000, quickCount: 2_000 },
  {
    what: '64 slots, together, completed right behind the acceptance',
    sidecars: 4,
    slots: 16,
    isDrain: false,
    atOnce: true,
    count: 5_000,
    quickCount: 2_000,
    onlyDefault: true,
  },
  { what: '16 slots, together', sidecars: 4, slots: 4, isDrain: false, atOnce: false, count: 2_000, quickCount: 1_000, onlyDefault: true },
  { what: '1 slot, together', sidecars: 1, slots: 1, isDrain: false, atOnce: false, count: 600, quickCount: 200, onlyDefault: true },
];

const THREE_HUBS: Case = {
  what: '66 slots, submitted and worked on together, three hubs',
  sidecars: 6,
  slots: 11,
  isDrain: false,
  atOnce: false,
  count: 5_000,
  quickCount: 2_500,
};

const READERS = 500;
const BESIDE_READERS = `64 slots, together, beside ${READERS} readers of all events ÷ alone`;

export const lifecycle: Scenario = {
  names: ['lifecycle'],
  async run(bench) {
    for (const pair of bench.pairs) {
      const rates = await withHub(bench, pair, async (hub, load) => {
        const rates = new Map<Case, number>();
        for (const one of CASES)
          if (bench.wants(one.what) && (isDefault(pair) || one.onlyDefault !== true))
            rates.set(one, await lifecycleCase(bench, hub, load, one));
        return rates;
      });
      if (isDefault(pair) && bench.wants(BESIDE_READERS)) await besideReaders(bench);
      if (pair.storage !== 'postgres' || !bench.wants(THREE_HUBS.what)) continue;
      const three = await withHub(bench, pair, (hub, load) => lifecycleCase(bench, hub, load, THREE_HUBS), { hubs: 3 });
      const one = rates.get(TOGETHER);
      if (one !== undefined)
        bench.tell({ scenario: 'lifecycle', what: 'three hubs ÷ one hub', unit: '×', ...pair, n: 1, runs: [three / one] });
    }
  },
};

/** Whole lives with and without readers of all events, alternating: disturbances of the machine affect both. */
async function besideReaders(bench: Bench): Promise<void> {
  const count = bench.isQuick ? TOGETHER.quickCount : 2 * TOGETHER.count;
  await withHub(
    bench,
    DEFAULT_PAIR,
    async (hub, load, another) => {
      const readers = another();
      const rate = async (): Promise<number> => {
        const sidecars = await hub.newSidecars(TOGETHER.sidecars, TOGETHER.slots);
        const submit = { how: 'in_flight', inFlight: SUBMITS_IN_FLIGHT } as const;
        const { value } = await load.do('live', { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count, submit });
        return count / value.seconds;
      };
      let mib = 0;
      const ratios = await repeated(bench, hub.pair, async (nth) => {
        const beside = async (): Promise<number> => {
          await readers.do('openReaders', { port: hub.port, token: hub.adminToken, count: READERS });
          const measured = await rate();
          const { value } = await readers.do('endReaders', undefined);
          mib += value / 2 ** 20;
          return measured;
        };
        if (nth % 2 === 0) {
          const alone = await rate();
          return (await beside()) / alone;
        }
        const withReaders = await beside();
        return withReaders / (await rate());
      });
      const note = `the readers read ${Math.round(mib)} MiB`;
      bench.tell({ scenario: 'lifecycle', what: BESIDE_READERS, unit: '×', ...DEFAULT_PAIR, n: count, runs: ratios, note });
    },
    // A token may have half of them.
    { limits: { ...UNBOUNDED, streams: 2 * READERS } },
  );
}

/** Returns the median rate. */
async function lifecycleCase(bench: Bench, hub: BenchHub, load: LoadProcess, one: Case): Promise<number> {
  const count = bench.isQuick ? one.quickCount : isDefault(hub.pair) ? one.count : one.count / 2;
  const runs = await repeated(bench, hub.pair, async (): Promise<Run> => {
    if (one.isDrain) await fill(hub, load, count);
    const sidecars = await hub.newSidecars(one.sidecars, one.slots);
    const { value, ...cost } = await hub.measured(() =>
      load.do('live', {
        ports: hub.ports,
        token: hub.adminToken,
        sidecars,
        atOnce: one.atOnce,
        count,
        submit: one.isDrain ? { how: 'waiting' } : { how: 'in_flight', inFlight: SUBMITS_IN_FLIGHT },
      }),
    );
    const { seconds, toCompleted } = value.value;
    return {
      figure: count / seconds,
      operations: count,
      times: one.isDrain ? undefined : toCompleted,
      cost: { ...cost, loadCpuMs: value.cpuMs },
    };
  });
  const labels = { scenario: 'lifecycle', what: one.what, unit: 'tasks/s', limit: commitsOf(hub.pair.storage, 64) } as const;
  bench.tell(resultOf(bench, hub, runs, labels));
  return median(runs.map(({ figure }) => figure));
}

/** Makes this many tasks wait. */
export async function fill(hub: BenchHub, load: LoadProcess, count: number): Promise<void> {
  const plan = { ports: hub.ports, token: hub.adminToken, perRequest: FILLED_PER_REQUEST, inFlight: 1, withKeys: false };
  await load.do('submit', { ...plan, count });
}
