/** The package as a user gets it: packed, and installed into an empty folder. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { copyOfTree, shell, temporaryFolder } from '../apps/pages/newcomer.ts';
import { ROOT } from '../architecture/cruise.ts';

/** What the author of an adapter or a runner has besides the package. */
const OF_AUTHORS = ['typescript', '@types/node', '@types/ws'];
/** What the README tells users of a Node without built-in SQLite to install. */
const OF_OLD_NODES = isBuiltin('node:sqlite') ? [] : ['sqlite3'];

export const json = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;

export interface Installed {
  /** Where npm installed it: with package.json and node_modules. */
  readonly folder: string;
  readonly tarball: string;
}

export async function installed(t: Test): Promise<Installed> {
  const [tree, place] = [await copyOfTree(t), await temporaryFolder(t)];
  // In a copy, since packing builds: a `dist` in this tree would appear and disappear during other tests.
  const packed = await shell(`npm pack --silent --pack-destination ${place}`, { cwd: tree });
  if (packed.code !== 0) throw new Error(`npm pack failed: ${packed.out}${packed.err}`);
  const folder = join(place, 'installed');
  await mkdir(join(folder, 'node_modules'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "name": "somebody", "private": true, "type": "module" }\n');
  await copyDependencies(join(folder, 'node_modules'));
  const tarball = join(place, packed.out.trim());
  const installed = await shell(`npm install --offline --ignore-scripts ${tarball}`, { cwd: folder });
  if (installed.code !== 0) throw new Error(`npm install failed: ${installed.out}${installed.err}`);
  for (const name of [...OF_AUTHORS, ...OF_OLD_NODES]) {
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    if (!existsSync(link)) await symlink(join(ROOT, 'node_modules', name), link);
  }
  return { folder, tarball };
}

/**
 * Puts this tree's copies of the package's dependencies where npm would install them. npm would fetch them from the
 * registry, which would not test the package; a missing dependency is still detected.
 */
async function copyDependencies(to: string): Promise<void> {
  const { packages } = await json<{ packages: Record<string, { dev?: boolean }> }>(join(ROOT, 'package-lock.json'));
  const shipped = Object.entries(packages).flatMap(([path, { dev }]) => (path === '' || dev === true ? [] : [path]));
  const atTop = shipped.filter((path) => path.lastIndexOf('node_modules/') === 0 && existsSync(join(ROOT, path)));
  await Promise.all(atTop.map((path) => cp(join(ROOT, path), join(to, path.replace('node_modules/', '')), { recursive: true })));
}
