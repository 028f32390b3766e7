/** The same work with more and more agents: through all of them, and next to them while they are idle. */
import type { AgentId } from '../../../core/domain/ids.ts';
import { enrolMany, inStore } from '../../chaos/rig/tasks/filled-store.ts';
import { needFiles, startLight } from '../../chaos/rig/light-process.ts';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { DEFAULT_PAIR, isDefault, withHub, type Scenario } from '../rig/bench-rig.ts';
import { readsAt, restartsAt, stepsAt, sweepsAt, throughAt, workAt, type AtSize } from './at-size-scenario.ts';

const SIZES = [1, 100, 10_000];
const QUICK_SIZES = [1, 200];
/** This many take ten seconds to reconnect, each time. */
const MANY = 10_000;
const MANY_RESTARTS = 1;
/** Of each working agent; the submitter limits what is in flight. */
const SLOTS = 64;

export const agents: Scenario = {
  names: ['agents'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('agents: measured on sqlite and ws only');
    for (const count of bench.sizes ?? (bench.isQuick ? QUICK_SIZES : SIZES)) {
      needFiles(count);
      const names = (kind: string): AgentId[] => Array.from({ length: count }, (_, n) => `${kind}-${n + 1}` as AgentId);
      let enrolled: Awaited<ReturnType<typeof enrolMany>> = [];
      await withHub(
        bench,
        DEFAULT_PAIR,
        (hub, load) =>
          withEnds(async (end) => {
            const here: AtSize = { bench, hub, load, scenario: 'agents', over: 'agents', at: count };
            await throughAt(
              here,
              enrolled.slice(0, count).map((one) => ({ ...one, slots: SLOTS })),
            );
            const light = startLight(end, hub.world, bench.tree, { sidecars: enrolled.slice(count), capabilities: ['nothing'] });
            const back = async (): Promise<void> => {
              if ((await light.reaches(count)) === null) throw new Error(`not all of ${count} sidecars were identified in time`);
            };
            await back();
            const beside: AtSize = { ...here, back, restarts: count < MANY ? undefined : MANY_RESTARTS };
            await workAt(beside);
            await stepsAt(beside);
            await readsAt(beside, { 'list of agents': ['/api/agents'] });
            if (!bench.isQuick) await sweepsAt(beside);
            await restartsAt(beside);
            await light.program.kill('SIGKILL');
          }),
        {
          prepare: (world) =>
            inStore(world, async (engine) => {
              enrolled = await enrolMany(engine, [...names('working'), ...names('idle')]);
            }),
        },
      );
    }
  },
};
