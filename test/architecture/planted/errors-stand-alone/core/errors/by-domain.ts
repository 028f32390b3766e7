import type { TaskId } from '../domain/ids.ts';

export type About = TaskId;
