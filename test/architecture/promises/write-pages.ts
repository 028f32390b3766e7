/** `npm run promises`: writes the generated parts of the pages. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../cruise.ts';
import { generatedParts, PAGES, withParts } from './pages.ts';

const parts = await generatedParts();
for (const page of PAGES) {
  writeFileSync(path.join(ROOT, page), withParts(page, parts));
  process.stdout.write(`written: ${page}\n`);
}
