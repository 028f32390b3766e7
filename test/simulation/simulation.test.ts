/** Plays as many worlds as fit into the time of a test, each kept regression, and shows that a seed is always the same world. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { planOf, type Plan } from './plan.ts';
import { playSeeds, type Summary } from './pool.ts';
import { runPlan } from './run-plan.ts';

const SEEDS_MAX = 500;
/** On a machine that is busy with other things fewer are played; there are always these. */
const SEEDS_MIN = 50;
const WITHIN_MS = 45_000;
const PROCESSES = 2;
const PLAYED_TWICE = 50;
const REGRESSIONS = path.join(import.meta.dirname, 'regressions');

const played = new Map<number, Summary>();

/** Plays the seeds that `next` names and answers what was broken. */
async function play(next: () => number | null, onSummary: (summary: Summary) => void): Promise<readonly string[]> {
  const broken: string[] = [];
  await playSeeds({
    processes: PROCESSES,
    next,
    onSummary(summary) {
      onSummary(summary);
      const [violation] = summary.violations;
      if (violation !== undefined) broken.push(`seed ${summary.seed}: ${violation.rule}: ${violation.what}`);
      return 'go on';
    },
  });
  return broken;
}

t.test('no rule is broken in any world', async (t) => {
  const startedMs = performance.now();
  let seed = 0;
  const isTimeLeft = (): boolean => seed < SEEDS_MIN || performance.now() - startedMs < WITHIN_MS;
  const broken = await play(
    () => (seed < SEEDS_MAX && isTimeLeft() ? (seed += 1) : null),
    (summary) => played.set(summary.seed, summary),
  );
  t.strictSame(broken, [], 'replay one with: npm run sim -- --seed N');
  t.comment(`${played.size} seeds`);
});

t.test('a seed is always the same world', async (t) => {
  let seed = 0;
  const different: number[] = [];
  await play(
    () => (seed < PLAYED_TWICE ? (seed += 1) : null),
    (summary) => {
      if (played.get(summary.seed)?.hash !== summary.hash) different.push(summary.seed);
    },
  );
  t.strictSame(different, []);
  t.equal(new Set([...played.values()].map((summary) => summary.hash)).size, played.size, 'and each its own');
});

t.test('what was broken once is not broken again', async (t) => {
  const files = (await readdir(REGRESSIONS)).filter((file) => file.endsWith('.json'));
  for (const file of files) {
    const { rule, plan } = JSON.parse(await readFile(path.join(REGRESSIONS, file), 'utf8')) as {
      readonly rule: string;
      readonly plan: Plan;
    };
    const { violations } = await runPlan(plan);
    t.strictSame(violations, [], `${file}, which broke ${rule}`);
  }
});

t.test('a plan is JSON, and the same after it', (t) => {
  const plan = planOf(7);
  t.strictSame(JSON.parse(JSON.stringify(plan)), plan);
  t.end();
});
