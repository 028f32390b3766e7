/** Reclaims and cancellations by the hub: lost assignments, missed deadlines, cancelled tasks. */
import type { PendingStop } from '../agent/agent.ts';
import { nextGeneration, type Generation } from '../ids.ts';
import { withRefusal } from '../task/kept-results.ts';
import { refuse } from '../task/refusal.ts';
import type { Rules } from '../task/rules.ts';
import { isEnded, type Task } from '../task/task.ts';
import { RECLAIM_REASONS, type ReclaimReason } from './reclaim-reason.ts';
import { deadLetter, handBack, endAttempt } from './retrying.ts';
import {
  change,
  mergeChanges,
  stopOf,
  UNASSIGNED,
  withUsage,
  type Change,
  type EventDraft,
  type Reporter,
  type Transition,
} from './change.ts';

/**
 * Reclaims a live assignment. An accepted one uses up a retry, an unaccepted one does not. With `stop` its agent is sent a stop, and
 * its slot stays taken until the agent confirms. `sent`: how often the assignment was sent, if that is the reason.
 */
export function decideReclaim(
  task: Task,
  why: { readonly reason: ReclaimReason; readonly stop: boolean; readonly sent?: number },
  nowMs: number,
  rules: Rules,
): Transition {
  const agentId = task.assignedTo;
  if (task.status !== 'assigned' || agentId === null) return refuse('invalid_state', task.generation);
  const stop = why.stop ? stopOf(task, agentId, 'reclaimed', nowMs) : null;
  const event: EventDraft = {
    event: task.acceptedAtMs === null ? 'reclaimed' : 'lost',
    agentId,
    generation: task.generation,
    details: { reason: why.reason, ...(why.sent === undefined ? {} : { sent: why.sent }) },
  };
  const after =
    task.acceptedAtMs === null
      ? handBack(task, event, nowMs, rules)
      : endAttempt(task, event, { error: RECLAIM_REASONS[why.reason], notRetryable: false }, nowMs, rules);
  const takenBack = { agentId, generation: task.generation };
  return withStop({ ...after, task: { ...after.task, takenBack } }, stop, nowMs);
}

/**
 * The store was rolled back: a sidecar holds a generation above the stored one, so the stored one is raised above it. A live
 * assignment is reclaimed first, since its reports would be fenced off.
 */
export function decideRaise(
  task: Task,
  held: { readonly generation: Generation; readonly by: Reporter },
  nowMs: number,
  rules: Rules,
): Change {
  const taken = decideReclaim(task, { reason: 'store_rolled_back', stop: true }, nowMs, rules);
  const raisedTo = nextGeneration(held.generation);
  const details = { reason: 'store_rolled_back', raised_to: raisedTo };
  const { kept } = withRefusal(task.kept, held.by.agentId);
  const raised = change(taken.kind === 'changed' ? taken.task : task, { generation: raisedTo, kept }, nowMs, [
    { event: 'report_refused', agentId: held.by.agentId, generation: held.generation, session: held.by.session, details },
  ]);
  return taken.kind === 'changed' ? mergeChanges(taken, raised) : raised;
}

/** Cancels a task that has not ended; a running agent is sent a stop. */
export function decideCancel(task: Task, by: string, nowMs: number): Transition {
  if (isEnded(task)) return refuse('invalid_state', task.generation);
  const stop = task.status === 'assigned' && task.assignedTo !== null ? stopOf(task, task.assignedTo, 'cancelled', nowMs) : null;
  const cancelled = change(
    task,
    {
      ...UNASSIGNED,
      status: 'cancelled',
      generation: nextGeneration(task.generation),
      eligibleAtMs: null,
      expiresAtMs: null,
      parked: false,
    },
    nowMs,
    [{ event: 'cancelled', agentId: task.assignedTo, generation: task.generation, details: { by } }],
  );
  return withStop(cancelled, stop, nowMs);
}

/** `completeBy` has passed: dead-lettered without a retry; a running agent is sent a stop. */
export function decideDeadline(task: Task, nowMs: number): Change {
  const stop = task.status === 'assigned' && task.assignedTo !== null ? stopOf(task, task.assignedTo, 'deadline', nowMs) : null;
  return withStop(deadLetter(task, 'deadline', [], nowMs, { lastError: 'deadline' }), stop, nowMs);
}

/** `ttlMs`, or `REJECTED_WAIT_MS` after a rejection by a policy, has passed before the task was accepted in this round. */
export const decideExpire = (task: Task, nowMs: number): Change =>
  task.rejectedBy.length === 0
    ? deadLetter(task, 'ttl', [{ event: 'expired' }], nowMs, { lastError: 'ttl' })
    : deadLetter(task, 'rejected', [{ event: 'expired' }], nowMs, {});

const withStop = (done: Change, stop: PendingStop | null, nowMs: number): Change => {
  if (stop === null) return done;
  const requested = change(done.task, {}, nowMs, [
    withUsage(
      { event: 'stop_requested', agentId: stop.agentId, generation: stop.generation as Generation, details: { reason: stop.reason } },
      done.task.usage,
      stop.generation as Generation,
    ),
  ]);
  return { ...done, task: requested.task, events: [...done.events, ...requested.events], stop };
};
