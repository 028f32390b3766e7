/** What happens to a task whose assignment ended without a result: another try, the dead letter, or waiting for a person. */
import { backoffMs } from '../backoff.ts';
import { nextGeneration } from '../ids.ts';
import { HAND_BACKS_MAX, type Rules } from '../task/rules.ts';
import type { DeadReason, Task } from '../task/task.ts';
import { change, UNASSIGNED, withUsage, type Change, type EventDraft } from './change.ts';

/** An accepted attempt that failed or was lost: counted, and bounded by `maxRetries`. */
export function lostAttempt(
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
    return deadLettered(task, why.notRetryable ? 'not_retryable' : 'retries_spent', [event], nowMs, common);
  }
  const eligibleAtMs = nowMs + backoffMs(rules.backoff, retryCount);
  return change(task, { ...UNASSIGNED, ...common, status: 'queued', generation: nextGeneration(task.generation), eligibleAtMs }, nowMs, [
    { ...event, details: { ...event.details, retry_at: eligibleAtMs } },
  ]);
}

/** An assignment that ended before acceptance or was handed back: spends no retry, but ten in a row park the task. */
export function handedBack(task: Task, end: EventDraft, nowMs: number, rules: Rules): Change {
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

/** The dead letter, with the event that led there first. A live assignment is taken back with it. */
export function deadLettered(task: Task, reason: DeadReason, first: readonly EventDraft[], nowMs: number, patch: Partial<Task>): Change {
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
