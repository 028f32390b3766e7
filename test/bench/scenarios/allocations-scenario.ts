/** What the hub allocates for each task: tasks submitted, and submitted and completed together. */
import { allocationsIn } from '../rig/allocations.ts';
import { isDefault, type Scenario } from '../rig/bench-rig.ts';
import { allocatingHub } from '../rig/profiled-hub.ts';
import { WORKLOADS } from '../rig/stages.ts';

const COUNT = 20_000;
const QUICK_COUNT = 3_000;

export const allocations: Scenario = {
  names: ['allocations'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('allocations: of sqlite and ws only');
    for (const workload of WORKLOADS) {
      const count = bench.isQuick ? QUICK_COUNT : COUNT;
      if (bench.wants(workload)) bench.tellAllocations(allocationsIn(await allocatingHub(bench, workload, count), workload, count));
    }
  },
};
