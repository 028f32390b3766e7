/** The root directory of this package: above `apps/` in the sources, above `dist/` in the build. */
import { existsSync } from 'node:fs';
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

function packageRoot(): string {
  const own = fileURLToPath(import.meta.url);
  for (let folder = dirname(own); folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(`${folder}${sep}package.json`)) return `${folder}${sep}`;
  throw new Error(`Cannot find the package.json of agentcom: it is in no folder above ${own}.`);
}

/** Absolute, with a trailing separator. */
export const PACKAGE_ROOT = packageRoot();
