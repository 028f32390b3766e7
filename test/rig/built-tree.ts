/**
 * The tree as installed: plain JavaScript for plain node. Under tsx a program takes several times as long and as much
 * memory to start, and tests start hundreds of programs.
 */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { compiledIn, PACKAGE_FOLDER, TREE_VARIABLE } from './tree-layout.ts';

export interface BuiltTree {
  /** The `agentcom` command, for plain node, in the few files of the built package. */
  readonly bin: string;
  /** The same with a file for each source, which profiles are read by. */
  readonly binInParts: string;
  /** The compiled form of a source file, by its path from the top of the tree. */
  compiled(source: string): string;
  /** One of the tests' programs that take a config, bundled like `bin`. */
  program(source: string): string;
  /** Makes the folder a project that has the package, as `npm install` does: Node then loads its JavaScript configs without help. */
  installIn(project: string): void;
}

// The compiler takes half a second to load, and a process in a test run uses the run's tree.
const folder = process.env[TREE_VARIABLE] ?? (await (await import('./compile-tree.ts')).compileTree());
const installed = join(folder, PACKAGE_FOLDER);

/** The tree as it was at the start of this process, or of the test run that it belongs to. */
export function builtTree(): BuiltTree {
  return {
    bin: join(installed, 'apps/cli/bin.mjs'),
    binInParts: join(folder, 'apps/cli/bin.mjs'),
    compiled: (source) => compiledIn(folder, source),
    program: (source) => compiledIn(installed, source),
    installIn(project) {
      mkdirSync(join(project, 'node_modules'));
      symlinkSync(installed, join(project, 'node_modules/agentcom'), 'junction');
    },
  };
}
