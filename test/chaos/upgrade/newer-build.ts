/** A copy of the built tree, as its next version. */
import { cpSync, readdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../../architecture/cruise.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';

export interface NewerBuild {
  readonly version: string;
  /** Its command `agentcom`. */
  readonly bin: string;
  /** Replaces the package that a project has, as `npm install` does. */
  upgrade(project: string): void;
}

/** Into `folder`, which must not exist. */
export function newerBuild(tree: BuiltTree, folder: string, version: string): NewerBuild {
  const older = dirname(dirname(dirname(tree.bin)));
  cpSync(older, folder, { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  // A built tree knows its own folder, from which its version is read.
  const [from, to] = [`${pathToFileURL(older).href}/`, `${pathToFileURL(folder).href}/`];
  for (const name of readdirSync(join(folder, 'dist'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.js')) continue;
    const file = join(folder, 'dist', name);
    const text = readFileSync(file, 'utf8');
    if (text.includes(from)) writeFileSync(file, text.replaceAll(from, to));
  }
  const manifest = join(folder, 'package.json');
  writeFileSync(manifest, JSON.stringify({ ...(JSON.parse(readFileSync(manifest, 'utf8')) as object), version }));
  return {
    version,
    bin: join(folder, 'apps/cli/bin.mjs'),
    upgrade(project) {
      const installed = join(project, 'node_modules/agentcom');
      unlinkSync(installed);
      symlinkSync(folder, installed, 'junction');
    },
  };
}
