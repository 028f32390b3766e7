/** With what a command ends. The codes of errors are in core/errors/codes.ts; 2 is also a command line that is wrong. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { ERROR_CODES } from '../../core/errors/codes.ts';
import type { EndedStatus } from '../client/index.ts';

/** What a wait for a task ends with. */
export const EXIT_OF_TASK = { completed: 0, dead_letter: 1, cancelled: 6 } as const satisfies Record<EndedStatus, number>;
/** The doctor found damage. */
export const EXIT_DAMAGED = 8;
/** The person ended it, as shells say it of SIGINT; a task that was waited for goes on. */
export const EXIT_INTERRUPTED = 130;

export const EXIT_CODES_HELP = `
Exit codes:
  0    done; with --wait or watch: the task completed
  1    with --wait or watch: the task ended in the dead letter; elsewhere a failure without a code of its own
  2    the command line, the config or the environment is wrong
  3    the port is busy or the address cannot be listened on
  4    the database, the journal or a data directory cannot be used
  5    another hub or sidecar uses the same data
  6    with --wait or watch: the task was cancelled; with report: the assignment is gone
  7    the hub refused the request or cannot be reached
  8    doctor: something is damaged
  130  interrupted (a task that was waited for goes on)`;

/** What a program ends with by this error. */
export const exitCodeOf = (error: unknown): number =>
  AgentcomError.is(error) ? ERROR_CODES[error.code].exit : ERROR_CODES.AC_INTERNAL.exit;
