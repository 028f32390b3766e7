/** Whether this file has a test with this title: tests that a table refers to must exist. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** A file below `test`, and the full title of one of its tests. */
export type NamedTest = readonly [file: string, title: string];

/** Null if it exists; otherwise what is missing. A title that the file composes is named by its beginning and `…`. */
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
