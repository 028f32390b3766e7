/** The same work with more and more tasks waiting: draining, submitting, reading, sweeping, and a hub that starts over them. */
import { DEFAULT_PAIR, withHub, type Bench, type Scenario } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import type { Pair } from '../rig/result.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { readsAt, restartsAt, stepsAt, sweepsAt, workAt, type AtSize } from './at-size-scenario.ts';
import { fill } from './lifecycle-scenario.ts';

/** Tasks waiting. */
const SIZES = [1_000, 30_000, 1_000_000];
const LONG_SIZES = [...SIZES, 10_000_000];
const QUICK_SIZES = [1_000, 20_000];
/** Elsewhere than on what people get unless they choose. */
const OTHER_SIZES = [1_000, 100_000];
const FILLED_AT_ONCE = 50_000;
const OVER = 'waiting tasks';

export const backlog: Scenario = {
  names: ['backlog', 'restart'],
  async run(bench) {
    for (const pair of pairsOf(bench))
      await withHub(bench, pair, async (hub, load) => {
        const drainsAt = new Map<number, number>();
        let waiting = 0;
        for (const size of sizesOf(bench, pair)) {
          await grow(bench, hub, load, size - waiting);
          waiting = size;
          const here: AtSize = { bench, hub, load, scenario: 'backlog', over: OVER, at: size };
          if (bench.isAsked('backlog')) {
            drainsAt.set(size, await workAt(here));
            await stepsAt(here);
            await readsAt(here);
            if (!bench.isQuick) await sweepsAt(here);
          }
          if (bench.isAsked('restart')) await restartsAt(here);
        }
        tellFlatness(bench, pair, drainsAt);
      });
  },
};

/** The transport has no part in it: one pair for each storage. */
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

/** What is left of the rate with the fewest waiting when the most wait. */
function tellFlatness(bench: Bench, pair: Pair, drainsAt: ReadonlyMap<number, number>): void {
  const [[least, fast] = [], [most, slow] = []] = [[...drainsAt].at(0), [...drainsAt].at(-1)];
  if (least === undefined || most === undefined || fast === undefined || slow === undefined || least === most) return;
  const words = (size: number): string => `${size.toLocaleString('en-US')} ${OVER}`;
  bench.tell({ scenario: 'backlog', what: `drain, ${words(most)} ÷ ${words(least)}`, unit: '×', ...pair, n: 1, runs: [slow / fast] });
}
