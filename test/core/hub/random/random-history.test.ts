/**
 * Random histories of a whole hub: submits; sidecars that connect, disconnect, lie and repeat themselves; operators;
 * time; storage faults; restarts. After each act the store must keep its invariants, and no frame may report anything
 * uncommitted. At the end, when faults stop and all participants behave, everything that can end does.
 */
import fc from 'fast-check';
import t from 'tap';
import { aHistory } from './random-acts.ts';
import { REGRESSIONS } from './random-regressions.ts';
import { live } from './random-world.ts';

/** `AGENTCOM_RANDOM_RUNS` runs more histories; `AGENTCOM_RANDOM_SEED` runs different ones. */
const runs = Number(process.env['AGENTCOM_RANDOM_RUNS'] ?? 80);
const seed = Number(process.env['AGENTCOM_RANDOM_SEED'] ?? 20_260_101);

for (const [what, history] of Object.entries(REGRESSIONS)) {
  t.test(what, async (t) => {
    await t.resolves(live(history));
  });
}

t.test(`${runs} random histories from seed ${seed}`, async (t) => {
  const found = await fc.check(fc.asyncProperty(aHistory(60), live), { numRuns: runs, seed });
  if (!found.failed) return;
  const acts = found.counterexample?.[0].map((act) => JSON.stringify(act)).join(',\n') ?? '';
  t.fail(`after ${found.numRuns} runs and ${found.numShrinks} shrinks: ${String(found.errorInstance)}\n${acts}`);
});
