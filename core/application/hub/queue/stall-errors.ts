/** What shows that the store or the hub stood still, and not that a command was wrong. */
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Command } from '../batch/commands.ts';

/** How long a sweep has waited for its batch, or how far the store's clock went beside that: whichever is more. 0 for others. */
export function sweepWaitedMs(command: Command, storeMs: number, clock: Clock): number {
  if (command.kind !== 'sweep' || command.asked === undefined) return 0;
  const waitedMs = clock.monotonicMs() - command.asked.atMonotonicMs;
  return Math.max(waitedMs, Math.abs(storeMs - command.asked.atMs - waitedMs));
}

/** Failures that have nothing to do with what is in the batch. */
export const isOfTheStore = (error: unknown): boolean =>
  (['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN', 'AC_STORE_CLOSED'] as const).some((code) =>
    AgentcomError.is(error, code),
  );
