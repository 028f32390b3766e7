/** Ten thousand idle sidecars: the memory of each, the cost of their heartbeats, work next to them, and their reconnecting at once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentId } from '../../../core/domain/ids.ts';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { MALLOC } from '../../chaos/rig/chaos-world.ts';
import { enrolMany, inStore } from '../../chaos/rig/tasks/filled-store.ts';
import { cpuMsOf, sampleOf } from '../../chaos/rig/gauges.ts';
import { listening, needFiles, startLight } from '../../chaos/rig/light-process.ts';
import { startBareHeartbeats } from '../bare/start-bare.ts';
import { DEFAULT_PAIR, resultOf, type Bench, type Run, type Scenario } from '../rig/bench-rig.ts';
import { startBenchHub, type BenchHub } from '../rig/bench-hub.ts';
import { startLoad, type LoadProcess } from '../rig/load-process.ts';
import type { Result } from '../rig/result.ts';
import { drain } from './at-size-scenario.ts';
import { fill } from './lifecycle-scenario.ts';
import { commitsOf } from './limits-scenario.ts';

const SIDECARS = 10_000;
const QUICK_SIDECARS = 500;
/** Four heartbeats of each, and what V8 collects of them. */
const HEARTBEATS_MS = 120_000;
/** Garbage of the start is collected by then: V8 begins some 8 s after a program has become quiet. */
const STARTED_MS = 12_000;
/** And so is that of connecting, after two heartbeats of each. */
const SETTLED_MS = 62_000;
const QUICK_SETTLED_MS = 1_000;
const DRAINED = 4_000;
const QUICK_DRAINED = 1_000;
const DRAINS = 3;
const QUICK_DRAINS = 2;
const KIB = 1_024;
const MIB = 2 ** 20;

export const connections: Scenario = {
  names: ['connections'],
  async run(bench) {
    const transports = new Set(bench.pairs.filter(({ storage }) => storage === DEFAULT_PAIR.storage).map(({ transport }) => transport));
    const count = bench.isQuick ? QUICK_SIDECARS : SIDECARS;
    const kibOf = new Map<string, number>();
    for (const transport of transports) kibOf.set(transport, await onTransport(bench, transport, count));
    const [ws, uws] = [kibOf.get('ws'), kibOf.get('uws')];
    if (!bench.isQuick && ws !== undefined) await yardstick(bench, count);
    if (ws !== undefined && uws !== undefined)
      bench.tell({ scenario: 'connections', what: 'memory of each, ws ÷ uws', unit: '×', n: count, runs: [ws / uws] });
  },
};

/** Returns the memory of each, in KiB. */
const onTransport = (bench: Bench, transport: string, count: number): Promise<number> =>
  withEnds(async (end) => {
    needFiles(count);
    const { tree, profileDir } = bench;
    const names = Array.from({ length: count }, (_, n) => `idle-${n + 1}` as AgentId);
    let enrolled: Awaited<ReturnType<typeof enrolMany>> = [];
    const hub = await startBenchHub(end, {
      tree,
      pair: { storage: DEFAULT_PAIR.storage, transport },
      postgres: null,
      profileDir,
      env: MALLOC,
      prepare: async (world) => void (enrolled = await inStore(world, (engine) => enrolMany(engine, names))),
    });
    const load = startLoad(end, tree);
    const settledMs = bench.isQuick ? QUICK_SETTLED_MS : SETTLED_MS;
    await sleep(bench.isQuick ? settledMs : STARTED_MS);
    const withNone = (await hub.measured(async () => undefined)).hubMiB;
    const light = startLight(end, hub.world, tree, { sidecars: enrolled, capabilities: ['nothing'] });
    const report = (what: string, unit: Result['unit'], figure: number, more: Partial<Result> = {}): void =>
      bench.tell({
        scenario: 'connections',
        what: `${labelOf(count)}: ${what}`,
        unit,
        ...hub.pair,
        n: count,
        runs: [figure],
        durability: hub.durability,
        ...more,
      });
    await all(light.reaches(count), count);
    await sleep(settledMs);

    const rest = await hub.measured(() => sleep(bench.isQuick ? settledMs : HEARTBEATS_MS));
    report('the hub', 'MiB', rest.hubMiB);
    const kibOfEach = ((rest.hubMiB - withNone) * KIB) / count;
    report('for each', 'KiB', kibOfEach, { note: `over ${Math.round(withNone)} MiB without them` });
    if (!bench.isQuick) report('CPU at rest', '%', (rest.hubCpuMs / HEARTBEATS_MS) * 100, { note: 'of a core, heartbeats of all of them' });
    await drains(bench, hub, load, count);

    const { startedAtMs, first } = await hub.killed(async () => {
      const listeningAtMs = await listening(hub.port);
      return { listeningAtMs, allAtMs: await all(light.reaches(count), count) };
    });
    report('kill -9 → all identified', 'ms', first.allAtMs - startedAtMs, {
      hubMiB: (await hub.measured(async () => undefined)).hubMiB,
      note: `${Math.round(first.allAtMs - first.listeningAtMs)} ms after it listened`,
    });
    await light.program.kill('SIGKILL');
    await drains(bench, hub, load, 0);
    await load.end();
    bench.say(`  the store of sqlite + ${transport} was checked: ${await hub.close()}`);
    return kibOfEach;
  });

/** What a server costs that only answers the heartbeats of as many sidecars. */
const yardstick = (bench: Bench, count: number): Promise<void> =>
  withEnds(async (end) => {
    const dir = mkdtempSync(join(tmpdir(), 'agentcom-bare-'));
    end.teardown(async () => rmSync(dir, { recursive: true, force: true }));
    const { pid, port } = await startBareHeartbeats(end, bench.tree, MALLOC);
    const world = { dir, hubPort: port, logOf: (name: string) => join(dir, `${name}.log`) };
    const sidecars = Array.from({ length: count }, (_, n) => ({ agentId: `idle-${n + 1}`, token: 'unused' }));
    await all(startLight(end, world, bench.tree, { sidecars, capabilities: ['nothing'] }).reaches(count), count);
    await sleep(SETTLED_MS);
    const before = cpuMsOf(pid);
    await sleep(HEARTBEATS_MS);
    const report = (what: string, unit: Result['unit'], figure: number): void =>
      bench.tell({
        scenario: 'connections',
        what: `the yardstick: ${labelOf(count)}: ${what}`,
        unit,
        transport: 'ws',
        n: count,
        runs: [figure],
      });
    report('the hub', 'MiB', (sampleOf(pid)?.rssBytes ?? 0) / MIB);
    report('CPU at rest', '%', ((cpuMsOf(pid) - before) / HEARTBEATS_MS) * 100);
  });

const labelOf = (count: number): string => `${count.toLocaleString('en-US')} idle sidecars`;

async function all(reached: Promise<number | null>, count: number): Promise<number> {
  const atMs = await reached;
  if (atMs === null) throw new Error(`not all of ${count} sidecars were identified in time`);
  return atMs;
}

/** The cost of work next to so many idle ones. */
async function drains(bench: Bench, hub: BenchHub, load: LoadProcess, idle: number): Promise<void> {
  const count = bench.isQuick ? QUICK_DRAINED : DRAINED;
  const runs: Run[] = [];
  for (let nth = 0; nth <= (bench.isQuick ? QUICK_DRAINS : DRAINS); nth += 1) {
    await fill(hub, load, count);
    const run = await drain(hub, load, count);
    if (nth > 0) runs.push(run);
  }
  const what = `drain beside ${labelOf(idle)}`;
  const labels = { scenario: 'connections', what, unit: 'tasks/s', limit: commitsOf(hub.pair.storage, 64) } as const;
  bench.tell(resultOf(bench, hub, runs, labels));
}
