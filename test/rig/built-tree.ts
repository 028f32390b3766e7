/**
 * The tree as it is installed: plain JavaScript for plain node. A program under tsx takes several times the time and memory to
 * start, and tests start hundreds.
 */
import { join } from 'node:path';
import { compiledIn, TREE_VARIABLE } from './tree-layout.ts';

export interface BuiltTree {
  /** The command `agentcom`, for plain node. */
  readonly bin: string;
  /** The compiled form of a source file, named from the top of the tree. */
  compiled(source: string): string;
}

// The compiler takes half a second to load, and who runs in a test run has its tree.
const folder = process.env[TREE_VARIABLE] ?? (await import('./compile-tree.ts')).compileTree();

/** The tree as it was at the start of this process, or of the test run that it belongs to. */
export function builtTree(): BuiltTree {
  return { bin: join(folder, 'apps/cli/bin.mjs'), compiled: (source) => compiledIn(folder, source) };
}
