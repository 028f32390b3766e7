import t from 'tap';
import fc from 'fast-check';
import { ACTS, StormWorld } from './rig/storm-world.ts';

const RUNS = 400;
const acts = fc.array(fc.tuple(fc.constantFrom(...ACTS), fc.nat(1_000), fc.nat(1_000)), { minLength: 30, maxLength: 250 });

t.test('R10 J4 J5: the invariants hold under random inputs in any order, with disk failures and crashes', async (t) => {
  const seen = new Map<string, number>();
  const property = fc.property(acts, fc.integer({ min: 1, max: 3 }), (storm, slots) => {
    const world = new StormWorld(slots);
    for (const [act, a, b] of storm) world.act(act, a, b);
    for (const [what, count] of world.seen) seen.set(what, (seen.get(what) ?? 0) + count);
    if (world.complaints.length > 0) throw new Error(world.complaints.join('\n'));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: RUNS, seed: 20_260_101 }));
  const wanted = [
    'wake',
    'attach',
    'kill',
    'task_accepted',
    'task_complete',
    'task_failed',
    'task_rejected',
    'task_cancel_ack',
    'refuseReport',
    'removeReport',
  ];
  for (const what of wanted) t.ok((seen.get(what) ?? 0) >= 10, `the storms reached ${what}: ${seen.get(what) ?? 0}`);
});
