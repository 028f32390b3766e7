/** The error for a value on the command line that is not one of those expected. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** `expected`: a noun phrase. `found`: what the user wrote. */
export const wrongValue = (expected: string, found: string): AgentcomError =>
  new AgentcomError('AC_USAGE', `Expected ${expected}, found ${JSON.stringify(found)}.`);
