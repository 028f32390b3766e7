/** The statuses of a task that has ended. `dead_letter` can be left again: an operator may retry the task. */
import type { Status } from '../../core/domain/task/task.ts';

const ENDED_STATUSES = ['completed', 'dead_letter', 'cancelled'] as const satisfies readonly Status[];
/** A status that a task keeps unless an operator retries it. */
export type EndedStatus = (typeof ENDED_STATUSES)[number];

export const isEndedStatus = (status: Status): status is EndedStatus => ENDED_STATUSES.some((ended) => ended === status);
