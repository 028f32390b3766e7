/**
 * Agent programs from npm, each in a folder of its own in the user's cache: hundreds of megabytes that are fetched once. A
 * folder counts once its program has told the version that was asked for.
 */
import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A package that has a program, pinned. */
export interface NpmProgram {
  readonly package: string;
  readonly version: string;
  /** The file in `node_modules/.bin`. */
  readonly bin: string;
  /** A Node from npm that it is installed by and runs on, where it does not run on each that AgentCom runs on. */
  readonly node?: NpmProgram | undefined;
}

export type Installed =
  | {
      readonly kind: 'installed';
      readonly file: string;
      /** For the environment of the program. */
      readonly path: string;
      /** As it says it. */
      readonly says: string;
    }
  | { readonly kind: 'failed'; readonly why: string };

/** Where all of them are, by the convention of XDG. */
export const cacheFolder = (env: Readonly<Record<string, string | undefined>> = process.env): string =>
  join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'agentcom', 'test-agents');

const INSTALL_WITHIN_MS = 600_000;
const VERSION_WITHIN_MS = 60_000;

/** What is there already is only asked for its version. Never throws for what can go wrong with a package. */
export async function install(program: NpmProgram, folder = cacheFolder()): Promise<Installed> {
  const node = program.node === undefined ? null : await install(program.node, folder);
  if (node?.kind === 'failed') return { kind: 'failed', why: `its Node (${named(program.node as NpmProgram)}): ${node.why}` };
  const place = join(folder, named(program).replace('/', '+'));
  const bin = join(place, 'node_modules', '.bin');
  const path = [...(node === null ? [] : [node.path]), bin, process.env['PATH'] ?? ''].join(delimiter);
  const there = await told(program, { file: join(bin, program.bin), path });
  if (there.kind === 'installed') return there;

  await rm(place, { recursive: true, force: true });
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'package.json'), '{ "private": true }\n');
  const npm = ['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', named(program)];
  const ran = await run(npm, { cwd: place, path, withinMs: INSTALL_WITHIN_MS });
  if (ran.code !== 0) return { kind: 'failed', why: `npm install ended with ${String(ran.code)}: ${firstWords(ran.output)}` };
  return told(program, { file: join(bin, program.bin), path });
}

export const named = ({ package: name, version }: NpmProgram): string => `${name}@${version}`;

async function told(program: NpmProgram, { file, path }: { readonly file: string; readonly path: string }): Promise<Installed> {
  const { code, output } = await run([file, '--version'], { cwd: '/', path, withinMs: VERSION_WITHIN_MS });
  const [says = ''] = output.trim().split('\n');
  if (code === 0 && output.includes(program.version)) return { kind: 'installed', file, path, says };
  return { kind: 'failed', why: `"${program.bin} --version" ended with ${String(code)}: ${firstWords(output)}` };
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
