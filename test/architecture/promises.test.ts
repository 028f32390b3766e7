/** The promises are proven: each by a test that can fail, and the pages say so accurately. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { filesUnder } from './tree.ts';
import { ROOT } from './cruise.ts';
import { FIGURES } from './promises/result-figures.ts';
import { generatedParts, PAGES, proofs, resultsWithoutFigure, withParts } from './promises/pages.ts';
import { placesOf } from './promises/plant.ts';
import { PLANTED_FAULTS } from './promises/planted-faults.ts';
import { digestOf, type PlantedResult } from './promises/planted-result.ts';
import { tagsOf, taggedTests, testsIn } from './promises/tagged-tests.ts';

const textOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const numbered = (letter: string, last: number): readonly string[] => Array.from({ length: last }, (_, place) => `${letter}${place + 1}`);

t.test('every promise and invariant has a test, and a planted fault that makes one fail', async (t) => {
  const rows = await proofs();
  t.strictSame(
    rows.map(({ promise }) => promise),
    [...numbered('R', 22), ...numbered('I', 16), ...numbered('J', 16)],
    'the page lists them all, in order',
  );
  for (const { promise, tests, faults } of rows) {
    t.ok(tests.length > 0, `${promise} has a test`);
    t.ok(faults.length > 0, `${promise} has a fault`);
  }
});

t.test('every tag names an existing promise', async (t) => {
  const known = new Set((await proofs()).map(({ promise }) => promise));
  for (const { file, title, tags } of await taggedTests())
    t.strictSame(
      tags.filter((tag) => !known.has(tag)),
      [],
      `${file}: ${title}`,
    );
});

t.test('every fault matches its file exactly once, and breaks a promise its test proves', async (t) => {
  const tests = await taggedTests();
  const contracts = (file: string): readonly string[] =>
    [...textOf(file).matchAll(/from '(\.[\w./-]*\.ts)'/g)]
      .map(([, name = '']) => path.join(path.dirname(file), name))
      .filter((name) => name.startsWith('test/product/contracts/'));
  for (const fault of PLANTED_FAULTS) {
    t.equal(await placesOf(fault), 1, `${fault.name} in ${fault.file}`);
    const files = [fault.test, ...contracts(fault.test), ...contracts(fault.test).flatMap(contracts)];
    const proven = tests.filter(({ file }) => files.includes(file)).flatMap(({ tags }) => tags);
    for (const promise of fault.breaks) t.ok(proven.includes(promise), `${fault.name}: ${fault.test} has a test of ${promise}`);
  }
  t.equal(new Set(PLANTED_FAULTS.map(({ name }) => name)).size, PLANTED_FAULTS.length, 'names are unique');
});

t.test('the last run found every planted fault, and none was added since', async (t) => {
  const { found, of, faults } = JSON.parse(textOf('docs/results/planted.json')) as PlantedResult;
  t.equal(found, of);
  t.strictSame(
    faults.filter((fault) => fault.found).map(({ name, digest }) => [name, digest]),
    PLANTED_FAULTS.map((fault) => [fault.name, digestOf(fault)]),
    'otherwise run: npm run planted -- --missing',
  );
});

t.test('the pages match the output of `npm run promises`', async (t) => {
  const parts = await generatedParts();
  for (const page of PAGES) t.equal(textOf(page), withParts(page, parts), page);
});

t.test('every figure has a command, and every result a figure', async (t) => {
  const { scripts } = JSON.parse(textOf('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
  for (const { script } of FIGURES) t.ok(script in scripts, `npm run ${script}`);
  t.strictSame(resultsWithoutFigure(), []);
});

t.test('tags are read only from titles', async (t) => {
  t.strictSame(tagsOf('R5 R9: repeats'), ['R5', 'R9']);
  t.strictSame(tagsOf('R1, R2: both'), ['R1', 'R2']);
  t.strictSame(tagsOf('I1 to I3, J7 and R16: all'), ['I1', 'I2', 'I3', 'J7', 'R16']);
  t.strictSame(tagsOf('R5 without a colon'), []);
  t.strictSame(tagsOf('see R5: it'), []);
  t.strictSame(testsIn('a', "t.test(`R1: ${what} it's`, async () => {});\nt.test(\n  'R2: \\'x\\'',\n);"), [
    { file: 'a', title: "R1: … it's", tags: ['R1'] },
    { file: 'a', title: "R2: 'x'", tags: ['R2'] },
  ]);
  t.ok((await filesUnder('test')).length > 100, 'the tree is read');
});
