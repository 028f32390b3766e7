/** The short form of `npm run faults`, for a sidecar's disk. */
import t from 'tap';
import { faultsRun, KINDS } from './faults-run.ts';
import { SCENARIOS } from './scenarios.ts';

// Each run is a hub and its sidecars on real files, on a machine that is busy with other tests.
t.setTimeout(120_000);

/** From this step of its journal on, the sidecar of the scenario "comes, works and stops" is stopping. */
const STOP_FROM = 95;

const chosen = (...names: readonly string[]) => SCENARIOS.filter(({ name }) => names.some((each) => name.startsWith(each)));

t.test('R3, R4, R5, J5: acknowledgements survive power loss if any journal step fails, is cut short or is the last', async (t) => {
  const kinds = KINDS.filter(({ where }) => where === 'journal');
  const outcomes = await faultsRun({ scenarios: chosen('submit, assign'), kinds, first: 6, step: 47 });
  for (const { scenario, kind, violations } of outcomes) t.strictSame(violations, [], `${scenario}; ${kind}`);
  t.ok(outcomes.reduce((sum, { failed }) => sum + failed, 0) >= 7, 'calls failed');
});

t.test('R3, R4: a sidecar that dies or loses power while it stops behaves like one that was killed', async (t) => {
  const kinds = KINDS.filter(({ fault }) => fault === 'killed' || fault === 'power');
  const outcomes = await faultsRun({ scenarios: chosen('a sidecar comes'), kinds, first: STOP_FROM });
  for (const { scenario, kind, violations } of outcomes) t.strictSame(violations, [], `${scenario}; ${kind}`);
  t.ok(
    outcomes.every(({ failed }) => failed > 0),
    'it died in its last steps',
  );
});

t.test('R4, R10, J2, J4: a start with a full journal on a failing disk runs nothing twice and loses no result', async (t) => {
  const kinds = KINDS.filter(({ where }) => where === 'journal' || where === 'folders');
  const outcomes = await faultsRun({ scenarios: chosen('a sidecar that starts'), kinds, first: 9, step: 90 });
  for (const { scenario, kind, violations } of outcomes) t.strictSame(violations, [], `${scenario}; ${kind}`);
  t.ok(outcomes.reduce((sum, { failed }) => sum + failed, 0) >= 5, 'calls failed');
});
