/** Which batches a database cannot refuse. */
import type { TaskEvent } from '../../../core/domain/task/event.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { SavedRows } from '../engine.ts';

/**
 * Whether the database must accept these changes if all new tasks and idempotency keys are really new: every changed task exists, and every
 * event is new. `taskOf`: a stored task, if it is known.
 */
export function isCertain(
  { insertTasks, updateTasks }: SavedRows,
  events: readonly TaskEvent[],
  taskOf: (id: TaskId) => Task | undefined,
): boolean {
  const inserted = new Set<TaskId>(insertTasks.map(({ id }) => id));
  if (inserted.size < insertTasks.length) return false;
  for (const { id } of updateTasks) if (!inserted.has(id) && taskOf(id) === undefined) return false;
  for (const { taskId, seq } of events) if (!inserted.has(taskId) && !(seq > (taskOf(taskId)?.eventSeq ?? Infinity))) return false;
  return true;
}
