/**
 * Agent programs from npm, each in its own folder in the user's cache: hundreds of megabytes that are downloaded once.
 * A folder counts once its program has reported the requested version.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A package that has a program, pinned. */
export interface NpmProgram {
  readonly package: string;
  readonly version: string;
  /** The file in `node_modules/.bin`. */
  readonly bin: string;
  /** It does not know `--version`: its package's version counts. */
  readonly tellsNoVersion?: boolean | undefined;
  /** A Node from npm that installs and runs it, if it does not run on every Node that AgentCom runs on. */
  readonly node?: NpmProgram | undefined;
}

export type Installed =
  | {
      readonly kind: 'installed';
      readonly file: string;
      /** For the environment of the program. */
      readonly path: string;
      /** As it reports it. */
      readonly says: string;
    }
  | { readonly kind: 'failed'; readonly why: string };

/** Where all of them are, by the XDG convention. */
export const cacheFolder = (env: Readonly<Record<string, string | undefined>> = process.env): string =>
  join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'agentcom', 'test-agents');

const INSTALL_WITHIN_MS = 600_000;
const VERSION_WITHIN_MS = 60_000;

/** What is already there is only asked for its version. Never throws for problems with a package. */
export async function install(program: NpmProgram, folder = cacheFolder()): Promise<Installed> {
  const node = program.node === undefined ? null : await install(program.node, folder);
  if (node?.kind === 'failed') return { kind: 'failed', why: `its Node (${named(program.node as NpmProgram)}): ${node.why}` };
  const place = join(folder, named(program).replace('/', '+'));
  const bin = join(place, 'node_modules', '.bin');
  const path = [...(node === null ? [] : [node.path]), bin, process.env['PATH'] ?? ''].join(delimiter);
  const there = await installedIn(program, { place, file: join(bin, program.bin), path });
  if (there.kind === 'installed') return there;

  await rm(place, { recursive: true, force: true });
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'package.json'), '{ "private": true }\n');
  const npm = ['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', named(program)];
  const ran = await run(npm, { cwd: place, path, withinMs: INSTALL_WITHIN_MS });
  if (ran.code !== 0) {
    await rm(place, { recursive: true, force: true });
    return { kind: 'failed', why: `npm install ended with ${String(ran.code)}: ${firstWords(ran.output)}` };
  }
  return installedIn(program, { place, file: join(bin, program.bin), path });
}

export const named = ({ package: name, version }: NpmProgram): string => `${name}@${version}`;

interface InstalledAt {
  readonly place: string;
  readonly file: string;
  readonly path: string;
}

async function installedIn(program: NpmProgram, { place, file, path }: InstalledAt): Promise<Installed> {
  if (program.tellsNoVersion === true) return toldByPackage(program, { place, file, path });
  const { code, output } = await run([file, '--version'], { cwd: '/', path, withinMs: VERSION_WITHIN_MS });
  const [says = ''] = output.trim().split('\n');
  if (code === 0 && output.includes(program.version)) return { kind: 'installed', file, path, says };
  return { kind: 'failed', why: `"${program.bin} --version" ended with ${String(code)}: ${firstWords(output)}` };
}

async function toldByPackage(program: NpmProgram, { place, file, path }: InstalledAt): Promise<Installed> {
  const found = join(place, 'node_modules', program.package, 'package.json');
  try {
    const { version } = JSON.parse(await readFile(found, 'utf8')) as { readonly version?: unknown };
    if (version === program.version && existsSync(file)) return { kind: 'installed', file, path, says: `its package is ${named(program)}` };
    return { kind: 'failed', why: `${found} is of version ${String(version)}, or ${file} is missing` };
  } catch (error) {
    return { kind: 'failed', why: `cannot read ${found}: ${String(error)}` };
  }
}

const WORDS_SHOWN = 300;
const firstWords = (output: string): string =>
  output
    .trim()
    .replace(/\s*\n\s*/g, '; ')
    .slice(0, WORDS_SHOWN);

interface RunHow {
  readonly cwd: string;
  readonly path: string;
  readonly withinMs: number;
}

function run([file = '', ...args]: readonly string[], { cwd, path, withinMs }: RunHow) {
  return new Promise<{ readonly code: number | string | null; readonly output: string }>((done) => {
    const env = { ...process.env, PATH: path };
    const child = spawn(file, args, { cwd, env, timeout: withinMs, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', (error) => {
      done({ code: (error as NodeJS.ErrnoException).code ?? 'an error', output: error.message });
    });
    child.once('close', (code, signal) => {
      done({ code: code ?? signal, output });
    });
  });
}
