/** Where the hub's own thread spends its time while tasks are submitted and worked on together: its hottest functions, and a flame graph. */
import { isDefault, type Scenario } from '../rig/bench-rig.ts';
import { flameGraph } from '../rig/flame-graph.ts';
import { profiledHub } from '../rig/profiled-hub.ts';
import { frameNameOf, printThread } from '../rig/profiler.ts';

const COUNT = 20_000;
const QUICK_COUNT = 3_000;

export const profile: Scenario = {
  names: ['profile'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('profile: of sqlite and ws only');
    const { tasks, thread, profile } = await profiledHub(bench, 'together', bench.isQuick ? QUICK_COUNT : COUNT);
    printThread(thread, bench.say);
    bench.keepProfile({ tasks, ...thread }, flameGraph(profile, frameNameOf));
  },
};
