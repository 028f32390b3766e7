import type { TaskId } from '../../../domain/ids.ts';
import type { TaskEvent } from '../../../domain/task/event.ts';

/**
 * The same events, but one that no agent has to do with, such as `eligible`, waits for the next of its task, so that a store can keep both
 * together. All others stay in the order in which they happened: who reads them sees what an agent does as it did it.
 */
export function groupedByTask(events: readonly TaskEvent[]): readonly TaskEvent[] {
  const lastOf = new Map(events.map(({ taskId }, place) => [taskId, place]));
  if (lastOf.size === events.length) return events;
  const waiting = new Map<TaskId, TaskEvent[]>();
  const grouped: TaskEvent[] = [];
  for (const [place, event] of events.entries()) {
    const before = waiting.get(event.taskId) ?? [];
    before.push(event);
    if (event.agentId === null && event.session === null && lastOf.get(event.taskId) !== place) waiting.set(event.taskId, before);
    else {
      grouped.push(...before);
      waiting.delete(event.taskId);
    }
  }
  return grouped;
}
