/** The same work with more and more tasks waiting: draining, submitting, reading, sweeping, and starting a hub over them. */
import { DEFAULT_PAIR, repeated, withHub, type Bench, type Scenario } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import type { Pair } from '../rig/result.ts';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { bareDrains } from '../bare/bare-flatness.ts';
import { startBare, startBarePostgres, type StartedBare } from '../bare/start-bare.ts';
import { drain, readsAt, restartsAt, stepsAt, sweepsAt, workAt, type AtSize } from './at-size-scenario.ts';
import { fill } from './lifecycle-scenario.ts';

/** Tasks waiting. */
const SIZES = [1_000, 30_000, 1_000_000];
const LONG_SIZES = [...SIZES, 10_000_000];
const QUICK_SIZES = [1_000, 20_000];
/** Except on the default that people get. */
const OTHER_SIZES = [1_000, 100_000];
const FILLED_AT_ONCE = 50_000;
const OVER = 'waiting tasks';
/** Of each drain whose rates are compared. */
const COMPARED = 5_000;
const QUICK_COMPARED = 500;

export const backlog: Scenario = {
  names: ['backlog', 'restart', 'flat'],
  async run(bench) {
    for (const pair of pairsOf(bench))
      await withHub(bench, pair, async (hub, load) => {
        const sizes = sizesOf(bench, pair);
        let waiting = 0;
        for (const size of bench.isAsked('backlog') || bench.isAsked('restart') ? sizes : sizes.slice(-1)) {
          await grow(bench, hub, load, size - waiting);
          waiting = size;
          const here: AtSize = { bench, hub, load, scenario: 'backlog', over: OVER, at: size };
          if (bench.isAsked('backlog')) {
            await workAt(here);
            await stepsAt(here);
            await readsAt(here);
            if (!bench.isQuick) await sweepsAt(here);
          }
          if (bench.isAsked('restart')) await restartsAt(here);
        }
        if (bench.isAsked('flat')) await flatness(bench, pair, { hub, load, most: waiting, least: Math.min(...sizes) });
      });
  },
};

/** The transport does not matter here: one pair for each storage. */
const pairsOf = (bench: Bench): readonly Pair[] =>
  bench.pairs.filter(({ storage }, n) => bench.pairs.findIndex((pair) => pair.storage === storage) === n);

function sizesOf(bench: Bench, { storage }: Pair): readonly number[] {
  if (bench.sizes !== null) return bench.sizes;
  if (bench.isQuick) return QUICK_SIZES;
  if (storage !== DEFAULT_PAIR.storage) return OTHER_SIZES;
  return bench.isLong ? LONG_SIZES : SIZES;
}

async function grow(bench: Bench, hub: BenchHub, load: LoadProcess, count: number): Promise<void> {
  const bar = bench.isQuiet ? null : progressBar(count);
  for (let done = 0; done < count;) {
    const some = Math.min(FILLED_AT_ONCE, count - done);
    await fill(hub, load, some);
    done += some;
    bar?.at(done, 'waiting tasks stored');
  }
  bar?.end();
}

/** Drains of each store before those that are compared: the first run at half the rate. */
const WARM_UPS = 6;

/**
 * The share of the rate with the fewest waiting that remains when the most wait: drains in two stores alternate, two
 * each for a ratio, so that changes in the speed of the machine and of the hubs affect both.
 */
async function flatness(
  bench: Bench,
  pair: Pair,
  { hub, load, most, least }: { readonly hub: BenchHub; readonly load: LoadProcess; readonly most: number; readonly least: number },
): Promise<void> {
  if (most === least) return;
  // Started at the same time as the other: a hub that has worked for a while has more of its code compiled.
  await hub.restart();
  const count = bench.isQuick ? QUICK_COMPARED : COMPARED;
  const ratios = await withHub(bench, pair, async (small, smallLoad) => {
    await grow(bench, small, smallLoad, least);
    const seconds = async (of: BenchHub, ofLoad: LoadProcess): Promise<number> => {
      await fill(of, ofLoad, count);
      return count / (await drain(of, ofLoad, count)).figure;
    };
    return ratiosOf(
      bench,
      pair,
      () => seconds(hub, load),
      () => seconds(small, smallLoad),
    );
  });
  const words = (size: number): string => `${size.toLocaleString('en-US')} ${OVER}`;
  const what = `drain, ${words(most)} ÷ ${words(least)}`;
  const labels = { scenario: 'backlog', unit: '×', ...pair, n: 2 * count, durability: hub.durability } as const;
  bench.tell({ ...labels, what, runs: ratios });
  bench.tell({ ...labels, what: `the yardstick: ${what}`, runs: await flatnessOfYardstick(bench, pair, { most, least, count }) });
}

/** The share of its rate that the smallest program with the hub's job keeps, measured in the same way. */
async function flatnessOfYardstick(
  bench: Bench,
  pair: Pair,
  { most, least, count }: { readonly most: number; readonly least: number; readonly count: number },
): Promise<readonly number[]> {
  const postgres = await bench.postgresOf(pair);
  return withEnds(async (end) => {
    const start = (): Promise<StartedBare> =>
      postgres === null ? startBare(end, bench.tree, null) : startBarePostgres(end, bench.tree, { url: postgres.url, hubs: 1 }, null);
    const [large, small] = [await start(), await start()];
    const [ofLarge, ofSmall] = [await bareDrains(large), await bareDrains(small)];
    await ofLarge.fill(most);
    await ofSmall.fill(least);
    const ratios = await ratiosOf(
      bench,
      pair,
      () => ofLarge.drain(count),
      () => ofSmall.drain(count),
    );
    for (const drains of [ofLarge, ofSmall]) await drains.end();
    for (const servers of [large, small]) await servers.check();
    return ratios;
  });
}

/** The share of the rate that remains: each returns how long a drain took, with the most or the fewest waiting. */
async function ratiosOf(
  bench: Bench,
  pair: Pair,
  ofMost: () => Promise<number>,
  ofLeast: () => Promise<number>,
): Promise<readonly number[]> {
  for (let n = 0; n < WARM_UPS; n += 1) for (const drained of [ofMost, ofLeast]) await drained();
  return repeated(bench, pair, async () => {
    const [most1, least1, least2, most2] = [await ofMost(), await ofLeast(), await ofLeast(), await ofMost()];
    return (least1 + least2) / (most1 + most2);
  });
}
