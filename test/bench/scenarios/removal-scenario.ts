/** What it costs the current work when everything that has ended is past its retention at once. */
import { rulesOf } from '../../../core/application/hub/batch/hub-context.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { inStore } from '../../chaos/rig/tasks/filled-store.ts';
import { fillTasks } from '../../chaos/rig/tasks/filled-tasks.ts';
import { DEFAULT_PAIR, isDefault, withHub, type Bench, type Scenario } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import type { LoadProcess } from '../rig/load-process.ts';
import { median } from '../rig/result.ts';

/** Past tasks, half of which have ended. */
const TASKS = 200_000;
const LONG_TASKS = 2_000_000;
const QUICK_TASKS = 100_000;
const PER_SECOND = 1_000;
/** Tasks of a window: ten seconds. */
const WINDOW = 10_000;
const QUICK_WINDOW = 2_000;
/** Windows without a removal, and at least this many with one. */
const WINDOWS = 5;
const SIDECARS = 4;
const SLOTS = 64;
/** Nothing of the windows' own tasks is removed; of the past, what is older. The quiet period after the start is short. */
const REMOVING = {
  ...{ endedKeptMs: 600_000, deadLetterKeptMs: 600_000, sweepMs: 1_000, quietAfterStartMs: 0 },
  ...{ heartbeatMs: 1_000, pongWaitMs: 1_000, reconnectMaxMs: 1_000, graceMarginMs: 0, reconnectGraceMs: 3_000 },
};
/** Of the past, what is younger than that stays: 100 tasks of each second, half of which have ended, and a few more. */
const STAYS_MAX = 32_000;

export const removal: Scenario = {
  names: ['removal'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('removal: measured on sqlite and ws only');
    const tasks = bench.sizes?.[0] ?? (bench.isQuick ? QUICK_TASKS : bench.isLong ? LONG_TASKS : TASKS);
    await withHub(bench, DEFAULT_PAIR, (hub, load) => beside(bench, hub, load), {
      prepare: async (world) => {
        const bar = bench.isQuiet ? null : progressBar(tasks);
        const rules = rulesOf(HUB_TIMING, HUB_LIMITS);
        await inStore(world, async (engine) => {
          await fillTasks(engine, { count: tasks, rules, onSaved: (n) => bar?.at(n, 'tasks of the past stored') });
        });
        bar?.end();
      },
    });
  },
};

async function beside(bench: Bench, hub: BenchHub, load: LoadProcess): Promise<void> {
  const count = bench.isQuick ? QUICK_WINDOW : WINDOW;
  const completed = async (): Promise<number> => Number((await hub.api.tasks.stats())['completed']);
  const window = async () => {
    const sidecars = await hub.newSidecars(SIDECARS, SLOTS);
    const plan = { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count };
    const { value } = await load.do('live', { ...plan, submit: { how: 'rate', perSecond: PER_SECOND } });
    return value.toCompleted;
  };
  const past = await completed();
  await window();
  const alone = [];
  for (let nth = 0; nth < WINDOWS; nth += 1) alone.push(await window());

  await hub.restart(REMOVING);
  await window();
  const during = [];
  const paces: number[] = [];
  let flowed = (alone.length + 2) * count;
  let left = await completed();
  while (left - flowed > STAYS_MAX) {
    const [before, fromMs] = [left, performance.now()];
    during.push(await window());
    flowed += count;
    left = await completed();
    const removed = before + count - left;
    if (removed === 0) throw new Error(`nothing was removed in a window, and ${left - flowed} tasks of the past are left`);
    paces.push((removed * 1_000) / (performance.now() - fromMs));
  }
  const p99Alone = median(alone.map(({ p99Ms }) => p99Ms));
  const runs = during.map(({ p99Ms }) => p99Ms / p99Alone);
  const middle = during.toSorted((one, other) => one.p99Ms - other.p99Ms)[Math.floor(during.length / 2)];
  const labels = { scenario: 'removal', n: count, ...DEFAULT_PAIR } as const;
  const removed = (past + flowed - left).toLocaleString('en-US');
  bench.tell({
    ...labels,
    what: 'submit → completed, p99 while what has ended is removed ÷ alone',
    unit: '×',
    runs,
    times: middle,
    note: `${removed} tasks removed beside ${PER_SECOND.toLocaleString('en-US')} tasks/s; alone p50 ${median(alone.map(({ p50Ms }) => p50Ms)).toFixed(1)}, p99 ${p99Alone.toFixed(1)} ms`,
  });
  bench.tell({ ...labels, what: 'ended tasks removed', unit: '/s', runs: paces, note: `${removed} in ${during.length} windows` });
}
