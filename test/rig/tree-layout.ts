/** The layout of the compiled tree, for the code that compiles it and the code that runs from it. */
import { join } from 'node:path';

/** Names the folder of the tree to the tests of a run; set by the process that compiled it. */
export const TREE_VARIABLE = 'AGENTCOM_TEST_TREE';

/** Path of a source's compiled form, from the top of the tree. */
export const compiledIn = (folder: string, source: string): string => join(folder, 'dist', source.replace(/\.ts$/, '.js'));

/** In the folder of the tree: the bundled package, for programs that tests start. */
export const PACKAGE_FOLDER = 'package';
