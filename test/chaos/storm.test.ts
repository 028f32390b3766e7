/** The short form of `npm run storm`, with limits that hold on a machine that is busy with other tests. */
import t from 'tap';
import { HUB_TIMING } from '../../core/config/times.ts';
import { builtTree } from '../rig/built-tree.ts';
import { stormRun } from './runs/storm-run.ts';

const SIDECARS = 150;
const HOLDERS = 30;
/** As short as so many sidecars on a busy machine allow: none of them is away for that long by chance. */
const TIMING = {
  ...HUB_TIMING,
  heartbeatMs: 1_000,
  pongWaitMs: 1_500,
  reconnectMaxMs: 1_000,
  graceMarginMs: 1_500,
  reconnectGraceMs: 5_000,
  quietAfterStartMs: 5_000,
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
    t.ok(allIdentifiedMs !== null && allIdentifiedMs <= 15_000, `all were identified ${allIdentifiedMs} ms after the hub listened`);
    t.ok(rssMaxBytes > 0 && rssMaxBytes < 2 ** 30, `the hub took ${rssMaxBytes} bytes`);
  }
  t.strictSame([outcome.held, outcome.completed, outcome.reclaims], [HOLDERS, HOLDERS, 0]);
});
