/**
 * A million stored tasks, and a hub that is killed and restarted: `npm run recovery -- [--tasks N] [--kills N] [--seed
 * TEXT]`. Exits with 1 unless submits are answered within 3 s of each kill, the task of a machine that died runs
 * elsewhere within `reconnectGraceMs` + 5 s (of one that died with the hub: within that of the end of the quiet
 * period), and every submit that was answered is stored.
 */
import { loadavg } from 'node:os';
import { builtTree } from '../rig/built-tree.ts';
import { readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';
import { CHAOS_HUB_TIMING } from './rig/chaos-world.ts';
import { recoveryRun } from './runs/recovery-run.ts';

const FIGURE = { tasks: 1_000_000, kills: 10 };
const SUBMIT_WITHIN_MS = 3_000;
const ELSEWHERE_MARGIN_MS = 5_000;

const { tasks, kills, seed } = readOptions(FIGURE);
printMachine(thisMachine());
/** How busy the machine is otherwise: figures of a busy one say little. */
const loadBefore = Math.round((loadavg()[0] ?? 0) * 10) / 10;
say(`${tasks} stored tasks, the hub killed ${kills} times; machine load before ${loadBefore}; seed ${seed}`);
await withEnds(async (end) => {
  const bar = progressBar(tasks);
  const outcome = await recoveryRun(end, {
    tree: builtTree(),
    seed,
    tasks,
    kills,
    onProgress: (done, note) => bar.at(note === 'stored' ? done : tasks, note),
  });
  bar.end();
  const { recoveries, elsewhereMs, elsewhereAfterStartMs, readsMs } = outcome;
  const { reconnectGraceMs = 0, quietAfterStartMs = 0 } = CHAOS_HUB_TIMING;
  say(`stored in ${outcome.fillSeconds} s: ${JSON.stringify(outcome.stored)}, ${outcome.databaseMiB} MiB`);
  for (const { submitMs, loadedMs, partsMs, cpuMs, walMiB } of recoveries) {
    const parts = Object.entries(partsMs).map(([part, ms]) => `${part} ${ms}`);
    say(
      `submit answered ${submitMs} ms after the kill: code loaded ${loadedMs}, ${parts.join(', ')}; ${cpuMs} ms of CPU time, ${walMiB} MiB in the write-ahead log`,
    );
  }
  say(
    `a machine that died with the hub: its task ran elsewhere ${elsewhereAfterStartMs} ms after the start (quiet for ${quietAfterStartMs})`,
  );
  say(`a machine that died later: its task ran elsewhere after ${elsewhereMs} ms (grace period ${reconnectGraceMs})`);
  say(`submits answered ${outcome.answered}, stored ${outcome.found}; hub at most ${outcome.rssMaxMiB} MiB`);
  say(`reads, ms: ${JSON.stringify(readsMs)}`);
  for (const surprise of outcome.surprises) say(`  ${surprise}`);
  const isReached =
    recoveries.every(({ submitMs }) => submitMs <= SUBMIT_WITHIN_MS) &&
    elsewhereAfterStartMs <= Math.max(reconnectGraceMs, quietAfterStartMs) + ELSEWHERE_MARGIN_MS &&
    elsewhereMs <= reconnectGraceMs + ELSEWHERE_MARGIN_MS &&
    outcome.found === outcome.answered &&
    outcome.surprises.length === 0;
  const { database: _database, ...figures } = outcome;
  const isFull = tasks >= FIGURE.tasks && kills >= 1;
  writeFigures('recovery', isFull, { seed, loadBefore, tasks, reached: isReached, reconnectGraceMs, quietAfterStartMs, ...figures });
  process.exitCode = isReached ? 0 : 1;
});
