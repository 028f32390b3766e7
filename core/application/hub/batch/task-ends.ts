/** The tasks that ended in a batch, for the log. */
import type { AgentId, Generation, TaskId } from '../../../domain/ids.ts';
import type { EventName } from '../../../domain/task/event.ts';
import type { Status, Task } from '../../../domain/task/task.ts';
import type { Change } from '../../../domain/transitions/change.ts';
import type { Log } from '../../../ports/log.ts';

export interface TaskEnd {
  readonly taskId: TaskId;
  readonly outcome: Status;
  /** The agent that had it; null: none. */
  readonly agentId: AgentId | null;
  /** Of its last assignment. */
  readonly generation: Generation;
  /** Since its last assignment, milliseconds; null if it was not assigned. */
  readonly ranMs: number | null;
  /** Since its submit, milliseconds. */
  readonly totalMs: number;
}

const ENDS: ReadonlySet<EventName> = new Set(['completed', 'dead_lettered', 'cancelled']);

/** The end of the task; null: this change does not end it. */
export function endOf(before: Task | undefined, { task, events }: Change): TaskEnd | null {
  const end = events.findLast(({ event }) => ENDS.has(event));
  if (end === undefined) return null;
  const fromMs = before?.assignedAtMs ?? null;
  const ranMs = fromMs === null ? null : end.atMs - fromMs;
  // A change that takes the task back has already raised its generation. A late result completes a task that no agent
  // has any more.
  const { generation } = before ?? task;
  const agentId = before?.assignedTo ?? task.assignedTo;
  return { taskId: task.id, outcome: task.status, agentId, generation, ranMs, totalMs: end.atMs - task.createdAtMs };
}

/** One line for each, at level info. */
export function logEnds(ends: readonly TaskEnd[], log: Log): void {
  for (const { taskId, outcome, agentId, generation, ranMs, totalMs } of ends)
    log.info('a task ended', { task_id: taskId, outcome, agent_id: agentId, generation, ran_ms: ranMs, total_ms: totalMs });
}
