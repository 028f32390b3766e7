/** The planted bugs still fit the code: a hunt for them takes too long to find that out. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { ROOT } from '../../architecture/cruise.ts';
import { MUTANTS } from './mutants.ts';

void t.test('each bug has its own name, and one place in its file', (t) => {
  t.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
  for (const { name, file, find } of MUTANTS)
    t.equal(readFileSync(path.join(ROOT, file), 'utf8').split(find).length - 1, 1, `${name} in ${file}`);
  t.end();
});
