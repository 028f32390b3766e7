/** The short form of `npm run fuzz`. Latency and memory are for the long form, on an otherwise idle machine. */
import t from 'tap';
import { builtTree } from '../rig/built-tree.ts';
import { fuzzRun } from './fuzz-run.ts';

t.setTimeout(180_000);

t.test('R7, R20, R22: hostile frames and bodies crash nothing, and honest clients lose nothing', async (t) => {
  const { tally, refused, honest, violations } = await fuzzRun(t, {
    tree: builtTree(),
    seed: 'in the tests',
    frames: 2_000,
    bodies: 200,
    hostileAgents: 20,
    honestSidecars: 3,
    honestPerSecond: 10,
    warmUp: null,
    undisturbedMs: 0,
    restMs: 0,
  });
  t.strictSame(violations, []);
  t.ok(tally.frames >= 2_000 && tally.bodies >= 200, `${tally.frames} frames, ${tally.bodies} bodies`);
  t.ok(honest.answered > 0);
  t.equal(honest.completed, honest.answered);
  const { frames = {}, requests = {} } = refused;
  for (const reason of ['not_identified', 'invalid_json', 'validation_failed', 'not_assignee']) t.ok((frames[reason] ?? 0) > 0, reason);
  for (const error of ['unauthorized', 'forbidden', 'validation_failed', 'unknown_route']) t.ok((requests[error] ?? 0) > 0, error);
  t.equal(tally.statuses['500'], undefined);
});
