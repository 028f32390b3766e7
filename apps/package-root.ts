/** The root directory of this package: one level above `apps/` in the sources, two above `dist/apps/` in the build. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

function packageRoot(): string {
  const candidates = [new URL('../', import.meta.url), new URL('../../', import.meta.url)].map((url) => fileURLToPath(url));
  const root = candidates.find((folder) => existsSync(`${folder}package.json`));
  if (root === undefined) throw new Error(`Cannot find the package.json of agentcom: it is not in ${candidates.join(' or ')}.`);
  return root;
}

/** Absolute, with a trailing separator. */
export const PACKAGE_ROOT = packageRoot();
