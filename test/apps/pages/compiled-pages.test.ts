/** The TypeScript of the pages compiles, as strict as this tree; that it runs is seen by the test of each page. */
import t from 'tap';
import { compiledPages } from './page-compiler.ts';

const CLIENT = 'docs/client.md';
const STORAGE = 'docs/storage-adapters.md';

const files = compiledPages([CLIENT, STORAGE]);

t.test('every example of the client compiles', async (t) => {
  const examples = files.filter(({ page }) => page === CLIENT);
  t.ok(examples.length > 5, `${examples.length} examples`);
  for (const { name, complaints } of examples) t.strictSame(complaints, [], name);
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
