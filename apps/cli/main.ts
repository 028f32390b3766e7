/** The command `agentcom`, from its arguments to its exit code. */
import { CommanderError } from 'commander';
import { exitCodeOf } from './exit-codes.ts';
import { outputFor } from './output/output.ts';
import { agentcomProgram } from './commander-program.ts';
import type { CliEnvironment } from './cli-environment.ts';

/** Runs one command in this process's environment and answers its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const { stdout, stderr, stdin, env } = process;
  // If the reader of the output is gone (`head`), waiting commands end. Others continue: a hub must not die of that.
  const readerGone = new AbortController();
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    readerGone.abort();
  });
  const interrupt = (): AbortSignal => AbortSignal.any([readerGone.signal, interruptSignal()]);
  return runCli(argv, { stdout, stderr, stdin, env, cwd: process.cwd(), interrupt });
}

/** Runs one command in any environment; never throws. */
export async function runCli(argv: readonly string[], environment: CliEnvironment): Promise<number> {
  let exitCode = 0;
  try {
    const program = await agentcomProgram(argv, environment, (code) => {
      exitCode = code;
    });
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    // Commander has already printed it.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    outputFor(environment, argv.includes('--json')).error(thrown);
    return exitCodeOf(thrown);
  }
}

/** Aborted by the first SIGINT or SIGTERM; the second ends the process as usual. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    controller.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return controller.signal;
}
