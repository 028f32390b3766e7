/** The remains of a removed task: enough to answer repeated reports and submits. */
import type { Task } from './task.ts';

/** What is kept of a removed task, to recognize repeated requests. */
export interface Tombstone extends Pick<Task, 'id' | 'priority' | 'status' | 'generation' | 'assignedTo' | 'outcomes' | 'createdAtMs'> {
  readonly removedAtMs: number;
  /** Who submitted the task; missing in tombstones of earlier versions. */
  readonly submittedBy?: string | undefined;
}

/** The tombstone of a task that is removed at `nowMs`. */
export const tombstoneOf = (task: Task, nowMs: number): Tombstone => ({
  id: task.id,
  priority: task.priority,
  status: task.status,
  generation: task.generation,
  assignedTo: task.assignedTo,
  outcomes: task.outcomes,
  createdAtMs: task.createdAtMs,
  removedAtMs: nowMs,
  submittedBy: task.submittedBy,
});
