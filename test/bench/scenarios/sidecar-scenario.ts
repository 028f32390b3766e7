/** The program next to every agent, as installed: from a task's acceptance to its agent's start, and its cost while idle. */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { cpuMsOf, sampleOf } from '../../chaos/rig/gauges.ts';
import type { Program } from '../../chaos/rig/chaos-program.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { Bench, Scenario } from '../rig/bench-rig.ts';
import { startBenchHub, type BenchHub } from '../rig/bench-hub.ts';
import { DEFAULT_PAIR, isDefault } from '../rig/bench-rig.ts';
import { recordTimes } from '../load/spread.ts';

const AGENT = resolve(import.meta.dirname, 'spawned.sh');
const AGENT_ID = 'measured';
const TASKS = 200;
const QUICK_TASKS = 20;
const AT_REST_MS = 30_000;
const QUICK_AT_REST_MS = 3_000;
/** The work after a task's end is done by then. */
const SETTLED_MS = 2_000;
/** And so is V8's one collection of it: it begins some 8 s after a program has become quiet, and is not part of its idle cost. */
const AT_REST_AFTER_MS = 12_000;
const LOOK_MS = 100;
const WITHIN_MS = 120_000;
const MIB = 2 ** 20;

export const sidecar: Scenario = {
  names: ['sidecar'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('sidecar: it is the same whatever its hub runs on; not measured on the chosen ones');
    await withEnds(async (end) => {
      const hub = await startBenchHub(end, { tree: bench.tree, pair: DEFAULT_PAIR, postgres: null, profileDir: null });
      await hub.world.enrol({ agentId: AGENT_ID, slots: 1, argv: ['/bin/bash', AGENT] });
      const tree = asInstalled(bench.tree);
      end.teardown(async () => rmSync(dirname(dirname(dirname(tree.bin))), { recursive: true, force: true }));
      const program = hub.world.startSidecar(AGENT_ID, { tree });
      end.teardown(async () => void (await program.kill('SIGKILL')));
      if ((await program.ready) === null) throw new Error(`the sidecar did not start; its log is ${hub.world.logOf(AGENT_ID)}`);
      await measure(bench, hub, program);
      await program.kill('SIGTERM');
      await hub.close();
    });
  },
};

async function measure(bench: Bench, hub: BenchHub, program: Program): Promise<void> {
  const { say } = bench;
  await sleep(SETTLED_MS);
  const mib = (): number => (sampleOf(program.pid)?.rssBytes ?? 0) / MIB;
  const tellMib = (what: string): void => bench.tell({ scenario: 'sidecar', what, unit: 'MiB', n: 1, runs: [mib()] });
  tellMib('resident, started');
  const count = bench.isQuick ? QUICK_TASKS : TASKS;
  const before = cpuMsOf(program.pid);
  const ids = await runTasks(hub, count);
  const cpuMs = cpuMsOf(program.pid) - before;
  const times = await spawnTimes(hub, ids);
  bench.tell({
    scenario: 'sidecar',
    what: 'acceptance → agent started',
    unit: 'ms',
    n: count,
    runs: [times.p50Ms],
    times,
    cpuUs: { all: (cpuMs * 1_000) / count, of: { sidecar: (cpuMs * 1_000) / count } },
    note: "the acceptance is the hub's, whole milliseconds",
  });
  await sleep(SETTLED_MS);
  tellMib(`resident, after ${count} tasks`);
  const restMs = bench.isQuick ? QUICK_AT_REST_MS : AT_REST_MS;
  if (!bench.isQuick) {
    await sleep(AT_REST_AFTER_MS);
    tellMib(`resident, at rest after ${count} tasks`);
  }
  const rest = cpuMsOf(program.pid);
  say(`  at rest for ${restMs / 1_000} s`);
  await sleep(restMs);
  const share = ((cpuMsOf(program.pid) - rest) / restMs) * 100;
  bench.tell({ scenario: 'sidecar', what: 'CPU at rest', unit: '%', n: 1, runs: [share], note: `of a core, over ${restMs / 1_000} s` });
}

/** Has the sidecar run this many tasks, one after the other. */
async function runTasks(hub: BenchHub, count: number): Promise<readonly string[]> {
  const bodies = Array.from({ length: count }, (_, n) => ({ description: `task ${n}`, assign_to: AGENT_ID }));
  const { task_ids: ids } = await hub.api.tasks.submitMany(bodies);
  const untilMs = performance.now() + WITHIN_MS;
  while (Number((await hub.api.tasks.stats())['completed']) < count) {
    if (performance.now() > untilMs) throw new Error(`not all of ${count} tasks were completed within ${WITHIN_MS} ms`);
    await sleep(LOOK_MS);
  }
  return ids;
}

async function spawnTimes(hub: BenchHub, ids: readonly string[]) {
  const times = recordTimes();
  const lines = readFileSync(join(hub.world.ledgerDir, 'spawned'), 'utf8').trimEnd().split('\n');
  const startedMs = new Map(lines.map((line) => line.split(' ')).map(([id = '', seconds]) => [id, Number(seconds) * 1_000]));
  for (const id of ids) {
    const accepted = (await hub.api.tasks.get(id)).history.find(({ event }) => event === 'accepted');
    const began = startedMs.get(id);
    if (accepted === undefined || began === undefined) throw new Error(`${id} has no acceptance, or its agent never began`);
    times.record(Math.max(0, began - accepted.timestamp));
  }
  return times.spread();
}

/** The tree without the packages that tests have bundled: each of their files is loaded, as in an installed package. */
export function asInstalled(tree: BuiltTree): BuiltTree {
  const from = dirname(dirname(dirname(tree.bin)));
  const to = `${dirname(from)}-installed-${process.pid}`;
  for (const part of ['apps', 'dist', 'package.json']) cpSync(join(from, part), join(to, part), { recursive: true });
  return { ...tree, bin: join(to, 'apps/cli/bin.mjs') };
}
