/** The short form of `npm run storm`, with limits that hold on a machine that is busy with other tests. */
import t from 'tap';
import { HUB_TIMING } from '../../core/config/times.ts';
import { builtTree } from '../rig/built-tree.ts';
import { stormRun } from './runs/storm-run.ts';

const SIDECARS = 150;
const HOLDERS = 30;
/** How long they may take to be identified on a busy machine: so long, too, the hub waits before it takes a task from an agent that is away. */
const IDENTIFIED_WITHIN_MS = 15_000;
const TIMING = {
  ...HUB_TIMING,
  heartbeatMs: 1_000,
  pongWaitMs: 1_500,
  reconnectMaxMs: 1_000,
  graceMarginMs: 1_500,
  reconnectGraceMs: IDENTIFIED_WITHIN_MS,
  quietAfterStartMs: IDENTIFIED_WITHIN_MS,
  sweepMs: 500,
};

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(120_000);

t.test('R15, R20: many sidecars reconnect at once to a killed hub, and none loses its work', async (t) => {
  const outcome = await stormRun(t, {
    tree: builtTree(),
    seed: 'in the tests',
    sidecars: SIDECARS,
    holders: HOLDERS,
    kills: 1,
    hubTiming: TIMING,
  });
  t.strictSame(outcome.surprises, []);
  t.equal(outcome.storms.length, 1);
  for (const { allIdentifiedMs, rssMaxBytes } of outcome.storms) {
    t.ok(
      allIdentifiedMs !== null && allIdentifiedMs <= IDENTIFIED_WITHIN_MS,
      `all were identified ${allIdentifiedMs} ms after the hub listened`,
    );
    t.ok(rssMaxBytes > 0 && rssMaxBytes < 2 ** 30, `the hub took ${rssMaxBytes} bytes`);
  }
  t.strictSame([outcome.held, outcome.completed, outcome.reclaims], [HOLDERS, HOLDERS, 0]);
});
