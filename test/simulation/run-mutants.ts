/**
 * `npm run sim:mutants [-- --seeds 500] [--only M7]`: plants each bug in a copy of the tree and plays seeds until a rule is
 * broken. Ends with 1 when one is not found.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { MUTANTS, WAITING, type Mutant } from './mutants.ts';
import { playSeeds, type Summary } from './pool.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const COPIED = ['core', 'adapters', 'test/simulation', 'package.json', 'tsconfig.json'];

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    only: { type: 'string' },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
});

const seedsMax = Number(values.seeds);
let missed = 0;
console.log(`${'mutant'.padEnd(8)}${'seeds'.padEnd(7)}${'seed'.padEnd(7)}rule`);
for (const mutant of MUTANTS) {
  if (values.only !== undefined && !values.only.split(',').includes(mutant.name)) continue;
  const { caught, played } = await hunt(mutant);
  if (caught === null) missed += 1;
  const [violation] = caught?.violations ?? [];
  const found = caught === null ? 'NOT FOUND' : `${String(caught.seed).padEnd(7)}${violation?.rule}: ${violation?.what}`;
  console.log(`${mutant.name.padEnd(8)}${String(played).padEnd(7)}${found}\n        (${mutant.what})`);
}
for (const { name, what } of WAITING) console.log(`${name.padEnd(8)}waits for several hubs: ${what}`);
console.log(missed === 0 ? 'every planted bug was found' : `${missed} planted bugs were not found`);
process.exitCode = missed === 0 ? 0 : 1;

async function hunt(mutant: Mutant): Promise<{ readonly caught: Summary | null; readonly played: number }> {
  const copy = await mkdtemp(path.join(tmpdir(), `agentcom-${mutant.name}-`));
  try {
    await plant(mutant, copy);
    let caught: Summary | null = null;
    let [given, played] = [0, 0];
    await playSeeds({
      processes: Number(values.processes),
      workerFile: path.join(copy, 'test/simulation/worker.ts'),
      next: () => (given < seedsMax ? Number(values.from) + given++ : null),
      onSummary(summary) {
        played += 1;
        if (summary.violations.length === 0) return 'go on';
        if (caught === null || summary.seed < caught.seed) caught = summary;
        return 'stop';
      },
    });
    return { caught, played };
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function plant({ name, file, find, replace }: Mutant, copy: string): Promise<void> {
  for (const part of COPIED) await cp(path.join(ROOT, part), path.join(copy, part), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  const text = await readFile(path.join(copy, file), 'utf8');
  const places = text.split(find).length - 1;
  if (places !== 1)
    throw new Error(
      `${name} looks for a text that stands ${places} times in ${file}; it must stand there once. Mend test/simulation/mutants.ts.`,
    );
  await writeFile(
    path.join(copy, file),
    text.replace(find, () => replace),
  );
}
