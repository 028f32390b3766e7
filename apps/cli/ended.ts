/** The ends of a task. */
import type { Status } from '../../core/domain/task.ts';
import { EXIT_OF_TASK } from './exit-codes.ts';

export type EndedStatus = keyof typeof EXIT_OF_TASK;

export const isEndedStatus = (status: Status): status is EndedStatus => Object.hasOwn(EXIT_OF_TASK, status);
