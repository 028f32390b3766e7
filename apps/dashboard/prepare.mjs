/** Builds the dashboard after `npm ci` in a clone. Without the development packages it cannot: the hub then says how to build it. */
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { resolve } = createRequire(import.meta.url);

function isInstalled(name) {
  try {
    resolve(name);
    return true;
  } catch (thrown) {
    if (thrown.code === 'MODULE_NOT_FOUND') return false;
    throw thrown;
  }
}

if (isInstalled('vite/package.json')) {
  const { build } = await import('vite');
  await build({ configFile: join(import.meta.dirname, 'vite.config.ts') });
} else console.log('The dashboard is not built, because the development packages are not installed.');
