import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

/** The error for a target of a move that is not empty. `table`: one that has rows. */
export const targetExists = (place: string, table: string): AgentcomError =>
  new AgentcomError(
    'AC_TARGET_EXISTS',
    `Cannot copy a store to ${place}: it is not empty (${table} has rows). Nothing was changed in it. Name another place, or move what is there away.`,
    { details: { place, table } },
  );
