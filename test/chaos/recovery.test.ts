/** The short form of `npm run recovery`, with limits that hold on a machine that is busy with other tests. */
import t from 'tap';
import { checkInvariants } from '../../core/domain/invariants/invariants.ts';
import { recoveryRun } from './runs/recovery-run.ts';
import { builtTree } from '../rig/built-tree.ts';
import { readStored } from './rig/stored.ts';

/** What a busy machine may add to the limits of `recovery`. */
const BUSY_MS = 15_000;
const TIMING = {
  heartbeatMs: 500,
  pongWaitMs: 1_000,
  reconnectMaxMs: 1_000,
  graceMarginMs: 500,
  reconnectGraceMs: 3_000,
  quietAfterStartMs: 6_000,
};

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(120_000);

t.test('R1, R16: a hub with many stored tasks accepts submits soon after kill -9, and tasks of a dead machine move', async (t) => {
  const outcome = await recoveryRun(t, { tree: builtTree(), seed: 'in the tests', tasks: 5_000, kills: 1, hubTiming: TIMING });
  t.strictSame(outcome.surprises, []);
  t.equal(outcome.stored.queued, 2_250, 'the store has its planned size');
  t.equal(outcome.recoveries.length, 1);
  for (const { submitMs } of outcome.recoveries) t.ok(submitMs <= 3_000 + BUSY_MS, `a submit was answered ${submitMs} ms after the kill`);
  t.ok(
    outcome.answered > 0 && outcome.found === outcome.answered,
    `${outcome.answered} submits were answered, ${outcome.found} are stored`,
  );
  const { elsewhereAfterStartMs, elsewhereMs } = outcome;
  t.ok(elsewhereAfterStartMs >= TIMING.quietAfterStartMs, `nothing was reclaimed in the quiet period: ${elsewhereAfterStartMs} ms`);
  t.ok(elsewhereAfterStartMs <= TIMING.quietAfterStartMs + 5_000 + BUSY_MS, `it ran elsewhere ${elsewhereAfterStartMs} ms after the start`);
  t.ok(elsewhereMs >= TIMING.reconnectGraceMs, `nor before the grace period had passed: ${elsewhereMs} ms`);
  t.ok(elsewhereMs <= TIMING.reconnectGraceMs + 5_000 + BUSY_MS, `it ran elsewhere after ${elsewhereMs} ms`);
  const stored = await readStored(outcome.database);
  t.equal(stored.integrity, 'ok');
  const nowMs = Date.now();
  const tasks = [...stored.tasks.values()].map(({ task }) => task);
  t.strictSame(checkInvariants({ ...stored, tasks, sweepMs: 1, healthySinceMs: nowMs }, stored.events, nowMs), []);
});
