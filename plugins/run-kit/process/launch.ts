/** Starts a child without a shell, in its own session, with files or pipes for its streams. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { closeSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { StopSignal } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { isPath } from './find-program.ts';
import { explainRefusal, type LaunchRefusal } from './launch-refusal.ts';
import { markIfKnown, type ProcessTable } from './process-table.ts';
import { openErrorStream, openStreams, type OpenStreams } from './run-files.ts';

export interface LaunchOptions {
  /** The program and its arguments; each stays one argument. A program with a slash is relative to `cwd`. */
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Existing folder for `stdin`, `stdout` and `stderr`. */
  readonly runDir: string;
  /** The child's standard input. */
  readonly input: string;
  readonly table: ProcessTable;
  /** If aborted before the spawn, nothing is started. */
  readonly signal: StopSignal;
}

/** A running child. `ended` alone does not keep this process alive; `watchRun` does. */
export interface Launched {
  readonly kind: 'launched';
  readonly main: ProcessMark;
  readonly ended: Promise<ProcessEnd>;
}

/** `stopped`: the signal was aborted before anything was started. */
export type LaunchOutcome<Running = Launched> = Running | { readonly kind: 'stopped' } | LaunchRefusal;

/** A child connected by pipes. Its standard error is a file, as with `launch`. */
export interface LaunchedPiped extends Launched {
  /** Its standard input. Handle the pipe's errors: it breaks when the child ends. */
  readonly input: Writable;
  /** Its standard output; must be read, or the child blocks. */
  readonly output: Readable;
}

/** How a process ended; both null if unknown. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/**
 * Starts the child and resolves once it runs. The child is detached: it survives our exit, and does not keep us alive.
 * Expected failures are returned, not thrown.
 */
export async function launch(options: LaunchOptions): Promise<LaunchOutcome> {
  let streams: OpenStreams | null = null;
  try {
    if (options.signal.aborted) return { kind: 'stopped' };
    streams = openStreams(options.runDir, options.input);
    const { stdin, stdout, stderr } = streams;
    return await started(spawnChild(options, [stdin, stdout, stderr]), options);
  } catch (error) {
    return await explainRefusal(error as NodeJS.ErrnoException, options);
  } finally {
    streams?.close();
  }
}

/**
 * Like `launch`, for a child that is talked to while it runs. It cannot be adopted, since the pipes end with this
 * process.
 */
export async function launchPiped(options: Omit<LaunchOptions, 'input'>): Promise<LaunchOutcome<LaunchedPiped>> {
  let stderr: number | null = null;
  try {
    if (options.signal.aborted) return { kind: 'stopped' };
    stderr = openErrorStream(options.runDir);
    const child = spawnChild(options, ['pipe', 'pipe', stderr]);
    const { stdin: input, stdout: output } = child as ChildProcess & { readonly stdin: Writable; readonly stdout: Readable };
    return { ...(await started(child, options)), input, output };
  } catch (error) {
    return await explainRefusal(error as NodeJS.ErrnoException, options);
  } finally {
    if (stderr !== null) closeSync(stderr);
  }
}

function spawnChild({ argv, cwd, env }: Pick<LaunchOptions, 'argv' | 'cwd' | 'env'>, stdio: StdioOptions): ChildProcess {
  const [program = '', ...args] = argv;
  return spawn(isPath(program) ? resolve(cwd, program) : program, args, { cwd, env, shell: false, detached: true, stdio });
}

function started(child: ChildProcess, { table, env }: Pick<LaunchOptions, 'table' | 'env'>): Promise<Launched> {
  return new Promise((resolveStart, rejectStart) => {
    child.once('error', rejectStart);
    if (child.pid === undefined) return; // The `error` event says why.
    // At once, because children that it starts earlier are not in its group.
    table.groups?.add(env['AGENTCOM_RUN_ID'] ?? '', child.pid);
    // Before the event loop turns: until then a child that already ended is a zombie and keeps its start time.
    const main = markIfKnown(table, child.pid);
    const ended = new Promise<ProcessEnd>((resolveEnd) => {
      child.once('exit', (exitCode, signal) => {
        resolveEnd({ exitCode, signal });
      });
    });
    child.unref();
    child.once('spawn', () => {
      resolveStart({ kind: 'launched', main, ended });
    });
  });
}
