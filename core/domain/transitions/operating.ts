/** What operators do with a task that waits for them. */
import { nextGeneration, type Generation } from '../ids.ts';
import { refuse } from '../task/refusal.ts';
import type { Task } from '../task/task.ts';
import { change, type Transition } from './change.ts';
import { waitOrQueue } from './submitting.ts';

/**
 * Retries a task from the dead-letter queue: a new round with no retry spent, a new `ttlMs`, and without a `completeBy` that has
 * passed; the generation continues to grow. A parked task is unparked in its current round.
 */
export function decideRetry(task: Task, by: string, dependenciesMet: boolean, nowMs: number): Transition {
  if (task.status === 'queued' && task.parked) {
    return change(task, { parked: false, handBacks: 0, eligibleAtMs: nowMs }, nowMs, [{ event: 'unparked', details: { by } }]);
  }
  if (task.status !== 'dead_letter') return refuse('invalid_state', task.generation);
  const fresh: Task = {
    ...task,
    generation: nextGeneration(task.generation),
    round: task.round + 1,
    retryCount: 0,
    handBacks: 0,
    avoid: null,
    rejectedBy: [],
    takenBack: null,
    deadReason: null,
    completeByMs: task.completeByMs !== null && task.completeByMs <= nowMs ? null : task.completeByMs,
  };
  return waitOrQueue(fresh, { dependenciesMet, first: { event: 'retried', details: { by } } }, nowMs);
}

/** Adopts a late result as the result of the task, if it has not been assigned since. `result` is JSON text. */
export function decideAdopt(
  task: Task,
  late: { readonly generation: Generation; readonly result: string; readonly by: string },
  nowMs: number,
): Transition {
  if (task.status !== 'queued' || task.takenBack?.generation !== late.generation) return refuse('invalid_state', task.generation);
  return change(
    task,
    { status: 'completed', eligibleAtMs: null, expiresAtMs: null, parked: false, lastError: null },
    nowMs,
    [
      { event: 'adopted', agentId: task.takenBack.agentId, generation: late.generation, details: { by: late.by } },
      { event: 'completed', agentId: task.takenBack.agentId, generation: late.generation },
    ],
    { result: late.result },
  );
}
