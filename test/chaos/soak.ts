/**
 * A hub under 200 sidecars and 20 tasks a second, with hostile neighbours and a fault each minute: `npm run soak --
 * [--minutes M] [--sidecars N] [--rate N] [--seed TEXT]`; 60 minutes by default, 480 is the long form. Exits with 1
 * unless every task completed, every neighbour misbehaved to the end, rows and files are as many at the end as in the
 * middle, no process keeps a file open that it did not before, the write-ahead log stays under 64 MiB, and neither the
 * memory of the hub nor that of two sidecars with hostile agents grows: over an hour or more its slope is under 1
 * MiB/h, over less it is not shown to be above that.
 */
import { builtTree } from '../rig/built-tree.ts';
import { percentile, readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';
import { lowestOfEach, slopeOf, type Point, type Slope } from './rig/slope.ts';
import type { Sample } from './rig/gauges.ts';
import { soakRun } from './runs/soak-run.ts';

const FIGURE = { minutes: 60, sidecars: 200, rate: 20 };
const SLOPE_MIB_PER_HOUR = 1;
const WAL_MIB = 64;
/** A slope counts by itself if it was measured for this long. */
const LONG_MINUTES = 60;
const WINDOW_MS = 60_000;
const MIB = 2 ** 20;

const { minutes, sidecars, rate: tasksPerSecond, seed } = readOptions(FIGURE);
printMachine(thisMachine());
say(`${minutes} minutes, ${sidecars} sidecars, ${tasksPerSecond} tasks/s, hostile neighbours, a fault each minute; seed ${seed}`);
await withEnds(async (end) => {
  const bar = progressBar(minutes * 60);
  const outcome = await soakRun(end, {
    tree: builtTree(),
    seed,
    minutes,
    sidecars,
    tasksPerSecond,
    onProgress: (at, note) => bar.at(at, note),
  });
  bar.end();
  const inMiB = ({ perHour, plusMinus, points }: Slope) => ({
    mibPerHour: round(perHour / MIB),
    plusMinus: round(plusMinus / MIB),
    points,
  });
  const rssOf = (samples: readonly Sample[]): readonly Point[] => samples.map(({ atMs, rssBytes }) => ({ atMs, value: rssBytes }));
  const rss = inMiB(slopeOf(rssOf(outcome.hub), WINDOW_MS));
  const heap = inMiB(
    slopeOf(
      outcome.lag.map(({ atMs, heapBytes }) => ({ atMs, value: heapBytes })),
      WINDOW_MS,
    ),
  );
  const watched = Object.fromEntries(
    Object.entries(outcome.watched).map(([name, points]) => [name, inMiB(slopeOf(rssOf(points), WINDOW_MS))]),
  );
  const leaked = Object.entries(outcome.filesAfter).flatMap(([process, kinds]) =>
    Object.entries(kinds).flatMap(([kind, after]) => {
      const before = outcome.filesBefore[process]?.[kind] ?? 0;
      return after > before ? [`${process}: ${kind} ${before} → ${after}`] : [];
    }),
  );
  const { absences: _absences, killed: _killed, hub: stalls, ...faults } = outcome.faults;
  say(`tasks ${outcome.completed} of ${outcome.submitted} completed; faults ${JSON.stringify({ ...faults, stalls })}`);
  say(
    `hub memory: slope ${rss.mibPerHour} ± ${rss.plusMinus} MiB/h (95 %, ${rss.points} windows); heap ${heap.mibPerHour} ± ${heap.plusMinus} MiB/h`,
  );
  for (const [name, { mibPerHour, plusMinus }] of Object.entries(watched)) say(`${name} memory: slope ${mibPerHour} ± ${plusMinus} MiB/h`);
  say(`what the agents of these did: ${JSON.stringify(outcome.deeds)}`);
  say(`write-ahead log at most ${outcome.walMaxMiB} MiB; open files leaked: ${leaked.length === 0 ? 'none' : leaked.join('; ')}`);
  const lagP99Ms = percentile(
    outcome.lag.map(({ p99Ms }) => p99Ms),
    0.99,
  );
  say(`loop lag, p99 of the worst seconds: ${lagP99Ms} ms`);
  const { rows } = outcome;
  const honestP50Ms = percentile(outcome.honestMs, 0.5);
  const honestP99Ms = percentile(outcome.honestMs, 0.99);
  say(`from submit to completion p50 ${honestP50Ms} ms, p99 ${honestP99Ms} ms (up to 2,000 of it is work)`);
  for (const [name, tally] of Object.entries(outcome.neighbours ?? {})) say(`${name}: ${JSON.stringify(tally)}`);
  say(`rows at the start ${JSON.stringify(rows.start)}, around the middle at most ${JSON.stringify(rows.middle)}`);
  say(
    `rows at the end at most ${JSON.stringify(rows.end)}; files of the store ${inWholeMiB(rows.middleFileBytes)} → ${inWholeMiB(rows.endFileBytes)} MiB`,
  );
  say(`grown: ${rows.bounded ? 'none' : rows.grown.join('; ')}`);
  for (const surprise of outcome.surprises) say(`SURPRISE ${surprise}`);
  const grows = ({ mibPerHour, plusMinus }: { readonly mibPerHour: number; readonly plusMinus: number }): boolean =>
    (minutes >= LONG_MINUTES ? mibPerHour : mibPerHour - plusMinus) >= SLOPE_MIB_PER_HOUR;
  const isReached =
    ![rss, ...Object.values(watched)].some(grows) &&
    leaked.length === 0 &&
    outcome.walMaxMiB < WAL_MIB &&
    rows.bounded &&
    outcome.surprises.length === 0;
  const isFull = minutes >= FIGURE.minutes && sidecars >= FIGURE.sidecars && tasksPerSecond >= FIGURE.rate;
  writeFigures('soak', isFull, {
    seed,
    minutes,
    sidecars,
    tasksPerSecond,
    reached: isReached,
    submitted: outcome.submitted,
    completed: outcome.completed,
    faults: { ...faults, stalls },
    rss,
    heap,
    // So that a reader can plot it.
    rssEachMinuteMiB: eachMinute(rssOf(outcome.hub)),
    watched,
    watchedEachMinuteMiB: Object.fromEntries(Object.entries(outcome.watched).map(([name, points]) => [name, eachMinute(rssOf(points))])),
    deeds: outcome.deeds,
    rssMaxMiB: Math.round(Math.max(0, ...outcome.hub.map(({ rssBytes }) => rssBytes)) / MIB),
    walMaxMiB: outcome.walMaxMiB,
    leaked,
    filesAfter: outcome.filesAfter,
    lagP99Ms,
    honestP50Ms,
    honestP99Ms,
    rows,
    neighbours: outcome.neighbours,
    surprises: outcome.surprises,
  });
  process.exitCode = isReached ? 0 : 1;
});

function eachMinute(points: readonly Point[]): readonly number[] {
  return lowestOfEach(points, WINDOW_MS).map(({ value }) => Math.round((value / MIB) * 10) / 10);
}

function inWholeMiB(bytes: number): number {
  return Math.round(bytes / MIB);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
