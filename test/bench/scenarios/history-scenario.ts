/** The same work with more and more history: ended tasks, with all their events. */
import { rulesOf } from '../../../core/application/hub/batch/hub-context.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import { inStore } from '../../chaos/rig/tasks/filled-store.ts';
import { fillTasks } from '../../chaos/rig/tasks/filled-tasks.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { DEFAULT_PAIR, isDefault, withHub, type Scenario } from '../rig/bench-rig.ts';
import { readsAt, restartsAt, stepsAt, sweepsAt, workAt, type AtSize } from './at-size-scenario.ts';

/** Past tasks: half are completed, the others wait for a capability that no agent offers. */
const SIZES = [1_000, 20_000, 360_000];
const LONG_SIZES = [...SIZES, 3_600_000];
const QUICK_SIZES = [1_000, 10_000];

export const history: Scenario = {
  names: ['history'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('history: measured on sqlite and ws only');
    for (const tasks of bench.sizes ?? (bench.isQuick ? QUICK_SIZES : bench.isLong ? LONG_SIZES : SIZES))
      await withHub(
        bench,
        DEFAULT_PAIR,
        async (hub, load) => {
          const { lastEventId } = await hub.world.store.readRest();
          const here: AtSize = { bench, hub, load, scenario: 'history', over: 'events', at: lastEventId };
          await workAt(here);
          await stepsAt(here);
          await readsAt(here);
          await sweepsAt(here);
          await restartsAt(here);
        },
        {
          prepare: async (world) => {
            const bar = bench.isQuiet ? null : progressBar(tasks);
            const rules = rulesOf(HUB_TIMING, HUB_LIMITS);
            await inStore(world, (engine) =>
              fillTasks(engine, { count: tasks, rules, onSaved: (n) => bar?.at(n, 'tasks of the past stored') }),
            );
            bar?.end();
          },
        },
      );
  },
};
