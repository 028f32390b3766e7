/** Exit codes of commands. Those of errors are in core/errors/codes.ts; a wrong command line is 2. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { ERROR_CODES } from '../../core/errors/codes.ts';
import type { EndedStatus } from '../client/index.ts';

/** The exit code after waiting for a task, by the status that it ended with. */
export const EXIT_OF_TASK = { completed: 0, dead_letter: 1, cancelled: 6 } as const satisfies Record<EndedStatus, number>;
/** The doctor found something wrong, or the audit log is not whole. */
export const EXIT_UNHEALTHY = 8;
/** Interrupted, as shells report SIGINT; a task that was being waited for continues. */
export const EXIT_INTERRUPTED = 130;

export const EXIT_CODES_HELP = `
Exit codes:
  0    done; with --wait or watch: the task completed
  1    with --wait or watch: the task was dead-lettered; elsewhere: any other failure
  2    the command line, a value in it, the config or the environment is wrong
  3    the port is in use, or the hub cannot listen on the address
  4    the database, the journal or a data directory cannot be used
  5    another hub or sidecar uses the same data
  6    with --wait or watch: the task was cancelled; with report: the assignment is gone
  7    the hub refused the request or cannot be reached
  8    with doctor: something is wrong; with audit verify: the chain is broken
  130  interrupted; a task that was being waited for continues
  143  a second signal ended the hub or sidecar before it had stopped cleanly`;

/** The exit code for an error. A wrong value has the same code whether the command or the hub finds it. */
export function exitCodeOf(error: unknown): number {
  if (!AgentcomError.is(error)) return ERROR_CODES.AC_INTERNAL.exit;
  const isWrongValue = error.code === 'AC_API' && error.details?.['error'] === 'validation_failed';
  return isWrongValue ? ERROR_CODES.AC_USAGE.exit : ERROR_CODES[error.code].exit;
}
