/**
 * Ten thousand idle sidecars, and a hub that is killed and restarted: `npm run storm -- [--sidecars N] [--holders N]
 * [--kills N] [--transport ws|uws] [--seed TEXT]`. Exits with 1 unless after each kill all are identified within 15 s of the hub listening,
 * its memory stays under 1 GiB and its loop less than 250 ms late (99 % of its turns), and no task is reclaimed.
 */
import { HUB_TIMING } from '../../core/config/times.ts';
import { loadavg } from 'node:os';
import { builtTree } from '../rig/built-tree.ts';
import { refuseValue } from '../rig/script-options.ts';
import { readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';
import { stormRun } from './runs/storm-run.ts';

const FIGURE = { sidecars: 10_000, holders: 200, kills: 3 };
const IDENTIFIED_WITHIN_MS = 15_000;
const RSS_MIB = 1_024;
const LAG_P99_MS = 250;
/** The defaults, with the shortest grace period that its other times allow. */
const TIMING = { ...HUB_TIMING, reconnectGraceMs: 120_000, quietAfterStartMs: 120_000 };
const MIB = 2 ** 20;

const { sidecars, holders, kills, transport, seed } = readOptions(FIGURE, { transport: 'ws' });
if (transport !== 'ws' && transport !== 'uws') refuseValue('transport', transport, 'ws or uws');
printMachine(thisMachine());
/** How busy the machine is otherwise: figures of a busy one say little. */
const loadBefore = Math.round((loadavg()[0] ?? 0) * 10) / 10;
say(
  `${sidecars} sidecars on ${transport}, ${holders} of them with a task, the hub killed ${kills} times; machine load before ${loadBefore}; seed ${seed}`,
);
await withEnds(async (end) => {
  const bar = progressBar(sidecars);
  const outcome = await stormRun(end, {
    tree: builtTree(),
    transport,
    seed,
    sidecars,
    holders,
    kills,
    hubTiming: TIMING,
    onProgress: (identified, note) => bar.at(identified, note),
  });
  bar.end();
  const storms = outcome.storms.map(({ rssMaxBytes, ...storm }) => ({ ...storm, rssMaxMiB: Math.round(rssMaxBytes / MIB) }));
  for (const { downMs, allIdentifiedMs, hubCpuMs, sidecarsCpuMs, rssMaxMiB, lagP99Ms, lagMaxMs } of storms) {
    const identified = allIdentifiedMs === null ? 'NOT all were identified' : `all identified after ${allIdentifiedMs} ms`;
    say(
      `down for ${downMs} ms; ${identified}, for ${hubCpuMs} ms of CPU time of the hub and ${sidecarsCpuMs} of the sidecars; hub at most ${rssMaxMiB} MiB; loop late by ${lagP99Ms} ms (p99; max ${lagMaxMs})`,
    );
  }
  say(`tasks held ${outcome.held}: ${outcome.completed} completed, ${outcome.reclaims} reclaimed`);
  for (const surprise of outcome.surprises) say(`  ${surprise}`);
  const isReached =
    storms.every(
      ({ allIdentifiedMs, rssMaxMiB, lagP99Ms }) =>
        allIdentifiedMs !== null && allIdentifiedMs <= IDENTIFIED_WITHIN_MS && rssMaxMiB < RSS_MIB && lagP99Ms < LAG_P99_MS,
    ) &&
    outcome.reclaims === 0 &&
    outcome.completed === outcome.held &&
    outcome.surprises.length === 0;
  const isFull = transport === 'ws' && sidecars >= FIGURE.sidecars && holders >= FIGURE.holders && kills >= 1;
  writeFigures('storm', isFull, {
    seed,
    loadBefore,
    sidecars,
    reached: isReached,
    storms,
    held: outcome.held,
    completed: outcome.completed,
    reclaims: outcome.reclaims,
    surprises: outcome.surprises,
  });
  process.exitCode = isReached ? 0 : 1;
});
