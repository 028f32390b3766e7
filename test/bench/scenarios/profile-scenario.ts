/** Where the hub's own thread spends its time while tasks are submitted and worked on together: its hottest functions, and a flame graph. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { DEFAULT_PAIR, isDefault, withHub, type Scenario } from '../rig/bench-rig.ts';
import { flameGraph, type CpuProfile } from '../rig/flame-graph.ts';
import { frameNameOf, HOTTEST, readProfiles, sayThread, within } from '../rig/profiler.ts';

const COUNT = 20_000;
const QUICK_COUNT = 3_000;
const SUBMITS_IN_FLIGHT = 64;

export const profile: Scenario = {
  names: ['profile'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('profile: of sqlite and ws only');
    await withEnds(async (end) => {
      const folder = mkdtempSync(join(tmpdir(), 'agentcom-profile-'));
      end.teardown(async () => rmSync(folder, { recursive: true, force: true }));
      const tasks = bench.isQuick ? QUICK_COUNT : COUNT;
      const window = await withHub({ ...bench, profileDir: folder }, DEFAULT_PAIR, async (hub, load) => {
        const live = async (count: number): Promise<void> => {
          const sidecars = await hub.newSidecars(4, 16);
          const plan = { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count } as const;
          await load.do('live', { ...plan, submit: { how: 'in_flight', inFlight: SUBMITS_IN_FLIGHT } });
        };
        await live(tasks / 4);
        const fromUs = monotonicUs();
        await live(tasks);
        return { fromUs, toUs: monotonicUs() };
      });
      const [thread] = readProfiles(folder, HOTTEST, window).threads;
      if (thread === undefined) throw new Error(`the hub left no profile in ${folder}`);
      const { file, ...told } = thread;
      sayThread(thread, bench.say);
      const whole = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
      bench.keepProfile({ tasks, ...told }, flameGraph(within(whole, window), frameNameOf));
    });
  },
};

/** On the clock that profiles are on too. */
const monotonicUs = (): number => Number(process.hrtime.bigint() / 1_000n);
