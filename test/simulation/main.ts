/**
 * `npm run sim -- --seeds N [--from K]`: plays N seeds. `--minutes M`: as many as fit. `--seed N`: plays one and prints
 * its trace; with `--shrink` it is cut down and kept as a regression. Ends with 1 when a rule was broken.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { countOf, FAULT_CLASSES } from './fault-classes.ts';
import { planOf, type Plan } from './plan.ts';
import { playSeeds, type Summary } from './pool.ts';
import { runPlan } from './run-plan.ts';
import { shrink } from './shrink.ts';

const SHRINK_RUNS_MAX = 1_500;
const REGRESSIONS = path.join(import.meta.dirname, 'regressions');

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    plan: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
});

process.exitCode = values.seed !== undefined || values.plan !== undefined ? await playOne() : await playMany();

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
  const onSmaller = ({ acts, machines }: Plan): void => progress(`${acts.length} acts, ${machines.length} machines`);
  const shrunk = await shrink(plan, rule, { runsMax: SHRINK_RUNS_MAX, onSmaller });
  progress('');
  const file = path.join(REGRESSIONS, `${plan.seed}.json`);
  await mkdir(REGRESSIONS, { recursive: true });
  await writeFile(file, `${JSON.stringify({ rule, what, plan: shrunk.plan }, null, 1)}\n`);
  console.log(`${shrunk.plan.acts.length} acts are left after ${shrunk.runs} tries: ${path.relative(process.cwd(), file)}`);
}

async function playMany(): Promise<number> {
  const untilMs = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
  const count = values.seeds === undefined ? (values.minutes === undefined ? 100 : Infinity) : Number(values.seeds);
  const first = Number(values.from);
  const startedMs = performance.now();
  const seen = new Map<string, number>();
  const broken: Summary[] = [];
  let [given, played, virtualMs] = [0, 0, 0];
  await playSeeds({
    processes: Number(values.processes),
    next: () => (given < count && performance.now() < untilMs ? first + given++ : null),
    onSummary(summary) {
      played += 1;
      virtualMs += summary.virtualMs;
      for (const [name, times] of summary.seen) seen.set(name, (seen.get(name) ?? 0) + times);
      progress(`${played} seeds${Number.isFinite(count) ? ` of ${count}` : ''}`);
      const [violation] = summary.violations;
      if (violation === undefined) return 'go on';
      broken.push(summary);
      console.log(`seed ${summary.seed} at ${Math.round(violation.atMs)} ms: ${violation.rule}: ${violation.what}`);
      return values.first ? 'stop' : 'go on';
    },
  });
  progress('');
  const realMs = performance.now() - startedMs;
  if (!values.quiet) tell(seen);
  console.log(
    `${played} seeds from ${first}, ${broken.length} broke a rule; ${Math.round(realMs / 1_000)} s, virtual:real ${Math.round(virtualMs / realMs)}:1, ${values.processes} processes, node ${process.version}`,
  );
  return broken.length === 0 ? 0 : 1;
}

function tell(seen: ReadonlyMap<string, number>): void {
  for (const [name, times] of [...seen].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${String(times).padStart(9)}  ${name}`);
  console.log('\nfaults that were met');
  for (const one of FAULT_CLASSES) console.log(`${String(countOf(one, seen)).padStart(9)}  ${one.name}`);
}

/** One line that is written over, on a terminal only. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
