/** Asks a program something that it answers at once, such as its version. For the doctor. */
import { execFile } from 'node:child_process';
import { resolve as resolvePath } from 'node:path';
import { isPath } from '../find-program.ts';

/** The doctor gives a whole check 5 s. */
const ASK_WITHIN_MS = 4_000;
const ANSWER_BYTES_MAX = 1024 * 1024;

export type AskedProgram =
  | { readonly kind: 'answered'; readonly exitCode: number; readonly stdout: string; readonly stderr: string }
  /** It could not be started, or gave no answer in time. */
  | { readonly kind: 'failed'; readonly message: string };

/** No shell, no standard input. `env` is the whole environment. */
export function askProgram(
  argv: readonly string[],
  {
    cwd,
    env,
    withinMs = ASK_WITHIN_MS,
  }: { readonly cwd: string; readonly env: Readonly<Record<string, string>>; readonly withinMs?: number },
): Promise<AskedProgram> {
  const [program = '', ...args] = argv;
  return new Promise((resolve) => {
    const failed = (error: unknown): void => {
      resolve({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    };
    try {
      const child = execFile(
        isPath(program) ? resolvePath(cwd, program) : program,
        args,
        { cwd, env, timeout: withinMs, killSignal: 'SIGKILL', maxBuffer: ANSWER_BYTES_MAX, encoding: 'utf8' },
        (error, stdout, stderr) => {
          if (error === null) resolve({ kind: 'answered', exitCode: 0, stdout, stderr });
          else if (error.killed === true) failed(`gave no answer within ${String(withinMs)} ms`);
          else if (typeof error.code === 'number') resolve({ kind: 'answered', exitCode: error.code, stdout, stderr });
          else failed(error);
        },
      );
      child.stdin?.on('error', () => undefined).end();
    } catch (error) {
      failed(error); // A folder that is not there, an argument that is too long.
    }
  });
}
