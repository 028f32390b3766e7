/** The remains of a removed task: enough to answer repeated reports and submits. */
import type { Task } from './task.ts';

export interface Tombstone extends Pick<Task, 'id' | 'priority' | 'status' | 'generation' | 'assignedTo' | 'outcomes' | 'createdAtMs'> {
  readonly removedAtMs: number;
}

export const tombstoneOf = (task: Task, nowMs: number): Tombstone => ({
  id: task.id,
  priority: task.priority,
  status: task.status,
  generation: task.generation,
  assignedTo: task.assignedTo,
  outcomes: task.outcomes,
  createdAtMs: task.createdAtMs,
  removedAtMs: nowMs,
});
