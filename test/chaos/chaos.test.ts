/** The short form of `npm run chaos`. */
import t from 'tap';
import { chaosRun } from './runs/chaos-run.ts';
import { builtTree } from '../rig/built-tree.ts';

const counts = { tasks: 24, sidecars: 3, killsHub: 1, killsSidecar: 2, killsAgent: 2, cuts: 2 };

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(300_000);

t.test(
  'R1, R4, R6, R10, R15, R21, J1, J2, J4, J6, J7: under random kills and cuts of real processes no task is lost, doubled or run twice at once',
  async (t) => {
    const { verdict, faults, surprises } = await chaosRun(t, { ...counts, tree: builtTree(), seed: 'in the tests', longEvery: 0 });
    t.strictSame(verdict.violations, []);
    t.strictSame(surprises, []);
    t.match(faults, { hub: 1, sidecar: 2, agent: 2, cut: 2 }, 'every fault was injected');
    t.match(verdict, { lost: 0, recordedTwice: 0, overlapping: 0 });
    t.ok(verdict.answered >= 24, `${verdict.answered} tasks were answered`);
    t.ok(verdict.finishedRuns >= 24, `${verdict.finishedRuns} results were written`);
  },
);
