/** `npm run promises`: writes the generated parts of docs/promises.md and docs/reliability.md anew. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../cruise.ts';
import { generatedParts, PROMISES_PAGE, RELIABILITY_PAGE, withParts } from './pages.ts';

const parts = await generatedParts();
for (const page of [PROMISES_PAGE, RELIABILITY_PAGE]) {
  writeFileSync(path.join(ROOT, page), withParts(page, parts));
  process.stdout.write(`written: ${page}\n`);
}
