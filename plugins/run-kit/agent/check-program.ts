/** Checks common to all agent programs: installed, runnable, recent enough, and able to work in its folder. */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import type { RunnerCheck, StopSignal } from '../../../core/ports/wake-runner.ts';
import { findProgram, shownPath } from '../process/find-program.ts';
import { askProgram } from './ask-program.ts';
import { lastLines } from './dialect.ts';

/** A program to check before tasks arrive: whether it can be started, and its version. */
export interface CheckedProgram {
  /** The program, with arguments that belong to it. */
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** The environment of the agent. */
  readonly env: Readonly<Record<string, string>>;
  /** The oldest version known to work. */
  readonly minVersion: string;
  /** Pattern of the version output; if it does not match, this is another program. Default: anything. */
  readonly versionPattern?: RegExp | undefined;
  /** How to install it, one sentence. */
  readonly install: string;
  readonly signal?: StopSignal | undefined;
  /** Default: that of `askProgram`. */
  readonly withinMs?: number | undefined;
}

/**
 * Runs `--version`, because an existing file may still not run, for example after an install without scripts. A slow
 * program passes.
 */
export async function checkAgentProgram({
  argv,
  cwd,
  env,
  minVersion,
  versionPattern,
  install,
  ...asking
}: CheckedProgram): Promise<RunnerCheck> {
  const check = 'program';
  const program = argv[0] ?? '';
  const found = await findProgram({ program, cwd, path: env['PATH'] });
  if (found.kind === 'missing')
    return { check, ok: false, message: `There is no "${program}" on PATH.`, hint: `${install} ${shownPath(env['PATH'])}` };
  if (found.kind === 'not_executable') return { check, ok: false, message: `"${found.file}" is not an executable file.`, hint: install };
  const result = await askProgram([...argv, '--version'], { cwd, env, ...asking });
  if (result.kind === 'slow') return { check, ok: true, message: `${found.file}; still starting: it ${result.message}` };
  if (result.kind === 'failed') return { check, ok: false, message: `"${argv.join(' ')} --version" ${result.message}.`, hint: install };
  // Standard error may contain warnings as well as the actual problem.
  const version = versionIn(result.stdout);
  if (version === null || result.exitCode !== 0) {
    const output = lastLines(result.stderr) || lastLines(result.stdout);
    return {
      check,
      ok: false,
      message: `"${argv.join(' ')} --version" exited with code ${String(result.exitCode)}: ${output}.`,
      hint: install,
    };
  }
  if (versionPattern?.test(result.stdout) === false) {
    const message = `"${argv.join(' ')} --version" printed "${lastLines(result.stdout)}": this is another program.`;
    return { check, ok: false, message, hint: install };
  }
  const isNewEnough = isAtLeast(version, minVersion);
  const message = `${found.file} ${version}`;
  if (isNewEnough) return { check, ok: true, message };
  return { check, ok: false, message: `${message} is older than ${minVersion}, the oldest version known to work.`, hint: install };
}

/** Checks ignored by the config pass, and still report what they found. */
export const withIgnored = (checks: readonly RunnerCheck[], ignored: readonly string[] = []): readonly RunnerCheck[] =>
  checks.map((one) =>
    one.ok || !ignored.includes(one.check)
      ? one
      : { check: one.check, ok: true, message: `failed, but ignored by ignoreChecks: ${one.message}` },
  );

/** Version output that consists of the version only. */
export const ONLY_VERSION = /^\s*v?\d+\.\d+\.\d+\S*\s*$/m;

/** The first version in a text; null if there is none. */
export const versionIn = (text: string): string | null => /\d+\.\d+\.\d+/.exec(text)?.[0] ?? null;

/** Whether a version is at least `minVersion`; both like `1.2.3`. */
export const isAtLeast = (version: string, minVersion: string): boolean => compareVersions(version, minVersion) >= 0;

function compareVersions(one: string, other: string): number {
  const [left, right] = [one, other].map((version) => version.split('.').map(Number));
  const place = [0, 1, 2].find((index) => left?.[index] !== right?.[index]);
  return place === undefined ? 0 : (left?.[place] ?? 0) - (right?.[place] ?? 0);
}

const MIB = 1_048_576;
/** With less free space, no agent can work on a task. */
const FREE_MIB_MIN = 16;

/**
 * The agent's working directory: it exists, is writable, has space, and is not a folder in which the agent could change
 * everything.
 */
export async function checkAgentFolder(cwd: string, { readOnly = false } = {}): Promise<RunnerCheck> {
  const check = 'cwd';
  const found = await stat(cwd).catch(() => null); // Whatever the reason, a program cannot be started in it.
  if (found === null || !found.isDirectory())
    return { check, ok: false, message: `"${cwd}" is not a folder.`, hint: 'Create it or change cwd.' };
  if (cwd === '/' || cwd === homedir()) {
    return {
      check,
      ok: false,
      message: `"${cwd}" is not a safe working directory: the agent could change anything in it.`,
      hint: 'Set cwd to a folder of its own.',
    };
  }
  const isWritable = await access(cwd, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isWritable && !readOnly)
    return { check, ok: false, message: `"${cwd}" is not writable for the user of the sidecar.`, hint: 'Change its owner or cwd.' };
  const { bavail, bsize } = await statfs(cwd);
  const freeMiB = Math.floor((bavail * bsize) / MIB);
  if (freeMiB < FREE_MIB_MIN && !readOnly)
    return { check, ok: false, message: `only ${String(freeMiB)} MiB are free at "${cwd}".`, hint: 'Free some space or change cwd.' };
  return { check, ok: true, message: cwd };
}
