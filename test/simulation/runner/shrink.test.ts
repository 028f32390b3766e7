/** A simulation that finds nothing may be blind: here it gets a broken world, and shrinks it. */
import t from 'tap';
import { planOf } from '../plan.ts';
import { runPlan } from './run-plan.ts';
import { shrink } from './shrink.ts';

t.test('a broken world is found, and shrunk while the same rule is broken', async (t) => {
  // A time that is not a number: the clock refuses such a timer, and a sidecar that gets it must be restarted.
  const whole = planOf(3);
  const plan = {
    ...whole,
    acts: whole.acts.slice(0, 60),
    liveness: true,
    sidecarTiming: { ...whole.sidecarTiming, reportRepeat: { firstMs: Number.NaN, maxMs: Number.NaN } },
  };
  const outcome = await runPlan(plan);
  const rule = outcome.violations[0]?.rule ?? 'none';
  t.not(rule, 'none', 'timers that cannot be set break a rule');
  const shrunk = await shrink(plan, rule, { runsMax: 60 });
  t.ok(shrunk.plan.acts.length < plan.acts.length, `${shrunk.plan.acts.length} of ${plan.acts.length} acts are left`);
  const again = await runPlan(shrunk.plan);
  t.equal(again.violations[0]?.rule, rule);
});
