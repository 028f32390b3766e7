/** The command `agentcom`, from its arguments to its exit code. */
import { CommanderError } from 'commander';
import { exitCodeOf } from './exit-codes.ts';
import { outputFor } from './output/output.ts';
import { agentcomProgram } from './commander-program.ts';
import type { Surroundings } from './cli-environment.ts';

/** Runs one command in this process's surroundings and answers its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const { stdout, stderr, stdin, env } = process;
  // A reader that has seen enough, such as `head`, ends what waits. Others go on: a hub does not die of its first line.
  const readerGone = new AbortController();
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    readerGone.abort();
  });
  const interrupt = (): AbortSignal => AbortSignal.any([readerGone.signal, interruptSignal()]);
  return runCli(argv, { stdout, stderr, stdin, env, cwd: process.cwd(), interrupt });
}

/** Runs one command in any surroundings; never throws. */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  let exitCode = 0;
  const program = agentcomProgram(surroundings, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    // Commander has said it already.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    outputFor(surroundings, argv.includes('--json')).error(thrown);
    return exitCodeOf(thrown);
  }
}

/** Aborted by the first SIGINT or SIGTERM; the second ends the process as it always does. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    controller.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return controller.signal;
}
