/** What the hub or a person takes back: lost and silent assignments, cancelled tasks, passed deadlines. */
import type { PendingStop } from '../agent/agent.ts';
import { nextGeneration, type Generation } from '../ids.ts';
import { withRefusal } from '../task/kept-results.ts';
import { refuse } from '../task/refusal.ts';
import type { Rules } from '../task/rules.ts';
import { isEnded, type Task } from '../task/task.ts';
import { deadLettered, handedBack, lostAttempt } from './again.ts';
import { change, joined, stopOf, UNASSIGNED, withUsage, type Change, type EventDraft, type Speaker, type Transition } from './change.ts';

/** Why the hub takes an assignment back. */
export type ReclaimReason =
  | 'not_accepted'
  | 'lease_expired'
  | 'disconnected'
  | 'run_limit'
  /** The agent itself said that it does not have it, or not any more. */
  | 'not_held'
  | 'lost'
  | 'recovering'
  /** Its sidecar restarted again before it accepted it. */
  | 'sidecar_restarted'
  | 'store_rolled_back';

/**
 * Takes a live assignment back. An accepted one spends a retry, one that was never accepted does not. With `stop` its
 * agent is told, and its slot stays taken until it has confirmed. `sent`: how often it was sent, where that is why.
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
  const told: EventDraft = {
    event: task.acceptedAtMs === null ? 'reclaimed' : 'lost',
    agentId,
    generation: task.generation,
    details: { reason: why.reason, ...(why.sent === undefined ? {} : { sent: why.sent }) },
  };
  const after =
    task.acceptedAtMs === null
      ? handedBack(task, told, nowMs, rules)
      : lostAttempt(task, told, { error: why.reason, notRetryable: false }, nowMs, rules);
  const takenBack = { agentId, generation: task.generation };
  return withStop({ ...after, task: { ...after.task, takenBack } }, stop, nowMs);
}

/**
 * The store was rolled back: a sidecar holds a generation that it never gave out, so the task's own is raised above it. A
 * live assignment is taken back first: nobody could report on it any more.
 */
export function decideRaise(
  task: Task,
  held: { readonly generation: Generation; readonly by: Speaker },
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
  return taken.kind === 'changed' ? joined(taken, raised) : raised;
}

/** Cancels what has not ended; a running agent is told to stop. */
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

/** `completeBy` has passed: the dead letter without a retry, a running agent is told to stop. */
export function decideDeadline(task: Task, nowMs: number): Change {
  const stop = task.status === 'assigned' && task.assignedTo !== null ? stopOf(task, task.assignedTo, 'deadline', nowMs) : null;
  return withStop(deadLettered(task, 'deadline', [], nowMs, { lastError: 'deadline' }), stop, nowMs);
}

/** `ttlMs` is over and nobody accepted the task in this round. */
export const decideExpire = (task: Task, nowMs: number): Change =>
  deadLettered(task, 'ttl', [{ event: 'expired' }], nowMs, { lastError: 'ttl' });

const withStop = (done: Change, stop: PendingStop | null, nowMs: number): Change => {
  if (stop === null) return done;
  const told = change(done.task, {}, nowMs, [
    withUsage(
      { event: 'stop_requested', agentId: stop.agentId, generation: stop.generation as Generation, details: { reason: stop.reason } },
      done.task.usage,
      stop.generation as Generation,
    ),
  ]);
  return { ...done, task: told.task, events: [...done.events, ...told.events], stop };
};
