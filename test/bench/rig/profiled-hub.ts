/**
 * A hub under V8's profilers, while tasks are submitted and completed: what its own thread does, the CPU time of each of its threads, and what
 * it allocates.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { allocatedDuring, INSPECTED, inspectorIn, type AllocationNode } from './allocations.ts';
import type { BenchHub } from './bench-hub.ts';
import { DEFAULT_PAIR, withHub, type Bench } from './bench-rig.ts';
import type { CpuProfile } from './flame-graph.ts';
import type { LoadProcess } from './load-process.ts';
import { HOTTEST, readProfiles, within, type Thread } from './profiler.ts';
import type { Seen } from './stage-times.ts';
import type { Workload } from './stages.ts';
import { threadTimesOf, timesBetween } from './thread-times.ts';

const SUBMITS_IN_FLIGHT = 64;

/** Without the hub's start and the warm-up. */
export interface Profiled extends Seen {
  /** Its own. */
  readonly thread: Thread;
}

/** Runs a quarter of the tasks as a warm-up, and then these. */
export function profiledHub(bench: Bench, workload: Workload, tasks: number): Promise<Profiled> {
  return withEnds(async (end) => {
    const folder = mkdtempSync(join(tmpdir(), 'agentcom-profile-'));
    end.teardown(async () => rmSync(folder, { recursive: true, force: true }));
    const { window, times } = await withHub({ ...bench, profileDir: folder }, DEFAULT_PAIR, async (hub, load) => {
      await WORK[workload](hub, load, tasks / 4);
      const before = threadTimesOf(hub.pid());
      const fromUs = monotonicUs();
      await WORK[workload](hub, load, tasks);
      return { window: { fromUs, toUs: monotonicUs() }, times: timesBetween(before, threadTimesOf(hub.pid())) };
    });
    const [busiest] = readProfiles(folder, HOTTEST, window).threads;
    if (busiest === undefined) throw new Error(`the hub left no profile in ${folder}`);
    const { file, ...thread } = busiest;
    return { tasks, thread, profile: within(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile, window), times };
  });
}

/** As `profiledHub`. */
export const allocatingHub = (bench: Bench, workload: Workload, tasks: number): Promise<AllocationNode> =>
  withHub(
    bench,
    DEFAULT_PAIR,
    async (hub, load) => {
      await WORK[workload](hub, load, tasks / 4);
      return allocatedDuring(inspectorIn(hub.world.logOf('hub')), () => WORK[workload](hub, load, tasks));
    },
    { nodeArgs: [INSPECTED], isInParts: true },
  );

const WORK: Readonly<Record<Workload, (hub: BenchHub, load: LoadProcess, count: number) => Promise<unknown>>> = {
  submit: (hub, load, count) =>
    load.do('submit', { ports: hub.ports, token: hub.adminToken, count, perRequest: 1, inFlight: SUBMITS_IN_FLIGHT, withKeys: false }),
  async together(hub, load, count) {
    const sidecars = await hub.newSidecars(4, 16);
    const plan = { ports: hub.ports, token: hub.adminToken, sidecars, atOnce: false, count } as const;
    return load.do('live', { ...plan, submit: { how: 'in_flight', inFlight: SUBMITS_IN_FLIGHT } });
  },
};

/** On the clock that profiles use too. */
const monotonicUs = (): number => Number(process.hrtime.bigint() / 1_000n);
