/**
 * Kills hub and sidecars with -9 at every named step, five times each, while tasks of every kind run: `npm run
 * chaos:points -- [--times N] [--seed TEXT]`. Exits with 1 unless at least 60 steps were killed at as often as wanted
 * and nothing is lost, recorded twice or run twice at once.
 */
import { pointsRun, type StepCount } from './runs/points-run.ts';
import { builtTree } from '../rig/built-tree.ts';
import { readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';

const FIGURE = { times: 5 };
const STEPS_MIN = 60;
const SHOWN = 30;

const { times, seed } = readOptions(FIGURE);
printMachine(thisMachine());
say(`every named step of hub and sidecar, killed at ${times} times each; seed ${seed}`);
await withEnds(async (end) => {
  let bar: ReturnType<typeof progressBar> | null = null;
  const onProgress = (done: number, of: number, step: string): void => (bar ??= progressBar(of)).at(done, `killed ${step}`);
  const { hub, sidecar, verdict, surprises, seconds } = await pointsRun(end, { tree: builtTree(), seed, times, onProgress });
  (bar as ReturnType<typeof progressBar> | null)?.end();
  const steps: readonly StepCount[] = [...hub, ...sidecar];
  const full = steps.filter(({ kills }) => kills >= times);
  const seldom = steps.filter(({ kills }) => kills < times);
  const kills = steps.reduce((sum, one) => sum + one.kills, 0);
  const { violations, ...found } = verdict;
  say(
    `steps killed at ${times} times or more: ${full.length} (expected ${STEPS_MIN}); ${kills} kills at ${steps.length} steps; ${seconds} s`,
  );
  say(`tasks answered ${found.answered}, lost ${found.lost}, recorded twice ${found.recordedTwice}, overlapping runs ${found.overlapping}`);
  for (const { step, kills } of seldom) say(`met too rarely: ${step}, killed at ${kills} of ${times} times`);
  for (const { rule, what, task } of violations.slice(0, SHOWN)) say(`VIOLATION ${rule}: ${task ?? ''} ${what}`);
  for (const surprise of surprises.slice(0, SHOWN)) say(`SURPRISE ${surprise}`);
  const isReached = full.length >= STEPS_MIN && violations.length === 0 && surprises.length === 0;
  writeFigures('chaos-points', times >= FIGURE.times, {
    seed,
    times,
    reached: isReached,
    stepsInFull: full.length,
    steps: steps.length,
    kills,
    ...found,
    seconds,
    hub,
    sidecar,
    violations: violations.slice(0, SHOWN),
    surprises,
  });
  process.exitCode = isReached ? 0 : 1;
});
