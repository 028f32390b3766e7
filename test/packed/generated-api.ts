/** All files that are made from the package's declarations. */
import { join } from 'node:path';
import { apiEntries } from './api-entries.ts';
import { apiIndex, apiPage, PAGES } from './api-page.ts';
import { apiReport, REPORTS, type GeneratedFile } from './api-report.ts';

/** `folder`, absolute and without links, has the package's package.json and what its `types` name. The names of the files are absolute. */
export async function generatedApi(folder: string): Promise<readonly GeneratedFile[]> {
  const entries = apiEntries(folder);
  const pages = await Promise.all(entries.map(apiPage));
  return [
    ...entries.map(apiReport).map(({ file, text }) => ({ file: join(REPORTS, file), text })),
    ...[apiIndex(entries), ...pages].map(({ file, text }) => ({ file: join(PAGES, file), text })),
  ];
}
