/** Asks a program something that it answers at once, such as its version. For the doctor. */
import { spawn } from 'node:child_process';
import { resolve as resolvePath } from 'node:path';
import type { StopSignal } from '../../../core/ports/wake-runner.ts';
import { isPath } from '../process/find-program.ts';

/** The doctor gives a whole check 5 s. */
const ASK_WITHIN_MS = 4_000;
/** Of each stream; what comes after is not read. */
const ANSWER_CHARACTERS_MAX = 1024 * 1024;

export type AskedProgram =
  | { readonly kind: 'answered'; readonly exitCode: number | null; readonly stdout: string; readonly stderr: string }
  /** It gave no answer in time, which says nothing against it: on a busy machine some need 15 s for their version. */
  | { readonly kind: 'slow'; readonly message: string }
  /** It could not be started, or was called off. */
  | { readonly kind: 'failed'; readonly message: string };

export interface AskOptions {
  /** Absolute. */
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Default 4,000 ms; then it is killed, with its group. */
  readonly withinMs?: number | undefined;
  /** Given on standard input, which then stays open. Default: nothing to read. */
  readonly input?: string | undefined;
  /** Whether its standard output so far is the answer: then it is killed, with its group. Default: it ends by itself. */
  readonly isAnswer?: ((stdout: string) => boolean) | undefined;
  /** Aborted, it is killed at once, with its group. */
  readonly signal?: StopSignal | undefined;
}

const CALLED_OFF: AskedProgram = { kind: 'failed', message: 'was called off' };

/** No shell. */
export function askProgram(argv: readonly string[], options: AskOptions): Promise<AskedProgram> {
  const { cwd, env, withinMs = ASK_WITHIN_MS, input, isAnswer, signal } = options;
  const [program = '', ...args] = argv;
  return new Promise((answer) => {
    if (signal?.aborted === true) {
      answer(CALLED_OFF);
      return;
    }
    const failed = (message: string): void => {
      answer({ kind: 'failed', message });
    };
    try {
      const file = isPath(program) ? resolvePath(cwd, program) : program;
      const child = spawn(file, args, { cwd, env, detached: true, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
      const streams = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        child[name]?.setEncoding('utf8').on('data', (text: string) => {
          streams[name] += text.slice(0, ANSWER_CHARACTERS_MAX - streams[name].length);
          if (name === 'stdout' && isAnswer?.(streams.stdout) === true) {
            letGo();
            killGroup(child.pid);
            answer({ kind: 'answered', exitCode: null, ...streams });
          }
        });
      }
      child.stdin?.on('error', () => undefined); // It does not read; how it ends says more.
      if (input !== undefined) child.stdin?.write(input);
      const callOff = (): void => {
        killGroup(child.pid);
        answer(CALLED_OFF);
      };
      const letGo = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', callOff);
      };
      const timer = setTimeout(() => {
        killGroup(child.pid);
        answer({ kind: 'slow', message: `gave no answer within ${String(withinMs)} ms` });
      }, withinMs);
      signal?.addEventListener('abort', callOff, { once: true });
      child.once('error', (error) => {
        letGo();
        failed(error.message);
      });
      child.once('close', (exitCode) => {
        letGo();
        answer({ kind: 'answered', exitCode, ...streams });
      });
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error)); // An argument that is too long.
    }
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // It has ended meanwhile.
  }
}
