/** The CPU time of each stage of a task's life, next to its budget: tasks submitted, and submitted and completed together. */
import { isDefault, type Scenario } from '../rig/bench-rig.ts';
import { profiledHub } from '../rig/profiled-hub.ts';
import { stageTimes } from '../rig/stage-times.ts';
import { WORKLOADS } from '../rig/stages.ts';

const COUNT = 20_000;
const QUICK_COUNT = 3_000;

export const budget: Scenario = {
  names: ['budget'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('budget: of sqlite and ws only');
    for (const workload of WORKLOADS)
      if (bench.wants(workload))
        bench.tellBudget(stageTimes(workload, await profiledHub(bench, workload, bench.isQuick ? QUICK_COUNT : COUNT)));
  },
};
