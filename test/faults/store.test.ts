/** The short form of `npm run faults`, for the store: some of its calls in each of the scenarios that change most at once. */
import t from 'tap';
import { faultsRun, KINDS } from './faults-run.ts';
import { SCENARIOS } from './scenarios.ts';

// Each run is a hub and its sidecars on real files, on a machine that is busy with other tests.
t.setTimeout(300_000);

const chosen = (...names: readonly string[]) => SCENARIOS.filter(({ name }) => names.some((each) => name.startsWith(each)));
const stores = KINDS.filter(({ where }) => where === 'store');

t.test('R1, R2, R9: if any statement of the store fails, acknowledged tasks exist, once', async (t) => {
  const outcomes = await faultsRun({ scenarios: chosen('submit, assign', 'bulk'), kinds: stores, first: 5, step: 71 });
  for (const { scenario, kind, violations } of outcomes) t.strictSame(violations, [], `${scenario}; ${kind}`);
  t.ok(outcomes.reduce((sum, { failed }) => sum + failed, 0) >= 10, 'calls failed');
});

t.test('R2, R4, R15: a store that fails during a late result or a hub restart costs nothing', async (t) => {
  const kinds = stores.filter(({ lasting }) => lasting);
  const outcomes = await faultsRun({ scenarios: chosen('a late result', 'a hub that is started'), kinds, first: 30, step: 180 });
  for (const { scenario, kind, violations } of outcomes) t.strictSame(violations, [], `${scenario}; ${kind}`);
  t.ok(outcomes.reduce((sum, { failed }) => sum + failed, 0) >= 4, 'calls failed');
});

t.test('R2, R15: if the answer to a commit is lost, its assignments still reach their agents', async (t) => {
  const kinds = stores.filter(({ fault }) => fault === 'answer lost');
  // The third call of this scenario is the one statement that saves the submit, and assigns the task.
  const outcomes = await faultsRun({ scenarios: chosen('submit, assign'), kinds, first: 3, step: 1_000 });
  for (const { scenario, kind, violations, failed } of outcomes) {
    t.equal(failed, 1);
    t.strictSame(violations, [], `${scenario}; ${kind}`);
  }
});
