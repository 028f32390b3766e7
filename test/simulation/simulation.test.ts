/** Plays 48 worlds and each kept regression, and shows that a seed is always the same world. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { planOf, type Plan } from './plan.ts';
import { openPool, type PoolRequest, type Summary } from './runner/pool.ts';

const SEEDS = 48;
const PROCESSES = 2;
const PLAYED_TWICE = 8;
const REGRESSIONS = path.join(import.meta.dirname, 'regressions');

const pool = await openPool({ processes: PROCESSES });
t.teardown(() => pool.close());

/** Plays them all; in the order in which they end. */
async function play(worlds: readonly PoolRequest[]): Promise<readonly Summary[]> {
  const waiting = [...worlds];
  const summaries: Summary[] = [];
  await pool.play({
    next: () => waiting.shift() ?? null,
    onSummary(summary) {
      summaries.push(summary);
      return 'go on';
    },
  });
  return summaries;
}

const seeds = (count: number): readonly PoolRequest[] => Array.from({ length: count }, (_, place) => ({ seed: place + 1 }));

const brokenIn = (summaries: readonly Summary[]): readonly string[] =>
  summaries.flatMap(({ seed, violations }) => violations.slice(0, 1).map(({ rule, what }) => `seed ${seed}: ${rule}: ${what}`));

const played = new Map<number, Summary>();

t.test('I1 to I16, J1 to J15 and R16 hold in each of 48 worlds', async (t) => {
  for (const summary of await play(seeds(SEEDS))) played.set(summary.seed, summary);
  t.equal(played.size, SEEDS);
  t.strictSame(brokenIn([...played.values()]), [], 'replay one with: npm run sim -- --seed N');
});

t.test('a seed always produces the same world', async (t) => {
  const again = await play(seeds(PLAYED_TWICE));
  t.equal(again.length, PLAYED_TWICE);
  const different = again.filter(({ seed, hash }) => played.get(seed)?.hash !== hash);
  t.strictSame(
    different.map(({ seed }) => seed),
    [],
  );
  t.equal(new Set([...played.values()].map(({ hash }) => hash)).size, SEEDS, 'and every seed a different one');
});

t.test('past failures stay fixed', async (t) => {
  const files = (await readdir(REGRESSIONS)).filter((file) => file.endsWith('.json'));
  const kept = await Promise.all(
    files.map(async (file) => JSON.parse(await readFile(path.join(REGRESSIONS, file), 'utf8')) as { readonly plan: Plan }),
  );
  const summaries = await play(kept.map(({ plan }) => ({ plan })));
  t.equal(summaries.length, files.length);
  t.strictSame(brokenIn(summaries), [], 'replay one with: npm run sim -- --plan test/simulation/regressions/N.json');
});

t.test('a plan survives a round trip through JSON', (t) => {
  const plan = planOf(7);
  t.strictSame(JSON.parse(JSON.stringify(plan)), plan);
  t.end();
});
