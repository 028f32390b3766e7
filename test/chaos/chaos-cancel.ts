/**
 * Cancels agents that ignore SIGTERM, each with four processes that do too: `npm run chaos:cancel -- [--cancels N]
 * [--at-once N] [--grace MS]`. Exits with 1 unless the signal arrives within 200 ms (p99), the whole tree is gone and
 * this is confirmed within the grace period plus a second, and processes that cannot be killed are named.
 */
import { cancelRun } from './runs/cancel-run.ts';
import { builtTree } from '../rig/built-tree.ts';
import { percentile, readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from './rig/chaos-figures.ts';
import { progressBar } from './rig/progress-bar.ts';

const SIGNAL_P99_MS = 200;
const BEYOND_GRACE_MS = 1_000;
const FIGURE = { cancels: 200, 'at-once': 4, grace: 2_000 };

const { cancels, 'at-once': atOnce, grace: killGraceMs, seed: _seed } = readOptions(FIGURE);
printMachine(thisMachine());
say(`${cancels} cancels of trees of 5 that ignore SIGTERM, ${atOnce} at the same time, killGraceMs ${killGraceMs}; nothing here is random`);
await withEnds(async (end) => {
  const bar = progressBar(cancels);
  const outcome = await cancelRun(end, {
    tree: builtTree(),
    cancels,
    atOnce,
    killGraceMs,
    onProgress: (done) => bar.at(done, 'cancelled'),
  });
  bar.end();
  const of = (which: 'signalMs' | 'goneMs' | 'confirmedMs') => {
    const values = outcome.times.map((time) => time[which]);
    return { p50: percentile(values, 0.5), p99: percentile(values, 0.99), max: percentile(values, 1) };
  };
  const [signal, gone, confirmed] = [of('signalMs'), of('goneMs'), of('confirmedMs')];
  say(`cancel to signal, ms     p50 ${signal.p50}  p99 ${signal.p99}  max ${signal.max}   (expected p99 ≤ ${SIGNAL_P99_MS})`);
  say(`cancel to all gone, ms   p50 ${gone.p50}  p99 ${gone.p99}  max ${gone.max}   (expected max ≤ ${killGraceMs + BEYOND_GRACE_MS})`);
  say(
    `cancel to confirmed, ms  p50 ${confirmed.p50}  p99 ${confirmed.p99}  max ${confirmed.max}   (expected max ≤ ${killGraceMs + BEYOND_GRACE_MS})`,
  );
  say(
    `a process that cannot be killed is named: ${outcome.survivorNamed ?? 'not tried, it needs root and the freezer of control groups 1'}`,
  );
  for (const fault of outcome.faults) say(`FAULT ${fault}`);
  const isReached =
    outcome.times.length === cancels &&
    outcome.faults.length === 0 &&
    outcome.survivorNamed !== false &&
    signal.p99 <= SIGNAL_P99_MS &&
    Math.max(gone.max, confirmed.max) <= killGraceMs + BEYOND_GRACE_MS;
  const { survivorNamed, faults } = outcome;
  const isFull = cancels >= FIGURE.cancels && survivorNamed !== null;
  writeFigures('chaos-cancel', isFull, {
    cancels,
    atOnce,
    killGraceMs,
    reached: isReached,
    signalMs: signal,
    goneMs: gone,
    confirmedMs: confirmed,
    survivorNamed,
    faults,
  });
  process.exitCode = isReached ? 0 : 1;
});
