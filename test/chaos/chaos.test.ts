/** The short form of `npm run chaos`. */
import t from 'tap';
import { chaosRun } from './chaos-run.ts';
import { buildTree } from './rig/built-tree.ts';

const counts = { tasks: 60, sidecars: 4, killsHub: 3, killsSidecar: 5, killsAgent: 4, cuts: 4 };

t.test(
  'R1, R6, R10, R15: real processes are killed and cut off at random, and no task is lost, doubled or run beside itself',
  async (t) => {
    const { verdict, faults, surprises } = await chaosRun(t, { ...counts, tree: buildTree(t), seed: 'in the tests', longEvery: 0 });
    t.strictSame(verdict.violations, []);
    t.strictSame(surprises, []);
    t.match(faults, { hub: 3, sidecar: 5, agent: 4, cut: 4 }, 'all of it was done');
    t.match(verdict, { answered: 60, lost: 0, recordedTwice: 0, overlapping: 0 });
    t.ok(verdict.finishedRuns >= 60, `${verdict.finishedRuns} results were written`);
  },
);
