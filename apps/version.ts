/** This program's version, from its package. */
import { readFileSync } from 'node:fs';

/** The package's folder is one up from the sources and two up from `dist`. */
const packageFile = [new URL('../package.json', import.meta.url), new URL('../../package.json', import.meta.url)];

const read = (): string => {
  for (const file of packageFile) {
    try {
      return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return 'unknown';
};

export const VERSION = read();
