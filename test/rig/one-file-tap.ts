/**
 * tap as one file for the compiled tests: loading its many small ones takes half of the processor that a short test needs.
 * Made once for a version of tap and its plugins.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';

/** Where tap looks for its own frames, which it leaves out of stack traces. */
const BUNDLE = '@tapjs/core';
/** Packages of tap that call `require` find none in a module. */
const REQUIRE = `import { createRequire as createRequireOfTap } from 'node:module';\nconst require = createRequireOfTap(import.meta.url);\n`;

/** Puts it among the packages of a compiled tree. `root`: the project; `cache`: where it is kept. */
export async function putTapInto(packages: string, root: string, cache: string): Promise<void> {
  const key = createHash('sha256')
    .update(readFileSync(import.meta.filename))
    .update(readFileSync(join(root, '.taprc')))
    .update(readFileSync(join(root, 'package-lock.json')));
  const kept = join(cache, `tap-${key.digest('hex').slice(0, 12)}`);
  if (!existsSync(kept)) await make(kept, root, cache);
  cpSync(kept, packages, { recursive: true });
}

async function make(kept: string, root: string, cache: string): Promise<void> {
  // Without it the tests would load all plugins, and their loaders.
  const build = spawn(join(root, 'node_modules/.bin/tap'), ['build'], { cwd: root, stdio: 'inherit' });
  const [status] = (await once(build, 'close')) as [number | null];
  if (status !== 0) throw new Error('`tap build` failed: see its output above, fix .taprc or run `npm ci`, and try again.');
  const making = mkdtempSync(join(cache, 'making-'));
  const outfile = join(making, BUNDLE, 'index.js');
  buildSync({
    entryPoints: ['tap'],
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    banner: { js: REQUIRE },
    outfile,
    logLevel: 'error',
  });
  writeFileSync(join(dirname(outfile), 'package.json'), packageJson(BUNDLE));
  mkdirSync(join(making, 'tap'));
  writeFileSync(join(making, 'tap/package.json'), packageJson('tap'));
  writeFileSync(join(making, 'tap/index.js'), `export * from '${BUNDLE}';\nexport { default } from '${BUNDLE}';\n`);
  try {
    renameSync(making, kept);
  } catch (thrown) {
    // Another process has made it meanwhile.
    if (!existsSync(kept)) throw thrown;
    rmSync(making, { recursive: true });
  }
}

const packageJson = (name: string): string => JSON.stringify({ name, type: 'module', exports: './index.js' });
