/**
 * The tree as it is installed: plain JavaScript for plain node. A sidecar under tsx takes twice the time and memory to
 * start, and here they are started hundreds of times.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import type { TestEnd } from '../../apps/world.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
/** What the programs are made of, and the programs of these tests that stand on it. */
const FOLDERS = ['core', 'adapters', 'plugins', 'apps', 'test/chaos/points', 'test/chaos/soak', 'test/fuzz/hostile'];

/** As the build does it, without its look at types: the compiler and its settings are the same. */
const COMPILER: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

export interface BuiltTree {
  /** The command `agentcom`, for plain node. */
  readonly bin: string;
  /** The compiled form of a source file, named from the top of the tree. */
  compiled(source: string): string;
}

/** Compiles the tree into a folder of its own, which is removed at the end. */
export function buildTree(t: TestEnd): BuiltTree {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-built-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
    return Promise.resolve();
  });
  const compiled = (source: string): string => join(folder, 'dist', source.replace(/\.ts$/, '.js'));
  for (const source of FOLDERS.flatMap(sourcesIn)) {
    const { outputText } = ts.transpileModule(readFileSync(join(ROOT, source), 'utf8'), { compilerOptions: COMPILER, fileName: source });
    mkdirSync(dirname(compiled(source)), { recursive: true });
    writeFileSync(compiled(source), outputText);
  }
  const bin = join(folder, 'apps/cli/bin.mjs');
  mkdirSync(dirname(bin), { recursive: true });
  copyFileSync(join(ROOT, 'apps/cli/bin.mjs'), bin);
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return { bin, compiled };
}

function sourcesIn(folder: string): readonly string[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')).map((name) => join(folder, name));
}
