import { planOf } from './plan.ts';
import { runPlan } from './run-plan.ts';
const [from, count, keep] = [Number(process.argv[2] ?? 1), Number(process.argv[3] ?? 1), process.argv[4] !== undefined];
const seen = new Map<string, number>();
const t0 = performance.now();
let bad = 0;
let virtual = 0,
  turns = 0;
for (let seed = from; seed < from + count; seed += 1) {
  const out = await runPlan(planOf(seed), { keepTrace: keep });
  if (keep) for (const line of out.lines) console.log(line);
  for (const [k, v] of out.seen) seen.set(k, (seen.get(k) ?? 0) + v);
  virtual += out.virtualMs;
  turns += out.turns;
  if (out.violations.length > 0) {
    bad += 1;
    for (const v of out.violations.slice(0, 2)) console.log(seed, v.rule, v.what);
  }
}
const ms = performance.now() - t0;
if (!keep) for (const [k, v] of [...seen].sort()) console.log(String(v).padStart(8), k);
console.log({ bad, perSeedMs: ms / count, turnsPerSeed: turns / count, usPerTurn: (ms * 1000) / turns, virtualPerReal: virtual / ms });
