import type { TaskQueue } from '../queue/task-queue.ts';

export const isIdle = (queue: TaskQueue | null): boolean => queue === null;
