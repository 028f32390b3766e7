/**
 * Compiles the whole tree, tests and all, into plain JavaScript for plain node. Made once for all processes of a test run, and
 * kept for the next while no source changes.
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
import { putTapInto } from './one-file-tap.ts';
import { bundlePackage } from './few-files.ts';
import { plainScript } from './plain-script.ts';
import { compiledIn } from './tree-layout.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Beside the packages, so that imports find them; in `node_modules` itself tap runs nothing. */
const CACHE = join(ROOT, '.built');
/** A tree that no process began to use for so long is removed, milliseconds: 7 days, longer than any run of tests. */
const KEPT_MS = 604_800_000;
/** Built for the browser, by Vite. */
const DASHBOARD = 'apps/dashboard/';
const FOLDERS = ['core', 'adapters', 'plugins', 'apps', 'test'];
/** Files that are wrong on purpose; the tests read them where they are. */
const PLANTED = 'test/architecture/planted/';
/** A package of its own, with packages that are not ours. */
const PEERS_PACKAGES = 'test/bench/peers/node_modules/';
/** What the programs find beside them: files and folders. Only the dashboard may be missing: it is built. */
const COPIED = ['apps/cli/bin.mjs', 'package.json', 'agentcom.config.ts', 'ARCHITECTURE.md', 'CHANGELOG.md', 'examples', 'docs'].concat(
  existsSync(join(ROOT, 'dist/dashboard')) ? ['dist/dashboard'] : [],
);

/**
 * Packages of hundreds of small files, each as one: loading them is more than half of a program’s start (0.27 instead of 0.70 s
 * of the processor), and what they do is the same.
 */
const BUNDLED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  typebox: { index: 'typebox', schema: 'typebox/schema' },
  inversify: { index: 'inversify' },
  knex: { index: 'knex' },
  ws: { index: 'ws' },
};
/** What they ask for when it is used, and find where all packages are. */
const ASKED_FOR = [
  ...['reflect-metadata', 'sqlite3', 'better-sqlite3', 'pg', 'pg-query-stream', 'mysql', 'mysql2', 'mariadb', 'tedious', 'oracledb'],
  ...['bufferutil', 'utf-8-validate'],
];
/** For packages that are CommonJS. In backticks: this file is compiled too, and gets its address, in quotes, in place of the words. */
const WITH_REQUIRE = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;

/** The folder of the tree as the sources are now, this one among them. */
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

/** Another process may do the same at this moment: who is first gives the folder its name. */
async function compileInto(folder: string, sources: ReadonlyMap<string, string>): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  removeOld();
  const making = mkdtempSync(join(CACHE, 'making-'));
  // Another program, and the longest part: it works meanwhile.
  const tap = putTapInto(join(making, 'node_modules'), ROOT, CACHE);
  for (const [source, text] of sources) {
    const target = compiledIn(making, source);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, compiled(source, text));
  }
  for (const each of COPIED) cpSync(join(ROOT, each), join(making, each), { recursive: true });
  for (const [name, entries] of Object.entries(BUNDLED)) bundle(name, entries, join(making, 'node_modules', name));
  bundlePackage(making, folder, COPIED);
  await tap;
  try {
    renameSync(making, folder);
  } catch (thrown) {
    if (!existsSync(folder)) throw thrown;
    rmSync(making, { recursive: true });
  }
}

/** A test names the files beside it by where its source is; a program finds its own by where it runs. */
function compiled(source: string, text: string): string {
  const script = plainScript(source, text);
  if (!source.startsWith('test/')) return script;
  const place = join(ROOT, source);
  return script
    .replaceAll('import.meta.dirname', JSON.stringify(dirname(place)))
    .replaceAll('import.meta.filename', JSON.stringify(place))
    .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(place).href));
}

function bundle(name: string, entries: Readonly<Record<string, string>>, outdir: string): void {
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

/** A file, or all below a folder. */
function filesIn(place: string): readonly string[] {
  if (!statSync(join(ROOT, place)).isDirectory()) return [place];
  const entries = readdirSync(join(ROOT, place), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();
}
