/** What follows an assignment that ended without a result: a retry, the dead-letter queue, or parking. */
import { backoffMs } from '../backoff.ts';
import { nextGeneration } from '../ids.ts';
import { HAND_BACKS_MAX, type Rules } from '../task/rules.ts';
import type { DeadReason, Task } from '../task/task.ts';
import { change, UNASSIGNED, withUsage, type Change, type EventDraft } from './change.ts';

/** An accepted attempt failed or was lost: uses up a retry, bounded by `maxRetries`. */
export function endAttempt(
  task: Task,
  end: EventDraft,
  why: { readonly error: string; readonly notRetryable: boolean },
  nowMs: number,
  rules: Rules,
): Change {
  const event = withUsage(end, task.usage, task.generation);
  const retryCount = task.retryCount + 1;
  const common = { retryCount, handBacks: 0, lastError: why.error, avoid: task.assignedTo };
  if (why.notRetryable || retryCount > task.maxRetries) {
    return deadLetter(task, why.notRetryable ? 'not_retryable' : 'retries_spent', [event], nowMs, common);
  }
  const eligibleAtMs = nowMs + backoffMs(rules.backoff, retryCount);
  return change(task, { ...UNASSIGNED, ...common, status: 'queued', generation: nextGeneration(task.generation), eligibleAtMs }, nowMs, [
    { ...event, details: { ...event.details, retry_at: eligibleAtMs } },
  ]);
}

/** An assignment ended before acceptance or was released: uses up no retry, but `HAND_BACKS_MAX` in a row park the task. */
export function handBack(task: Task, end: EventDraft, nowMs: number, rules: Rules): Change {
  const event = withUsage(end, task.usage, task.generation);
  const handBacks = task.handBacks + 1;
  const parked = handBacks >= HAND_BACKS_MAX;
  const eligibleAtMs = nowMs + backoffMs(rules.backoff, handBacks);
  return change(
    task,
    {
      ...UNASSIGNED,
      status: 'queued',
      generation: nextGeneration(task.generation),
      handBacks,
      parked,
      eligibleAtMs,
      avoid: task.assignedTo,
    },
    nowMs,
    parked ? [event, { event: 'parked', details: { hand_backs: handBacks } }] : [event],
  );
}

/** Moves the task to the dead-letter queue; `first` are the events that led there. Also reclaims a live assignment. */
export function deadLetter(task: Task, reason: DeadReason, first: readonly EventDraft[], nowMs: number, patch: Partial<Task>): Change {
  return change(
    task,
    {
      ...UNASSIGNED,
      ...patch,
      status: 'dead_letter',
      deadReason: reason,
      parked: false,
      expiresAtMs: null,
      eligibleAtMs: null,
      generation: task.status === 'assigned' ? nextGeneration(task.generation) : task.generation,
    },
    nowMs,
    [...first, { event: 'dead_lettered', details: { reason } }],
  );
}
