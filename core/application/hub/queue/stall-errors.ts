/** Signs that the store or the hub stalled, as opposed to a bad command. */
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Command } from '../batch/commands.ts';

/** How long a sweep waited for its batch, or how far the store's clock drifted from that wait, whichever is more. 0 for other commands. */
export function sweepWaitedMs(command: Command, storeMs: number, clock: Clock): number {
  if (command.kind !== 'sweep' || command.posted === undefined) return 0;
  const waitedMs = clock.monotonicMs() - command.posted.atMonotonicMs;
  return Math.max(waitedMs, Math.abs(storeMs - command.posted.atMs - waitedMs));
}

/** Failures of the store itself, whatever the batch contains. */
export const isStoreFailure = (error: unknown): boolean =>
  (['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN', 'AC_STORE_CLOSED'] as const).some((code) =>
    AgentcomError.is(error, code),
  );
