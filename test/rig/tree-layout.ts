/** Where things stand in the compiled tree, for who compiles it and for who runs from it. */
import { join } from 'node:path';

/** Names the folder of the tree to the tests of a run; set by who compiled it for them. */
export const TREE_VARIABLE = 'AGENTCOM_TEST_TREE';

/** Where the compiled form of a source stands, named from the top of the tree. */
export const compiledIn = (folder: string, source: string): string => join(folder, 'dist', source.replace(/\.ts$/, '.js'));

/** In the folder of the tree: the package as few files, for programs that tests start. */
export const PACKAGE_FOLDER = 'package';
