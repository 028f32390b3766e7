/** Whether a test of this title stands in this file: what a table leans on must be there. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** A file below `test`, and the whole title of one of its tests. */
export type NamedTest = readonly [file: string, title: string];

/** Null when it is there; else what is missing. A title that is put together by the file is named by its beginning and `…`. */
export function missingTest([file, title]: NamedTest): string | null {
  const path = join(ROOT, 'test', file);
  if (!existsSync(path)) return `there is no ${file}`;
  const source = readFileSync(path, 'utf8');
  const begins = title.endsWith('…');
  const text = begins ? title.slice(0, -1) : title;
  const found = [`'`, '"', '`'].some((quote) => {
    const escaped = text.replaceAll(quote, `\\${quote}`);
    return source.includes(begins ? `${quote}${escaped}` : `${quote}${escaped}${quote}`);
  });
  return found ? null : `${file} has no test "${title}"`;
}
