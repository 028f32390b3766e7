/** The short form of `npm run chaos:pg`. */
import t from 'tap';
import { chaosPgRun } from './runs/chaos-pg-run.ts';
import { builtTree } from '../rig/built-tree.ts';

// A whole world starts here, on a machine that is busy with other tests.
t.setTimeout(300_000);

const OWN = process.env['AGENTCOM_TEST_DATABASE_URL'] ?? '';

const PROMISES = 'R1, R4, R6, R10, R15, R21, J1, J2, J4, J6, J7';

for (const [which, hubs] of [
  ['three hubs on one Postgres', 3],
  ['a hub that does not share its Postgres', 1],
] as const)
  t.test(
    `${PROMISES}: ${which}, one killed, one drained, Postgres restarted, and no task is lost, doubled or run twice at once`,
    { skip: OWN !== '' && 'the server is not ours to stop' },
    async (t) => {
      const counts = { tasks: 60, hubs, sidecars: 6, kills: 1, drains: 1, restarts: 1, lostPercent: 20, clockMinutes: 10 };
      const { verdict, done, surprises } = await chaosPgRun(t, { ...counts, tree: builtTree(), seed: 'in the tests' });
      t.strictSame(verdict.violations, []);
      t.strictSame(surprises, []);
      t.strictSame(done, { kill: 1, drain: 1, restart: 1 }, 'every fault was injected');
      t.match(verdict, { answered: 60, lost: 0, recordedTwice: 0, overlapping: 0 });
      t.ok(verdict.finishedRuns >= 60, `${verdict.finishedRuns} results were written`);
    },
  );
