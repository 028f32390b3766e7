/** The short form of `npm run chaos:cancel`, with limits that hold on a machine that is busy with other tests. */
import t from 'tap';
import { cancelRun } from './runs/cancel-run.ts';
import { builtTree } from '../rig/built-tree.ts';

const KILL_GRACE_MS = 1_500;
/** What a busy machine may add to the limits of `chaos:cancel`. */
const BUSY_MS = 10_000;
/** The agent records its signal a little after it arrived. */
const EARLY_MS = 500;

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(300_000);

t.test('R11: a cancel ends a tree of five that ignores SIGTERM, wherever its processes hide, and is confirmed', async (t) => {
  const { times, faults, survivorNamed } = await cancelRun(t, { tree: builtTree(), cancels: 3, atOnce: 3, killGraceMs: KILL_GRACE_MS });
  t.strictSame(faults, []);
  t.equal(times.length, 3);
  for (const { signalMs, goneMs, confirmedMs } of times) {
    t.ok(signalMs >= 0 && signalMs <= 200 + BUSY_MS, `the agent got its signal after ${signalMs} ms`);
    t.ok(goneMs >= signalMs + KILL_GRACE_MS - EARLY_MS, 'not before the grace period has passed');
    t.ok(Math.max(goneMs, confirmedMs) <= KILL_GRACE_MS + 1_000 + BUSY_MS, `gone after ${goneMs} ms, confirmed after ${confirmedMs} ms`);
  }
  if (survivorNamed === null) t.comment('no process that cannot be killed: that needs root and the freezer of control groups 1');
  else t.ok(survivorNamed, 'a process that cannot be killed is named in the confirmation');
});
