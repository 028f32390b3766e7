import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

/** A target of a move that holds something. `table`: one with a row in it. */
export const targetExists = (place: string, table: string): AgentcomError =>
  new AgentcomError(
    'AC_TARGET_EXISTS',
    `Cannot copy a store to ${place}: it is not empty (${table} has rows). Nothing was changed in it. Name another place, or move what is there away.`,
    { details: { place, table } },
  );
