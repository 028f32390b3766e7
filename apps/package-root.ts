/** The folder of this package: one up from the sources in apps, two up from those in `dist`. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const candidates = [new URL('../', import.meta.url), new URL('../../', import.meta.url)].map((url) => fileURLToPath(url));

/** Absolute, with a separator at its end. */
export const PACKAGE_ROOT = candidates.find((folder) => existsSync(`${folder}package.json`)) ?? process.cwd();
