/**
 * `npm run sim -- --seeds N [--from K]`: plays N seeds. `--minutes M`: as many as fit into M minutes. `--seed N`:
 * plays one and prints its trace; with `--shrink` its plan is shrunk and stored as a regression. Exits with 1 if a
 * rule was broken, or if a class of faults hardly occurred in 2,000 seeds or more.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { planOf, type Plan } from './plan.ts';
import { FULL_SEEDS, isGood, playMany } from './runner/play-many.ts';
import { runPlan } from './runner/run-plan.ts';
import { shrink } from './runner/shrink.ts';
import { scriptOptions } from '../rig/script-options.ts';

const SHRINK_RUNS_MAX = 1_500;
const REGRESSIONS = path.join(import.meta.dirname, 'regressions');

const values = scriptOptions({
  seeds: { type: 'string' },
  from: { type: 'string', default: '1' },
  minutes: { type: 'string' },
  seed: { type: 'string' },
  plan: { type: 'string' },
  shrink: { type: 'boolean', default: false },
  first: { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
  processes: { type: 'string', default: String(availableParallelism()) },
});

process.exitCode = values.seed !== undefined || values.plan !== undefined ? await playOne() : await playSeeds();

async function playOne(): Promise<number> {
  const plan = values.plan === undefined ? planOf(Number(values.seed)) : await readPlan(values.plan);
  const outcome = await runPlan(plan, { keepTrace: !values.shrink });
  for (const line of outcome.lines) console.log(line);
  const [violation] = outcome.violations;
  console.log(
    `seed ${plan.seed}: trace ${outcome.hash}, ${outcome.turns} turns, ${Math.round(outcome.virtualMs / 1_000)} s of virtual time`,
  );
  if (violation === undefined) {
    console.log('no rule was broken');
    return 0;
  }
  console.log(`${violation.rule}: ${violation.what}`);
  if (values.shrink) await keepSmallest(plan, violation.rule, violation.what);
  return 1;
}

async function readPlan(file: string): Promise<Plan> {
  return (JSON.parse(await readFile(file, 'utf8')) as { readonly plan: Plan }).plan;
}

async function keepSmallest(plan: Plan, rule: string, what: string): Promise<void> {
  const onSmaller = ({ acts, machines }: Plan): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${acts.length} acts, ${machines.length} machines`);
  };
  const shrunk = await shrink(plan, rule, { runsMax: SHRINK_RUNS_MAX, onSmaller });
  const file = path.join(REGRESSIONS, `${plan.seed}.json`);
  await mkdir(REGRESSIONS, { recursive: true });
  await writeFile(file, `${JSON.stringify({ rule, what, plan: shrunk.plan }, null, 1)}\n`);
  console.log(`${shrunk.plan.acts.length} acts are left after ${shrunk.runs} tries: ${path.relative(process.cwd(), file)}`);
}

async function playSeeds(): Promise<number> {
  printMachine(thisMachine(), 'simulated store');
  const figures = await playMany({
    from: Number(values.from),
    count: values.seeds === undefined ? (values.minutes === undefined ? 100 : Infinity) : Number(values.seeds),
    minutes: values.minutes === undefined ? Infinity : Number(values.minutes),
    processes: Number(values.processes),
    untilBroken: values.first,
    quiet: values.quiet,
  });
  writeFigures('simulation', figures.seeds >= FULL_SEEDS, { ...figures }, 'sim');
  return isGood(figures) ? 0 : 1;
}
