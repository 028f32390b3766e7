/**
 * 10,000 tasks on 50 sidecars, while hub, sidecars and agents are killed with -9 at random instants and their network
 * is cut: `npm run chaos -- [--tasks N] [--sidecars N] [--kills-hub N] [--kills-sidecar N] [--kills-agent N] [--cuts
 * N] [--seed TEXT]`. Exits with 1 unless nothing is lost, recorded twice or run twice at once. README.md explains how
 * to read the output.
 */
import { chaosRun } from './runs/chaos-run.ts';
import { builtTree } from '../rig/built-tree.ts';
import { readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';

const SHOWN = 30;

const FIGURE = { tasks: 10_000, sidecars: 50, 'kills-hub': 150, 'kills-sidecar': 250, 'kills-agent': 100, cuts: 200 };
const given = readOptions(FIGURE);
const isFull = Object.entries(FIGURE).every(([name, number]) => given[name as keyof typeof FIGURE] >= number);
const { tasks, sidecars, cuts, seed } = given;
const counts = {
  tasks,
  sidecars,
  killsHub: given['kills-hub'],
  killsSidecar: given['kills-sidecar'],
  killsAgent: given['kills-agent'],
  cuts,
};

printMachine(thisMachine());
say(
  `${tasks} tasks, ${sidecars} sidecars; kill -9: hub ${counts.killsHub}, sidecars ${counts.killsSidecar}, agents ${counts.killsAgent}; ${cuts} cuts; seed ${seed}`,
);
await withEnds(async (end) => {
  const bar = progressBar(tasks);
  const outcome = await chaosRun(end, { ...counts, tree: builtTree(), seed, onProgress: (done, note) => bar.at(done, note) });
  bar.end();
  const { verdict, faults, surprises, ...measured } = outcome;
  const { violations, ...found } = verdict;
  const { absences: _absences, killed: _killed, ...done } = faults;
  say(`tasks answered ${found.answered}, lost ${found.lost}, recorded twice ${found.recordedTwice}, overlapping runs ${found.overlapping}`);
  say(
    `runs ${found.runs}, results ${found.finishedRuns} (late ${found.late}, refused and kept ${found.refused}), attempts lost ${found.attemptsLost}`,
  );
  say(`beside one that was cut off ${found.besideCutOff}; kills within a start ${done.inStart}; cuts ${JSON.stringify(done.cutKinds)}`);
  say(JSON.stringify(measured));
  for (const { rule, what, task } of violations.slice(0, SHOWN)) say(`VIOLATION ${rule}: ${task ?? ''} ${what}`);
  for (const surprise of surprises.slice(0, SHOWN)) say(`SURPRISE ${surprise}`);
  const isReached = violations.length === 0 && surprises.length === 0;
  writeFigures('chaos', isFull, {
    seed,
    ...counts,
    reached: isReached,
    ...found,
    faults: done,
    ...measured,
    violations: violations.slice(0, SHOWN),
    surprises,
  });
  process.exitCode = isReached ? 0 : 1;
});
