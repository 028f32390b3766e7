/** A process that plays worlds: one for each message, answered with its outcome. */
import { planOf } from '../plan.ts';
import type { PoolRequest, Summary } from './pool.ts';
import { runPlan } from './run-plan.ts';

process.on('message', (request: PoolRequest) => {
  void (async () => {
    const plan = 'plan' in request ? request.plan : planOf(request.seed);
    const { violations, hash, seen, virtualMs, turns } = await runPlan(plan);
    const summary: Summary = { seed: plan.seed, violations, hash, seen: [...seen], virtualMs, turns };
    process.send?.(summary);
  })();
});
process.on('disconnect', () => process.exit(0));
