/** The TypeScript of the pages compiles as strictly as this tree; the test of each page checks that it runs. */
import t from 'tap';
import { compiledPages } from './page-compiler.ts';

const CLIENT = 'docs/client.md';
const WORKER = 'docs/worker.md';
const STORAGE = 'docs/storage-adapters.md';

const files = compiledPages([CLIENT, WORKER, STORAGE]);

t.test('every example of the client and of the worker compiles', async (t) => {
  for (const [of, least] of [
    [CLIENT, 6],
    [WORKER, 4],
  ] as const) {
    const examples = files.filter(({ page }) => page === of);
    t.ok(examples.length >= least, `${of} has ${examples.length} examples`);
    for (const { name, complaints } of examples) t.strictSame(complaints, [], `${of} ${name}`);
  }
});

t.test('the code for a storage compiles, and imports only the package', async (t) => {
  const ofStorage = files.filter(({ page }) => page === STORAGE);
  t.strictSame(ofStorage.map(({ name }) => name).sort(), ['my-storage.test.ts', 'my-storage.ts']);
  for (const { name, text, complaints } of ofStorage) {
    t.strictSame(complaints, [], `${name} compiles`);
    const imported = [...text.matchAll(/from '([^']+)'/g)].map(([, from = '']) => from);
    const foreign = imported.filter((from) => !/^(node:|agentcom\/|\.\/my-storage\.ts$)/.test(from));
    t.strictSame(foreign, [], `${name} imports only the package`);
  }
});
