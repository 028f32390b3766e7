/** The short form of `npm run chaos:points`: the steps at which most was at stake, each once. */
import t from 'tap';
import { pointsRun } from './points-run.ts';
import { buildTree } from './rig/built-tree.ts';

const CHOSEN = [
  'before COMMIT of assigned',
  'after COMMIT of completed, before answers',
  'after sending task_assign',
  'after a POST is handled, before its answer',
  'after saving a slot accepted',
  'before the wake',
  'before hearing spawned of a wake',
  'before putting in place the journal',
  'after writing a report',
  'after sending task_complete',
  'during the stop of a wake',
];

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(120_000);

t.test('R1, R2, R3, R10: killed at named steps, neither hub nor sidecar loses or doubles anything', async (t) => {
  const choose = (steps: readonly string[]): readonly string[] => steps.filter((step) => CHOSEN.includes(step));
  const { hub, sidecar, verdict, surprises } = await pointsRun(t, { tree: buildTree(t), seed: 'in the tests', times: 1, choose });
  t.strictSame(verdict.violations, []);
  t.strictSame(surprises, []);
  t.strictSame([...hub, ...sidecar].map(({ step }) => step).sort(), [...CHOSEN].sort(), 'every chosen step is there');
  t.strictSame(
    [...hub, ...sidecar].filter(({ kills }) => kills !== 1),
    [],
    'and was killed at',
  );
});
