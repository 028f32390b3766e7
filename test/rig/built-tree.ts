/**
 * The tree as it is installed: plain JavaScript for plain node. A program under tsx takes several times the time and memory to
 * start, and tests start hundreds. Compiled once for all processes of a test run, and kept for the next while no source changes.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import ts from 'typescript';

const ROOT = resolve(import.meta.dirname, '../..');
/** Beside the packages, so that imports find them, and out of the way of everything that looks at sources. */
const CACHE = join(ROOT, 'node_modules/.cache/agentcom-tests');
/** A tree that nobody made anew for so long is in nobody's use, milliseconds. */
const KEPT_MS = 86_400_000;
/** What the programs are made of, and the programs of tests that stand on it. */
const FOLDERS = ['core', 'adapters', 'plugins', 'apps', 'test/chaos/points', 'test/chaos/soak', 'test/fuzz/hostile'];
const COPIED = ['apps/cli/bin.mjs', 'package.json'];

/** As the build does it, without its look at types: the compiler and its settings are the same. */
const COMPILER: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

/**
 * Packages of hundreds of small files, each as one: loading them is more than half of a program's start (0.27 instead of 0.70 s
 * of the processor), and what they do is the same.
 */
const BUNDLED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  typebox: { index: 'typebox', compile: 'typebox/compile', value: 'typebox/value' },
  inversify: { index: 'inversify' },
};

export interface BuiltTree {
  /** The command `agentcom`, for plain node. */
  readonly bin: string;
  /** The compiled form of a source file, named from the top of the tree. */
  compiled(source: string): string;
}

/** The tree as it stands at the first call of this process. */
export function builtTree(): BuiltTree {
  const sources = new Map(FOLDERS.flatMap(sourcesIn).map((source) => [source, readFileSync(join(ROOT, source), 'utf8')]));
  const copied = COPIED.map((file) => readFileSync(join(ROOT, file), 'utf8'));
  const key = createHash('sha256')
    .update(JSON.stringify([ts.version, COMPILER, BUNDLED, [...sources], copied]))
    .digest('hex');
  const folder = join(CACHE, key.slice(0, 32));
  if (!existsSync(folder)) compileInto(folder, sources);
  return { bin: join(folder, 'apps/cli/bin.mjs'), compiled: (source) => compiledIn(folder, source) };
}

/** Another process may do the same at this moment: who is first gives the folder its name. */
function compileInto(folder: string, sources: ReadonlyMap<string, string>): void {
  mkdirSync(CACHE, { recursive: true });
  removeOld();
  const making = mkdtempSync(join(CACHE, 'making-'));
  for (const [source, text] of sources) {
    const { outputText } = ts.transpileModule(text, { compilerOptions: COMPILER, fileName: source });
    const target = compiledIn(making, source);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, outputText);
  }
  for (const file of COPIED) {
    mkdirSync(dirname(join(making, file)), { recursive: true });
    copyFileSync(join(ROOT, file), join(making, file));
  }
  for (const [name, entries] of Object.entries(BUNDLED)) bundle(name, entries, join(making, 'node_modules', name));
  try {
    renameSync(making, folder);
  } catch (thrown) {
    if (!existsSync(folder)) throw thrown;
    rmSync(making, { recursive: true });
  }
}

function bundle(name: string, entries: Readonly<Record<string, string>>, outdir: string): void {
  buildSync({
    entryPoints: { ...entries },
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    external: ['reflect-metadata'],
    outdir,
    logLevel: 'error',
  });
  const exported = Object.keys(entries).map((entry) => [entry === 'index' ? '.' : `./${entry}`, `./${entry}.js`]);
  writeFileSync(join(outdir, 'package.json'), JSON.stringify({ name, type: 'module', exports: Object.fromEntries(exported) as object }));
}

function removeOld(): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (made !== undefined && Date.now() - made > KEPT_MS) rmSync(path, { recursive: true, force: true });
  }
}

const compiledIn = (folder: string, source: string): string => join(folder, 'dist', source.replace(/\.ts$/, '.js'));

function sourcesIn(folder: string): readonly string[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name))
    .sort();
}
