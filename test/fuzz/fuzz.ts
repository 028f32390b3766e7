/**
 * A million hostile frames and a hundred thousand hostile bodies from many addresses at a real hub, next to honest
 * clients and sidecars: `npm run fuzz -- [--frames N] [--bodies N] [--seed TEXT]`. Exits with 1 unless nothing
 * crashed, nothing was answered with 500, memory is back within 64 MiB, the honest were answered within twice what
 * they are undisturbed (p99), and every task that was acknowledged to them is there and completed. README.md tells
 * what is sent.
 */
import { builtTree } from '../rig/built-tree.ts';
import { percentile, readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { progressBar } from '../chaos/rig/progress-bar.ts';
import { fuzzRun } from './fuzz-run.ts';

const FIGURE = { frames: 1_000_000, bodies: 100_000 };
const RSS_MIB = 64;
/** p99 of honest submits under attack, as a ratio to that of the same submits in the same run before the attack. */
const HONEST_P99_RATIO = 2;
const UNDISTURBED_MS = 60_000;
/** Share of the whole that is done before memory is first measured. */
const WARM_UP = 0.05;
const REST_MS = 5_000;
const HOSTILE_AGENTS = 120;
const HONEST = { honestSidecars: 20, honestPerSecond: 20 };
const SHOWN = 30;
const MIB = 2 ** 20;

const { frames, bodies, seed } = readOptions(FIGURE);
printMachine(thisMachine());
say(
  `${frames} hostile frames, ${bodies} hostile bodies; ${HOSTILE_AGENTS} hostile agents; honest: ${JSON.stringify(HONEST)}; seed ${seed}`,
);
await withEnds(async (end) => {
  const bar = progressBar(frames);
  const outcome = await fuzzRun(end, {
    tree: builtTree(),
    seed,
    frames,
    bodies,
    hostileAgents: HOSTILE_AGENTS,
    ...HONEST,
    warmUp: { frames: Math.round(frames * WARM_UP), bodies: Math.round(bodies * WARM_UP) },
    undisturbedMs: UNDISTURBED_MS,
    hostileIdle: true,
    restMs: REST_MS,
    onProgress: (done, note) => bar.at(done, note),
  });
  bar.end();
  const { tally, refused, seconds, honest, rss, stored, violations } = outcome;
  const inMiB = (bytes: number): number => Math.round((bytes / MIB) * 10) / 10;
  const rssMiB = {
    before: inMiB(rss.before.rssBytes),
    highest: inMiB(Math.max(...rss.during.map(({ rssBytes }) => rssBytes))),
    after: inMiB(rss.after.rssBytes),
  };
  const grownMiB = Math.round((rssMiB.after - rssMiB.before) * 10) / 10;
  const honestP99Ms = percentile(outcome.honestMs, 0.99);
  const undisturbedP99Ms = percentile(outcome.undisturbedMs, 0.99);
  const p99Ratio = Math.round((honestP99Ms / undisturbedP99Ms) * 100) / 100;
  const lagP99Ms = percentile(
    outcome.lag.map(({ p99Ms }) => p99Ms),
    0.99,
  );
  say(
    `sent in ${seconds} s: ${tally.frames} frames on ${tally.sockets} sockets, ${tally.bodies} requests; ${stored.tasks} tasks, ${stored.events} events stored`,
  );
  say(`closed by code ${JSON.stringify(tally.closes)}`);
  say(`answers ${JSON.stringify(tally.answers)}`);
  say(`statuses ${JSON.stringify(tally.statuses)}`);
  say(`the hub counted as refused ${JSON.stringify(refused)}`);
  say(`hub memory ${JSON.stringify(rssMiB)} MiB: ${grownMiB} more than before; loop lag p99 of the worst seconds ${lagP99Ms} ms`);
  say(
    `honest: ${honest.answered} acknowledged, ${honest.completed} completed, ${honest.repeated} said again; p50 ${percentile(outcome.honestMs, 0.5)} ms, ${percentile(outcome.undisturbedMs, 0.5)} undisturbed; p99 ${honestP99Ms} ms, ${p99Ratio} × the ${undisturbedP99Ms} undisturbed`,
  );
  for (const violation of violations.slice(0, SHOWN)) say(`VIOLATION ${violation}`);
  const isReached = violations.length === 0 && grownMiB < RSS_MIB && p99Ratio <= HONEST_P99_RATIO && honest.completed === honest.answered;
  const isFull = frames >= FIGURE.frames && bodies >= FIGURE.bodies;
  writeFigures('fuzz', isFull, {
    seed,
    reached: isReached,
    seconds,
    frames: tally.frames,
    bodies: tally.bodies,
    sockets: tally.sockets,
    closes: tally.closes,
    answers: tally.answers,
    statuses: tally.statuses,
    refused,
    rssMiB: { ...rssMiB, grown: grownMiB },
    honest: {
      ...honest,
      p50Ms: percentile(outcome.honestMs, 0.5),
      p99Ms: honestP99Ms,
      undisturbedP99Ms,
      p99Ratio,
      submits: outcome.honestMs.length,
    },
    lagP99Ms,
    stored,
    violations: violations.slice(0, SHOWN),
  });
  process.exitCode = isReached ? 0 : 1;
});
