import type { TaskId } from '../../../domain/ids.ts';
import type { TaskEvent } from '../../../domain/task/event.ts';

/**
 * The same events, except that one that involves no agent, such as `eligible`, is moved to just before the next event of its task, so that
 * a store can keep both together. All others stay in the order in which they happened, so a reader sees what an agent did in that order.
 */
export function groupedByTask(events: readonly TaskEvent[]): readonly TaskEvent[] {
  const lastOf = new Map(events.map(({ taskId }, place) => [taskId, place]));
  if (lastOf.size === events.length) return events;
  const waiting = new Map<TaskId, TaskEvent[]>();
  const grouped: TaskEvent[] = [];
  events.forEach((event, place) => {
    const before = waiting.get(event.taskId);
    if (event.agentId === null && event.session === null && lastOf.get(event.taskId) !== place) {
      if (before === undefined) waiting.set(event.taskId, [event]);
      else before.push(event);
      return;
    }
    if (before !== undefined) {
      grouped.push(...before);
      waiting.delete(event.taskId);
    }
    grouped.push(event);
  });
  return grouped;
}
