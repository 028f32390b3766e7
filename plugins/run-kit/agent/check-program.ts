/** What the doctor asks of every agent program: is it there, does it run, is it new enough, and can it work in its folder. */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import type { RunnerCheck, StopSignal } from '../../../core/ports/wake-runner.ts';
import { findProgram } from '../process/find-program.ts';
import { askProgram } from './ask-program.ts';
import { endOfWords } from './dialect.ts';

export interface CheckedProgram {
  /** The program with the arguments that belong to it. */
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** As the agent gets it. */
  readonly env: Readonly<Record<string, string>>;
  /** The least version that is known to work. */
  readonly least: string;
  /** What its version stands beside, where it says that: another program says another thing. Default: anything. */
  readonly says?: RegExp | undefined;
  /** What to do when there is none, a sentence. */
  readonly install: string;
  readonly signal?: StopSignal | undefined;
  /** Default: that of `askProgram`. */
  readonly withinMs?: number | undefined;
}

/** Runs `--version`: a file that is there may still not run, as after an install without its scripts. One that is slow passes. */
export async function checkAgentProgram({ argv, cwd, env, least, says, install, ...asking }: CheckedProgram): Promise<RunnerCheck> {
  const check = 'program';
  const program = argv[0] ?? '';
  const found = await findProgram({ program, cwd, path: env['PATH'] });
  if (found.kind === 'missing')
    return { check, ok: false, message: `There is no "${program}" on PATH. ${install} PATH: ${env['PATH'] ?? 'not set'}` };
  if (found.kind === 'not_executable') return { check, ok: false, message: `"${found.file}" is not an executable file. ${install}` };
  const asked = await askProgram([...argv, '--version'], { cwd, env, ...asking });
  if (asked.kind === 'slow') return { check, ok: true, message: `${found.file}; it is starting, and ${asked.message}` };
  if (asked.kind === 'failed') return { check, ok: false, message: `"${argv.join(' ')} --version" ${asked.message}. ${install}` };
  // Warnings may stand on standard error, and so may what is wrong.
  const version = versionIn(asked.stdout);
  if (version === null || asked.exitCode !== 0) {
    const said = endOfWords(asked.stderr) || endOfWords(asked.stdout);
    return { check, ok: false, message: `"${argv.join(' ')} --version" exited with code ${String(asked.exitCode)}: ${said}. ${install}` };
  }
  if (says?.test(asked.stdout) === false) {
    const message = `"${argv.join(' ')} --version" says "${endOfWords(asked.stdout)}": that is another program. ${install}`;
    return { check, ok: false, message };
  }
  const isNewEnough = isAtLeast(version, least);
  const message = `${found.file} ${version}`;
  return {
    check,
    ok: isNewEnough,
    message: isNewEnough ? message : `${message} is older than ${least}, the oldest that is known to work. ${install}`,
  };
}

/** Those that the config overrules by name are ok, and still say what they found. */
export const withIgnored = (checks: readonly RunnerCheck[], ignored: readonly string[] = []): readonly RunnerCheck[] =>
  checks.map((one) =>
    one.ok || !ignored.includes(one.check) ? one : { ...one, ok: true, message: `not ok, which ignoreChecks overrules: ${one.message}` },
  );

/** What a program says that tells its version without its name. */
export const ONLY_VERSION = /^\s*v?\d+\.\d+\.\d+\S*\s*$/m;

/** The first line that has a version; null when there is none. */
export const versionIn = (text: string): string | null => /\d+\.\d+\.\d+/.exec(text)?.[0] ?? null;

/** Whether a version is this one or a later one; both `1.2.3`. */
export const isAtLeast = (version: string, least: string): boolean => compareVersions(version, least) >= 0;

function compareVersions(one: string, other: string): number {
  const [left, right] = [one, other].map((version) => version.split('.').map(Number));
  const place = [0, 1, 2].find((index) => left?.[index] !== right?.[index]);
  return place === undefined ? 0 : (left?.[place] ?? 0) - (right?.[place] ?? 0);
}

const MIB = 1_048_576;
/** With less an agent can do no work that is worth a task. */
const FREE_MIB_MIN = 16;

/** The folder where the agent works: there, writable, with room, and not a place where it could change everything. */
export async function checkAgentFolder(cwd: string, { mayOnlyRead = false } = {}): Promise<RunnerCheck> {
  const check = 'cwd';
  const found = await stat(cwd).catch(() => null); // Whatever the reason, a program cannot be started in it.
  if (found === null || !found.isDirectory()) return { check, ok: false, message: `"${cwd}" is not a folder. Create it or change cwd.` };
  if (cwd === '/' || cwd === homedir()) {
    return {
      check,
      ok: false,
      message: `"${cwd}" is no folder for an agent to work in: it could change anything there. Set cwd to a folder of its own.`,
    };
  }
  const isWritable = await access(cwd, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isWritable && !mayOnlyRead)
    return { check, ok: false, message: `"${cwd}" is not writable for the user of the sidecar. Change its owner or cwd.` };
  const { bavail, bsize } = await statfs(cwd);
  const freeMiB = Math.floor((bavail * bsize) / MIB);
  if (freeMiB < FREE_MIB_MIN && !mayOnlyRead)
    return { check, ok: false, message: `only ${String(freeMiB)} MiB are free where "${cwd}" is. Make room, or change cwd.` };
  return { check, ok: true, message: cwd };
}
