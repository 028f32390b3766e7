/** The command `agentcom`, from its arguments to its exit code. */
import { setImmediate } from 'node:timers/promises';
import { CommanderError } from 'commander';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { isJsonRequested } from './command-groups.ts';
import { EXIT_INTERRUPTED, exitCodeOf } from './exit-codes.ts';
import { outputFor } from './output/output.ts';
import { agentcomProgram } from './commander-program.ts';
import type { CliEnvironment } from './cli-environment.ts';

/** Runs one command in this process's environment and returns its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const { stdout, stderr, stdin, env } = process;
  // If the output cannot be written any more, because its reader is gone (`head`) or the disk is full, waiting commands end. Others
  // continue: a hub must not exit because of it.
  const outputLost = new AbortController();
  const interrupt = (): AbortSignal => AbortSignal.any([outputLost.signal, interruptSignal()]);
  const made: string[] = [];
  const onMade = (id: string): void => void made.push(id);
  const environment: CliEnvironment = { stdout, stderr, stdin, env, cwd: process.cwd(), interrupt, onMade };
  let failure: AgentcomError | null = null;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    outputLost.abort();
    if (error.code === 'EPIPE' || failure !== null) return;
    failure = unwritten(error, made);
    outputFor(environment, isJsonRequested(argv)).error(failure);
  });
  stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') outputLost.abort();
  });
  const exitCode = await runCli(argv, environment);
  // A stream reports the failure of its last write only now.
  await setImmediate();
  return failure !== null && (exitCode === 0 || exitCode === EXIT_INTERRUPTED) ? exitCodeOf(failure) : exitCode;
}

/** `made`: what the user does not learn otherwise. */
function unwritten(error: Error, made: readonly string[]): AgentcomError {
  const reason = messageOf(error).replace(/^E[A-Z]+: (.*), write$/, '$1');
  const created = made.length === 0 ? '' : ` Created before that: ${made.join(', ')}.`;
  return new AgentcomError('AC_USAGE', `Cannot write the output: ${reason}.${created}`, { cause: error, details: { created: made } });
}

/** Runs one command in any environment; never throws. */
export async function runCli(given: readonly string[], environment: CliEnvironment): Promise<number> {
  const [first, ...others] = given;
  // Some programs use `-V` for the version, and `help COMMAND`.
  const argv = first === '-V' ? ['--version', ...others] : first === 'help' ? [...others, '--help'] : given;
  if (argv.length === 0) {
    environment.stdout.write(FIRST_PAGE);
    return 0;
  }
  const json = isJsonRequested(argv);
  let exitCode = 0;
  try {
    const program = await agentcomProgram(argv, environment, (code) => {
      exitCode = code;
    });
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    const output = outputFor(environment, json);
    if (!(thrown instanceof CommanderError)) {
      output.error(thrown);
      return exitCodeOf(thrown);
    }
    if (thrown.exitCode === 0) return 0;
    // Commander has already printed it, except as JSON.
    if (json) output.error(new AgentcomError('AC_USAGE', usageMessage(thrown)));
    return 2;
  }
}

/** Without a command, commander prints the help and its error has no message. */
function usageMessage({ code, message }: CommanderError): string {
  if (code === 'commander.help') return 'Expected a command. "agentcom --help" lists all, "agentcom COMMAND --help" those of one.';
  return message.replace(/^error: /, '').replaceAll('\n', ' ');
}

/** For users who type only the name. */
const FIRST_PAGE = `A durable task queue for a fleet of AI agents.

  agentcom quickstart            a demo on this machine
  agentcom init                  write a starter config into this folder
  agentcom hub                   run the hub of the config in this folder
  agentcom agents                who is connected
  agentcom top                   queue, agents and what needs attention, live
  agentcom submit TEXT --wait    submit a task and follow it to its end
  agentcom list                  the newest tasks
  agentcom show TASK             one task with its history
  agentcom why TASK              why a task is not running

All commands: agentcom --help. One of them: agentcom COMMAND --help.
`;

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
