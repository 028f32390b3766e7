/** A process that plays plans: one for each message, answered with what came of it. */
import { planOf, type Plan } from './plan.ts';
import { runPlan } from './run-plan.ts';
import type { Summary } from './pool.ts';

process.on('message', (asked: { readonly seed: number } | { readonly plan: Plan }) => {
  void (async () => {
    const plan = 'plan' in asked ? asked.plan : planOf(asked.seed);
    const startedMs = performance.now();
    const { violations, hash, seen, virtualMs, turns } = await runPlan(plan);
    const summary: Summary = {
      seed: plan.seed,
      violations,
      hash,
      seen: [...seen],
      virtualMs,
      turns,
      realMs: performance.now() - startedMs,
    };
    process.send?.(summary);
  })();
});
process.on('disconnect', () => process.exit(0));
