/** The short form of `npm run chaos:points`: the most critical steps, each once. */
import t from 'tap';
import { pointsRun } from './runs/points-run.ts';
import { builtTree } from '../rig/built-tree.ts';

const STEPS = {
  hub: ['after COMMIT of completed, before answers', 'after sending task_assign'],
  sidecar: ['before the wake', 'before putting in place the journal', 'after writing a report', 'during the stop of a wake'],
};

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(300_000);

t.test('R1, R2, R3, R4, R10, J1, J2, J4, J6: hub and sidecar lose and duplicate nothing when killed at named steps', async (t) => {
  const outcome = await pointsRun(t, { tree: builtTree(), seed: 'in the tests', times: 1, sidecars: 2, steps: STEPS });
  const { hub, sidecar, verdict, surprises } = outcome;
  t.strictSame(verdict.violations, []);
  t.strictSame(surprises, []);
  t.ok(verdict.answered > 0, `${verdict.answered} tasks ran meanwhile`);
  t.strictSame(
    [...hub, ...sidecar].filter(({ kills }) => kills !== 1),
    [],
    'every step was killed once',
  );
});
