/** The glossary of ARCHITECTURE.md and the exported names agree: its terms are in the code, and no retired word is. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { ROOT } from './cruise.ts';
import { sourceFiles } from './tree.ts';

/** Words that must not be in an exported name, each with the term to use instead. `lookup` is one word and a different one. */
const RETIRED: ReadonlyMap<string, string> = new Map(
  (
    [
      [['look', 'looks', 'looked', 'lookout'], 'poll, check or read'],
      [['tell', 'tells', 'telling', 'told', 'untold', 'said'], 'notified or reported'],
      [['news'], 'event'],
      [['asks', 'asked'], 'requested or checked'],
      [['hear', 'hears', 'heard', 'ears'], 'received'],
      [['hush', 'hushed'], 'quiet period'],
      [['bury', 'buries', 'buried'], 'dead-letter queue'],
      [['standing'], 'status or availability'],
      [['sighting', 'newcomer', 'speaker', 'stranger', 'strangers'], 'connection, identified or not'],
      [['fate'], 'outcome'],
      [['hindrance', 'unfit'], 'blocker'],
      [['lane', 'lanes'], 'priority'],
    ] as const
  ).flatMap(([words, instead]) => words.map((word): [string, string] => [word, instead])),
);

const EXPORTED = /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm;

/** Each name exported by core, adapters, plugins or apps, with a file that exports it. */
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

/** The rows of the glossary: a term, and the names in the last column. */
async function glossary(): Promise<readonly { readonly term: string; readonly names: readonly string[] }[]> {
  const page = await readFile(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const table = page.split('## Glossary')[1]?.split('\n## ')[0] ?? '';
  const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| term '));
  return rows.map((row) => {
    const cells = row.split('|').map((cell) => cell.trim());
    return { term: cells[1] ?? '', names: [...(cells.at(-2) ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name) };
  });
}

t.test('every glossary row has one term, and every term one row', async (t) => {
  const terms = (await glossary()).map(({ term }) => term);
  for (const [index, term] of terms.entries()) {
    t.match(term, /^[a-z][a-z -]+$/, `${term} is one term`);
    t.equal(terms.indexOf(term), index, `${term} is defined once`);
  }
});

t.test('every name in the glossary is exported', async (t) => {
  const exported = await exportedNames();
  const names = (await glossary()).flatMap((row) => row.names);
  t.ok(names.length > 50, `the glossary has ${names.length} names`);
  for (const name of names) t.ok(exported.has(name), `${name} is exported`);
});

t.test('no exported name has a retired word', async (t) => {
  for (const [name, file] of await exportedNames()) {
    for (const word of wordsOf(name)) {
      const instead = RETIRED.get(word);
      if (instead !== undefined) t.fail(`${name} in ${file} has the retired word ${word}: use ${instead}`);
    }
  }
  t.same(wordsOf('lookAtHTTPFate'), ['look', 'at', 'http', 'fate']);
});
