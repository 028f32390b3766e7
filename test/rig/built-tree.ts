/**
 * The tree as it is installed: plain JavaScript for plain node. A program under tsx takes several times the time and memory to
 * start, and tests start hundreds.
 */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { compiledIn, PACKAGE_FOLDER, TREE_VARIABLE } from './tree-layout.ts';

export interface BuiltTree {
  /** The command `agentcom`, for plain node. Its many files are a few, which start in half of the time. */
  readonly bin: string;
  /** The same with each of its files as it is shipped: for who measures it. */
  readonly shippedBin: string;
  /** The compiled form of a source file, named from the top of the tree. */
  compiled(source: string): string;
  /** One of the programs of tests that take a config, as few files as `bin`. */
  program(source: string): string;
  /** Makes the folder a project that has the package, as `npm install` does: node itself takes its configs that are JavaScript. */
  installIn(project: string): void;
}

// The compiler takes half a second to load, and who runs in a test run has its tree.
const folder = process.env[TREE_VARIABLE] ?? (await (await import('./compile-tree.ts')).compileTree());
const installed = join(folder, PACKAGE_FOLDER);

/** The tree as it was at the start of this process, or of the test run that it belongs to. */
export function builtTree(): BuiltTree {
  return {
    bin: join(installed, 'apps/cli/bin.mjs'),
    shippedBin: join(folder, 'apps/cli/bin.mjs'),
    compiled: (source) => compiledIn(folder, source),
    program: (source) => compiledIn(installed, source),
    installIn(project) {
      mkdirSync(join(project, 'node_modules'));
      symlinkSync(installed, join(project, 'node_modules/agentcom'), 'junction');
    },
  };
}
