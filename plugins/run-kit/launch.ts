/** Starts a child without a shell, in a session of its own, with files for its streams. */
import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import type { ProcessMark, StopSignal } from '../../core/ports/wake-runner.ts';
import { isPath } from './find-program.ts';
import { explainRefusal, type LaunchRefusal } from './launch-refusal.ts';
import { markOf, type ProcessTable } from './process-table.ts';
import { openStreams, type OpenStreams } from './run-files.ts';

export interface LaunchOptions {
  /** The program and its arguments, each one argument, whatever is in it. A program with a slash is relative to `cwd`. */
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Existing folder for `stdin`, `stdout` and `stderr`. */
  readonly runDir: string;
  /** What the child reads from standard input. */
  readonly input: string;
  readonly table: ProcessTable;
  /** Aborted before the spawn: nothing is started. */
  readonly signal: StopSignal;
}

export type LaunchOutcome =
  /** `ended` alone does not keep this process alive to see it; `watchRun` does. */
  | { readonly kind: 'launched'; readonly main: ProcessMark; readonly ended: Promise<ProcessEnd> }
  /** The signal was aborted before anything was started. */
  | { readonly kind: 'stopped' }
  | LaunchRefusal;

/** How a process ended; both null when that cannot be known. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/**
 * Starts the child and answers once it runs. It is nobody's child then as far as waiting goes: our own end does not end
 * it, and it does not keep us alive. Whatever can be expected to go wrong is an answer, not an error.
 */
export async function launch(options: LaunchOptions): Promise<LaunchOutcome> {
  let streams: OpenStreams | null = null;
  try {
    streams = await openStreams(options.runDir, options.input);
    if (options.signal.aborted) return { kind: 'stopped' };
    return await started(spawnChild(options, streams), options.table);
  } catch (error) {
    return await explainRefusal(error as NodeJS.ErrnoException, options);
  } finally {
    await streams?.close();
  }
}

function spawnChild({ argv, cwd, env }: LaunchOptions, streams: OpenStreams): ChildProcess {
  const [program = '', ...args] = argv;
  return spawn(isPath(program) ? resolve(cwd, program) : program, args, {
    cwd,
    env,
    shell: false,
    detached: true,
    stdio: [streams.stdin.fd, streams.stdout.fd, streams.stderr.fd],
  });
}

function started(child: ChildProcess, table: ProcessTable): Promise<LaunchOutcome> {
  return new Promise((resolveStart, rejectStart) => {
    child.once('error', rejectStart);
    if (child.pid === undefined) return; // The `error` event says why.
    // Taken before the event loop turns: a child that has already ended is a zombie until then, and keeps its start time.
    const main = markOf(table, child.pid);
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
