/**
 * The package's JavaScript in a few files instead of hundreds: finding and linking small files is more than half of a program's start, and
 * takes memory that is not returned.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync, type Metafile } from 'esbuild';
import { ROOT } from '../architecture/cruise.ts';

interface PackageJson {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

/** Of hundreds of small files. It is a dependency nevertheless: the package's declarations refer to it. */
const IN_THE_BUNDLE: ReadonlySet<string> = new Set(['typebox']);

const { exports, dependencies, peerDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageJson;

/** Paths from the top, without extension: of the sources, and of what is built from them in `dist`. */
export const ENTRIES: readonly string[] = ['apps/cli/main'].concat(
  Object.values(exports)
    .flatMap((entry) => (typeof entry === 'string' ? [] : [entry['default'], entry['browser']]))
    .flatMap((built) => /^\.\/dist\/(.*)\.js$/.exec(built ?? '')?.[1] ?? []),
);

export interface Bundling {
  /** The file of each entry, by the path that it gets in `outdir`, without extension. */
  readonly entries: Readonly<Record<string, string>>;
  readonly outdir: string;
}

/**
 * Bundles entries that share modules, and what only some of them or only a dynamic import need into files of their own. Dependencies are
 * imported; what the package does not depend on is bundled.
 */
export function bundle({ entries, outdir }: Bundling): Metafile {
  const { metafile } = buildSync({
    entryPoints: { ...entries },
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !IN_THE_BUNDLE.has(name)),
    outdir,
    metafile: true,
    logLevel: 'error',
  });
  return metafile;
}
