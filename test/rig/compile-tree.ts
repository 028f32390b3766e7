/**
 * Compiles the whole tree, tests included, into plain JavaScript for plain node. Compiled once for all processes of a
 * test run, and reused by later runs while no source changes.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { bundle, ENTRIES } from '../packed/bundle.ts';
import { putTapInto } from './one-file-tap.ts';
import { plainScript } from './plain-script.ts';
import { compiledIn, PACKAGE_FOLDER } from './tree-layout.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Next to the packages, so that imports find them; tap runs no tests inside `node_modules` itself. */
const CACHE = join(ROOT, '.built');
/** A tree that no process has started to use for this long is removed, in milliseconds: 7 days, longer than any test run. */
const KEPT_MS = 604_800_000;
/** Built for the browser, by Vite. */
const DASHBOARD = 'apps/dashboard/';
const FOLDERS = ['core', 'adapters', 'plugins', 'apps', 'test'];
/** Files that are wrong on purpose; the tests read them in place. */
const PLANTED = 'test/architecture/planted/';
/** A package of its own, with dependencies that this tree does not have. */
const PEERS_PACKAGES = 'test/bench/peers/node_modules/';
/** Files and folders that the programs need next to them. Only the dashboard may be missing: it is built. */
const COPIED = ['apps/cli/bin.mjs', 'package.json', 'agentcom.config.ts', 'ARCHITECTURE.md', 'CHANGELOG.md', 'examples', 'docs'].concat(
  existsSync(join(ROOT, 'dist/dashboard')) ? ['dist/dashboard'] : [],
);

/**
 * Packages of hundreds of small files, bundled into one each: loading them is more than half of a program’s start
 * (0.27 instead of 0.70 s of CPU time), and the behavior is the same.
 */
const BUNDLED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  typebox: { index: 'typebox', schema: 'typebox/schema' },
  inversify: { index: 'inversify' },
  knex: { index: 'knex' },
  ws: { index: 'ws' },
};
const PROGRAMS = ['test/chaos/points/points-hub', 'test/chaos/points/points-sidecar', 'test/chaos/pg/pg-hub'];
/** Imported on use, and found where all packages are. */
const ASKED_FOR = [
  ...['reflect-metadata', 'sqlite3', 'better-sqlite3', 'pg', 'pg-query-stream', 'mysql', 'mysql2', 'mariadb', 'tedious', 'oracledb'],
  ...['bufferutil', 'utf-8-validate'],
];
/** For CommonJS packages. In backticks: this file is compiled too, and the compiler replaces the quoted form by its address. */
const WITH_REQUIRE = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;

/** The folder of the tree for the current sources, including this file. */
export async function compileTree(): Promise<string> {
  const sources = new Map(FOLDERS.flatMap(sourcesIn).map((source) => [source, readFileSync(join(ROOT, source), 'utf8')]));
  const copied = COPIED.flatMap(filesIn).map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]);
  const key = createHash('sha256')
    .update(JSON.stringify([[...sources], copied]))
    .digest('hex');
  const folder = join(CACHE, key.slice(0, 12));
  if (!existsSync(folder)) await compileInto(folder, sources);
  const now = new Date();
  utimesSync(folder, now, now);
  return folder;
}

/** Another process may compile at the same time: the first to finish names the folder. */
async function compileInto(folder: string, sources: ReadonlyMap<string, string>): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  removeOld();
  const making = mkdtempSync(join(CACHE, 'making-'));
  // A separate program, and the longest part: it runs in parallel.
  const tap = putTapInto(join(making, 'node_modules'), ROOT, CACHE);
  for (const [source, text] of sources) {
    const target = compiledIn(making, source);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, compiled(source, text));
  }
  for (const each of COPIED) cpSync(join(ROOT, each), join(making, each), { recursive: true });
  for (const [name, entries] of Object.entries(BUNDLED)) bundleDependency(name, entries, join(making, 'node_modules', name));
  bundlePackage(making);
  await tap;
  try {
    renameSync(making, folder);
  } catch (thrown) {
    if (!existsSync(folder)) throw thrown;
    rmSync(making, { recursive: true });
  }
}

/** A test names the files next to it by its source path; a program finds its own by where it runs. */
function compiled(source: string, text: string): string {
  const script = plainScript(source, text);
  if (!source.startsWith('test/')) return script;
  const place = join(ROOT, source);
  return script
    .replaceAll('import.meta.dirname', JSON.stringify(dirname(place)))
    .replaceAll('import.meta.filename', JSON.stringify(place))
    .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(place).href));
}

/** The package as built, with the tests' programs that take a config: they must share modules. */
function bundlePackage(making: string): void {
  const package_ = join(making, PACKAGE_FOLDER);
  const entries = [...ENTRIES, ...PROGRAMS].map((entry) => [entry, compiledIn(making, `${entry}.ts`)]);
  bundle({ entries: Object.fromEntries(entries) as Readonly<Record<string, string>>, outdir: join(package_, 'dist') });
  for (const each of COPIED) cpSync(join(making, each), join(package_, each), { recursive: true });
}

function bundleDependency(name: string, entries: Readonly<Record<string, string>>, outdir: string): void {
  buildSync({
    entryPoints: { ...entries },
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    external: ASKED_FOR,
    banner: { js: WITH_REQUIRE },
    outdir,
    logLevel: 'error',
  });
  const exported = Object.keys(entries).map((entry) => [entry === 'index' ? '.' : `./${entry}`, `./${entry}.js`]);
  writeFileSync(join(outdir, 'package.json'), JSON.stringify({ name, type: 'module', exports: Object.fromEntries(exported) as object }));
}

function removeOld(): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    const usedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (usedMs !== undefined && Date.now() - usedMs > KEPT_MS) rmSync(path, { recursive: true, force: true });
  }
}

const sourcesIn = (folder: string): readonly string[] =>
  filesIn(folder).filter(
    (file) => /(?<!\.d)\.ts$/.test(file) && ![PLANTED, DASHBOARD, PEERS_PACKAGES].some((place) => file.startsWith(place)),
  );

/** A file, or everything below a folder. */
function filesIn(place: string): readonly string[] {
  if (!statSync(join(ROOT, place)).isDirectory()) return [place];
  const entries = readdirSync(join(ROOT, place), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();
}
