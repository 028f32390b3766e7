/** The cost of a trivial task to the sidecar, whose journal remembers nothing yet, or the maximum number of ended tasks. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { EMPTY_JOURNAL } from '../../../core/application/sidecar/state/journal-state.ts';
import { ENDED_MAX } from '../../../core/domain/assignment/ended-assignments.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { cpuMsOf } from '../../chaos/rig/gauges.ts';
import { startBenchHub, type BenchHub } from '../rig/bench-hub.ts';
import { DEFAULT_PAIR, isDefault, type Bench, type Scenario } from '../rig/bench-rig.ts';
import type { Result } from '../rig/result.ts';
import { asInstalled } from './sidecar-scenario.ts';

const AGENT = resolve(import.meta.dirname, 'spawned.sh');
const TASKS = 200;
const QUICK_TASKS = 40;
/** Before the measurement, so that code is warm and files are rewritten. */
const WARM_UP_TASKS = 20;
/** The work after a task's end is done by then, in milliseconds. */
const SETTLED_MS = 2_000;
const LOOK_MS = 100;
const WITHIN_MS = 180_000;
const KIB = 1_024;
const HOUR_MS = 3_600_000;

export const journal: Scenario = {
  names: ['journal'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('journal: it is the same whatever its hub runs on; not measured on the chosen ones');
    await withEnds(async (end) => {
      const hub = await startBenchHub(end, { tree: bench.tree, pair: DEFAULT_PAIR, postgres: null, profileDir: null });
      const tree = asInstalled(bench.tree);
      end.teardown(async () => rmSync(dirname(dirname(dirname(tree.bin))), { recursive: true, force: true }));
      for (const remembered of [0, ENDED_MAX]) {
        const agentId = `remembers-${remembered}`;
        await remember(join(hub.world.dir, 'sidecars', agentId), remembered);
        await hub.world.enrol({ agentId, slots: 1, argv: ['/bin/bash', AGENT] });
        const program = hub.world.startSidecar(agentId, { tree });
        end.teardown(async () => void (await program.kill('SIGKILL')));
        if ((await program.ready) === null) throw new Error(`the sidecar did not start; its log is ${hub.world.logOf(agentId)}`);
        await measure(bench, hub, { agentId, pid: program.pid, remembered });
        await program.kill('SIGTERM');
      }
      await hub.close();
    });
  },
};

/** A data directory of a sidecar that has ended this many tasks within this hour. */
async function remember(dataDir: string, count: number): Promise<void> {
  const clock = systemClock();
  const hour = Math.floor(clock.nowMs() / HOUR_MS);
  const ended = Array.from({ length: count }, (_, n) => `${n.toString(16).padStart(32, '0')} 1 c ${hour}`);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const kept = fileJournal({ dataDir, clock, log: silentLog });
  await kept.open();
  await kept.save({ ...EMPTY_JOURNAL, ended });
  await kept.close();
}

async function measure(
  bench: Bench,
  hub: BenchHub,
  { agentId, pid, remembered }: { readonly agentId: string; readonly pid: number; readonly remembered: number },
): Promise<void> {
  await runTasks(hub, agentId, WARM_UP_TASKS);
  await sleep(SETTLED_MS);
  const count = bench.isQuick ? QUICK_TASKS : TASKS;
  const [bytes, cpuMs, beganMs] = [writtenBy(pid), cpuMsOf(pid), performance.now()];
  await runTasks(hub, agentId, count);
  const tookMs = performance.now() - beganMs;
  await sleep(SETTLED_MS);
  const note = `a trivial task, ${remembered} ended ones remembered`;
  const tell = (what: string, unit: Result['unit'], all: number): void =>
    bench.tell({ scenario: 'journal', what: `${what}, ${remembered} remembered`, unit, n: count, runs: [all / count], note });
  tell('written for a task', 'KiB', (writtenBy(pid) - bytes) / KIB);
  tell('CPU of a task', 'ms', cpuMsOf(pid) - cpuMs);
  tell('time of a task', 'ms', tookMs);
}

/** What a process has handed to the kernel to be written so far, in bytes: files and pipes, but not frames. */
const writtenBy = (pid: number): number => Number(/^wchar: ([0-9]+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);

async function runTasks(hub: BenchHub, agentId: string, count: number): Promise<void> {
  const completed = async (): Promise<number> => Number((await hub.api.tasks.stats())['completed']);
  const wanted = (await completed()) + count;
  await hub.api.tasks.submitMany(Array.from({ length: count }, (_, n) => ({ description: `task ${n}`, assign_to: agentId })));
  const untilMs = performance.now() + WITHIN_MS;
  while ((await completed()) < wanted) {
    if (performance.now() > untilMs) throw new Error(`not all of ${count} tasks were completed within ${WITHIN_MS} ms`);
    await sleep(LOOK_MS);
  }
}
