/** Starts a child without a shell, in its own session, with files or pipes for its streams. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { StopSignal } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { isPath } from './find-program.ts';
import { explainLaunchFailure, isLaunchError, type LaunchFailure } from './launch-failure.ts';
import { markIfKnown, type ProcessTable } from './process-table.ts';
import { openErrorStream, openStreams } from './run-files.ts';
import { sendSignal } from './stop-tree.ts';

/** What to start, and where. */
export interface LaunchOptions {
  /**
   * The program and its arguments; each stays one argument. A plain name is searched on PATH, a relative path with a
   * slash is resolved against `cwd`.
   */
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Names the run's control group. */
  readonly runId: string;
  /** Existing folder for `stdin`, `stdout` and `stderr`. */
  readonly runDir: string;
  /** The child's standard input. */
  readonly input: string;
  readonly table: ProcessTable;
  /** If aborted before the spawn, nothing is started. */
  readonly signal: StopSignal;
}

/** A running child. Awaiting `exited` does not keep the sidecar running; `watchRun` does. */
export interface Launched {
  readonly kind: 'launched';
  readonly main: ProcessMark;
  readonly exited: Promise<ProcessExit>;
}

/** `aborted`: the signal was aborted before anything was started. */
export type LaunchOutcome<Running = Launched> = Running | { readonly kind: 'aborted' } | LaunchFailure;

/** A child connected by pipes. Its standard error is a file, as with `launch`. */
export interface LaunchedPiped extends Launched {
  /** Its standard input. Handle the pipe's errors: it breaks when the child exits. */
  readonly input: Writable;
  /** Its standard output; must be read, or the child blocks. */
  readonly output: Readable;
}

/** How a process exited; both null if unknown. */
export interface ProcessExit {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/**
 * Starts the child and resolves once it runs. The child is detached: it survives the sidecar, and does not keep it
 * alive. System errors are returned, not thrown.
 */
export async function launch(options: LaunchOptions): Promise<LaunchOutcome> {
  const outcome = await start(options, () => {
    const { stdin, stdout, stderr, close } = openStreams(options.runDir, options.input);
    return { stdio: [stdin, stdout, stderr], close };
  });
  return 'child' in outcome ? outcome.launched : outcome;
}

/**
 * Like `launch`, for a child with which the caller exchanges messages over stdin and stdout. It cannot be adopted, since
 * the pipes end with the sidecar.
 */
export async function launchPiped(options: Omit<LaunchOptions, 'input'>): Promise<LaunchOutcome<LaunchedPiped>> {
  const outcome = await start(options, () => {
    const stderr = openErrorStream(options.runDir);
    return { stdio: ['pipe', 'pipe', stderr], close: () => closeSync(stderr) };
  });
  if (!('child' in outcome)) return outcome;
  // The types do not express this: their overloads for pipes do not allow file descriptors.
  const { stdin: input, stdout: output } = outcome.child as ChildProcess & { readonly stdin: Writable; readonly stdout: Readable };
  return { ...outcome.launched, input, output };
}

interface Stdio {
  readonly stdio: StdioOptions;
  /** Closes our descriptors; the child has its own. */
  close(): void;
}

interface Started {
  readonly child: ChildProcess;
  readonly launched: Launched;
}

type StartOptions = Omit<LaunchOptions, 'input'>;

async function start(options: StartOptions, openStdio: () => Stdio): Promise<Started | Exclude<LaunchOutcome, Launched>> {
  if (options.signal.aborted) return { kind: 'aborted' };
  let opened: Stdio | null = null;
  try {
    opened = openStdio();
    const child = spawnChild(options, opened.stdio);
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as readonly unknown[];
      throw error;
    }
    const spawned = once(child, 'spawn');
    const launched = register(child, child.pid, options);
    await spawned;
    return { child, launched };
  } catch (error) {
    if (!isLaunchError(error)) throw error;
    return await explainLaunchFailure(error, options);
  } finally {
    opened?.close();
  }
}

function spawnChild({ argv, cwd, env }: Pick<LaunchOptions, 'argv' | 'cwd' | 'env'>, stdio: StdioOptions): ChildProcess {
  const [program = '', ...args] = argv;
  // Systems differ in which folder they resolve a relative path against.
  return spawn(isPath(program) ? resolve(cwd, program) : program, args, { cwd, env, shell: false, detached: true, stdio });
}

/** Identifies the child. If that fails, kills it: otherwise nothing would track it. */
function register(child: ChildProcess, pid: number, { table, runId }: StartOptions): Launched {
  child.unref();
  const exited = new Promise<ProcessExit>((resolveExit) => {
    child.once('exit', (exitCode, signal) => {
      resolveExit({ exitCode, signal });
    });
  });
  try {
    // Immediately: a process that the child forks before this stays outside its control group.
    table.cgroups?.add(runId, pid);
    // Synchronously: Node reaps an exited child only on the next turn of the event loop, so until then its entry in the
    // process table, with the start time, still exists.
    return { kind: 'launched', main: markIfKnown(table, pid), exited };
  } catch (error) {
    sendSignal(-pid, 'SIGKILL');
    throw new Error(`A child was started and killed, because it could not be registered: ${messageOf(error)}`, { cause: error });
  }
}
