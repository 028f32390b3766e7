/** Runs a program for a quick answer, such as its version. Used by the checks. */
import { spawn } from 'node:child_process';
import { resolve as resolvePath } from 'node:path';
import type { StopSignal } from '../../../core/ports/wake-runner.ts';
import { isPath } from '../process/find-program.ts';
import { sendSignal } from '../process/stop-tree.ts';

/** A whole check has 5 s. */
const ASK_WITHIN_MS = 4_000;
/** How long a program that has exited may leave its streams open: what it left running in the background may hold them for ever. */
const STREAMS_CLOSE_WITHIN_MS = 500;
/** Per stream; the rest is not read. */
const ANSWER_CHARACTERS_MAX = 1024 * 1024;

/** A program's answer to a short question, such as `--version`. */
export type AskResult =
  | { readonly kind: 'answered'; readonly exitCode: number | null; readonly stdout: string; readonly stderr: string }
  /**
   * The program did not answer in time. It need not be broken: on a busy machine some programs need 15 s for
   * `--version`.
   */
  | { readonly kind: 'slow'; readonly message: string }
  /** The program could not be started, or the call was aborted. */
  | { readonly kind: 'failed'; readonly message: string };

/** How to ask a program. */
export interface AskOptions {
  /** Absolute. */
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Default 4,000 ms; then the program is killed, with its group. */
  readonly withinMs?: number | undefined;
  /** Written to standard input, which then stays open. Default: no input. */
  readonly input?: string | undefined;
  /**
   * Whether standard output so far is the answer; if so, the program is killed, with its group. Default: wait until it
   * exits.
   */
  readonly isAnswer?: ((stdout: string) => boolean) | undefined;
  /** When aborted, the program is killed immediately, with its group. */
  readonly signal?: StopSignal | undefined;
}

const ABORTED: AskResult = { kind: 'failed', message: 'was aborted' };

/** Runs the program without a shell. Never rejects. */
export function askProgram(argv: readonly string[], options: AskOptions): Promise<AskResult> {
  const { cwd, env, withinMs = ASK_WITHIN_MS, input, isAnswer, signal } = options;
  const [program = '', ...args] = argv;
  return new Promise((answer) => {
    if (signal?.aborted === true) {
      answer(ABORTED);
      return;
    }
    try {
      const file = isPath(program) ? resolvePath(cwd, program) : program;
      const child = spawn(file, args, { cwd, env, detached: true, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
      const streams = { stdout: '', stderr: '' };
      let closing: NodeJS.Timeout | undefined;
      const settle = (result: AskResult): void => {
        clearTimeout(timer);
        clearTimeout(closing);
        signal?.removeEventListener('abort', abort);
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
        answer(result);
      };
      const abort = (): void => {
        killGroup(child.pid);
        settle(ABORTED);
      };
      const timer = setTimeout(() => {
        killGroup(child.pid);
        settle({ kind: 'slow', message: `did not answer within ${String(withinMs)} ms` });
      }, withinMs);
      for (const name of ['stdout', 'stderr'] as const) {
        child[name]?.setEncoding('utf8').on('data', (text: string) => {
          streams[name] += text.slice(0, ANSWER_CHARACTERS_MAX - streams[name].length);
          if (name === 'stdout' && isAnswer?.(streams.stdout) === true) {
            killGroup(child.pid);
            settle({ kind: 'answered', exitCode: null, ...streams });
          }
        });
      }
      child.stdin?.on('error', () => undefined); // The program does not read its input; its exit says more.
      if (input !== undefined) child.stdin?.write(input);
      signal?.addEventListener('abort', abort, { once: true });
      child.once('error', (error) => settle({ kind: 'failed', message: error.message }));
      child.once('exit', (exitCode) => {
        closing = setTimeout(() => {
          killGroup(child.pid);
          settle({ kind: 'answered', exitCode, ...streams });
        }, STREAMS_CLOSE_WITHIN_MS);
      });
      child.once('close', (exitCode) => settle({ kind: 'answered', exitCode, ...streams }));
    } catch (error) {
      answer({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }); // An argument that is too long.
    }
  });
}

/** Called from timers and listeners, where an error would end the sidecar: a program that runs as another user is left alone. */
function killGroup(pid: number | undefined): void {
  if (pid !== undefined) sendSignal(-pid, 'SIGKILL');
}
