/** Lists and copies the files of this tree. */
import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from './cruise.ts';

/** The folders that sources are in. */
export const SOURCE_FOLDERS = ['core', 'adapters', 'plugins', 'apps', 'test', 'examples'] as const;

const PLANTED = path.join('test', 'architecture', 'planted');
/** A package of its own. */
const PEERS = path.join('test', 'bench', 'peers');
const ROOT_FILES = ['package.json', 'tsconfig.json', '.dependency-cruiser.cjs', 'agentcom.config.ts'];

/** Files under `folder` (relative to `root`), each relative to `root`, sorted, without installed packages. A missing folder has none. */
export async function filesUnder(folder: string, root: string = ROOT): Promise<readonly string[]> {
  const entries = await readdir(path.join(root, folder), { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
  return files.filter((file) => !file.split(path.sep).includes('node_modules')).sort();
}

/** Every source file, without the planted ones. */
export async function sourceFiles(): Promise<readonly string[]> {
  const lists = await Promise.all(SOURCE_FOLDERS.map((folder) => filesUnder(folder)));
  return lists.flat().filter((file) => /\.(tsx?|mjs|cjs)$/.test(file) && !file.startsWith(PLANTED));
}

/** The planted files, by the rule that each breaks, as paths in the tree where they would be. */
export async function plantedFiles(): Promise<ReadonlyMap<string, readonly string[]>> {
  const byRule = new Map<string, string[]>();
  for (const file of await filesUnder(PLANTED)) {
    const [rule, ...place] = path.relative(PLANTED, file).split(path.sep);
    if (rule === undefined) continue;
    byRule.set(rule, [...(byRule.get(rule) ?? []), place.join('/')]);
  }
  return byRule;
}

/** Copies the tree into the empty folder `copy`, with every planted file at its place. */
export async function copyWithPlanted(copy: string): Promise<void> {
  // A package of its own stays one in the copy.
  const manifests = [path.join(PEERS, 'package.json'), ...(await filesUnder('examples'))].filter(
    (file) => path.basename(file) === 'package.json',
  );
  // The dashboard imports its styles.
  const styles = (await filesUnder('apps/dashboard')).filter((file) => file.endsWith('.css'));
  const sources = (await sourceFiles()).concat(ROOT_FILES, manifests, styles);
  const planted = (await filesUnder(PLANTED)).map(
    (file) => [file, path.relative(PLANTED, file).split(path.sep).slice(1).join('/')] as const,
  );
  await symlink(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  for (const [from, to] of [...sources.map((file) => [file, file] as const), ...planted]) {
    await mkdir(path.dirname(path.join(copy, to)), { recursive: true });
    await cp(path.join(ROOT, from), path.join(copy, to));
  }
}
