/** Distinguishes errors of the store from errors of a command. */
import { AgentcomError } from './agentcom-error.ts';

/** Whether the store failed rather than a command. Includes conflicts (`AC_STORE_RETRY`), which may not occur with a smaller batch. */
export const isStoreFailure = (error: unknown): boolean =>
  (['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN', 'AC_STORE_CLOSED'] as const).some((code) =>
    AgentcomError.is(error, code),
  );
