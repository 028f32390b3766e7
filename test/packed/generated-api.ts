/** All files generated from the package's declarations. */
import { join } from 'node:path';
import { apiEntries } from './api-entries.ts';
import { apiIndex, apiPage, PAGES } from './api-page.ts';
import { apiReport, REPORTS, type GeneratedFile } from './api-report.ts';

/**
 * `folder`, absolute and without symbolic links, contains the package's package.json and what its `types` name. The
 * file names are absolute.
 */
export async function generatedApi(folder: string): Promise<readonly GeneratedFile[]> {
  const entries = apiEntries(folder);
  const pages = await Promise.all(entries.map(apiPage));
  return [
    ...entries.map(apiReport).map(({ file, text }) => ({ file: join(REPORTS, file), text })),
    ...[apiIndex(entries), ...pages].map(({ file, text }) => ({ file: join(PAGES, file), text })),
  ];
}
