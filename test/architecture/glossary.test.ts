/** The glossary of ARCHITECTURE.md and the exported names agree: its terms are in the code, and no retired word is. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { ROOT } from './cruise.ts';
import { sourceFiles } from './tree.ts';

/** Words that have a standard term instead, as they would stand in an identifier. `lookup` is one word and another one. */
const RETIRED: ReadonlySet<string> = new Set([
  ...['look', 'looks', 'looked', 'lookout', 'told', 'untold', 'said', 'heard', 'ears', 'hush', 'hushed', 'bury', 'buries', 'buried'],
  ...['standing', 'sighting', 'fate', 'hindrance', 'unfit', 'lane', 'lanes', 'stranger', 'strangers', 'newcomer', 'speaker'],
]);

const EXPORTED = /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm;

/** Each name that core, adapters, plugins or apps export, with a file that does. */
async function exportedNames(): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  const files = (await sourceFiles()).filter((file) => /^(core|adapters|plugins|apps)\//.test(file));
  for (const file of files) {
    const text = await readFile(path.join(ROOT, file), 'utf8');
    for (const [, name = ''] of text.matchAll(EXPORTED)) names.set(name, file);
  }
  return names;
}

/** `wordsOf('readAllHTTP_NAMES')`: read, all, http, names. */
const wordsOf = (name: string): readonly string[] => (name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []).map((word) => word.toLowerCase());

/** The names in the last column of the glossary. */
async function glossaryNames(): Promise<readonly string[]> {
  const page = await readFile(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const table = page.split('## Glossary')[1]?.split('\n## ')[0] ?? '';
  const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| term '));
  return rows.flatMap((row) => [...(row.split('|').at(-2) ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
}

t.test('each name in the glossary is exported', async (t) => {
  const exported = await exportedNames();
  const names = await glossaryNames();
  t.ok(names.length > 50, `the glossary has ${names.length} names`);
  for (const name of names) t.ok(exported.has(name), `${name} is exported`);
});

t.test('no exported name has a retired word', async (t) => {
  for (const [name, file] of await exportedNames()) {
    const retired = wordsOf(name).filter((word) => RETIRED.has(word));
    if (retired.length > 0) t.fail(`${name} in ${file} has the retired word ${retired.join(', ')}: the glossary has the term`);
  }
  t.same(wordsOf('lookAtHTTPFate'), ['look', 'at', 'http', 'fate']);
});
