/** When a task is due for a sweep, and what the sweep decides. */
import type { Rules } from '../task/rules.ts';
import { isEnded, type Task } from '../task/task.ts';
import { notBefore } from './assigning.ts';
import { change, type Change } from './change.ts';
import { decideDue } from './submitting.ts';
import type { ReclaimReason } from './reclaim-reason.ts';
import { decideDeadline, decideExpire, decideReclaim } from './taking-back.ts';

/** The next time at which the task changes without a command; null: never. */
export function dueAtMs(task: Task, nowMs: number): number | null {
  switch (task.status) {
    case 'scheduled':
      return earlier(task.runAtMs, task.completeByMs);
    case 'blocked':
      return task.completeByMs;
    case 'queued':
      return earlier(
        earlier(task.expiresAtMs, task.completeByMs),
        !task.parked && task.eligibleAtMs !== null && task.eligibleAtMs > nowMs ? task.eligibleAtMs : null,
      );
    case 'assigned':
      return earlier(earlier(task.deadlineAtMs, task.runDeadlineAtMs), task.completeByMs);
    case 'completed':
      return task.dependentsAfter === null ? null : task.updatedAtMs;
    case 'cancelled':
    case 'dead_letter':
      return null;
  }
}

/** What a sweep knows besides the task. */
export interface SweepView {
  /** Whether the assignee is away, and its task's deadline is the end of that absence; meaningless for an unassigned task. */
  readonly agentAway: boolean;
  /** The end of the quiet period after a start, a jump of the clock or a storage outage. */
  readonly quietUntilMs: number;
  /** The length of a quiet period. Milliseconds. */
  readonly quietMs: number;
  /** How long the hub could receive nothing since the task's deadline was last postponed. Milliseconds. */
  readonly disturbedMs: number;
}

/** Whether a queued task is past its `ttlMs` or `completeByMs`: it is no longer assigned, even before a sweep ends it. */
export const isOver = (task: Task, nowMs: number): boolean =>
  task.status === 'queued' && (isPast(task.expiresAtMs, nowMs) || isPast(task.completeByMs, nowMs));

/** The change that is due at `nowMs`; null: none, though the task may be due again later. */
export function decideSweep(task: Task, view: SweepView, nowMs: number, rules: Rules): Change | null {
  if (isEnded(task)) return null;
  if (isPast(task.completeByMs, nowMs) && dueAtMs(task, nowMs) !== null) return decideDeadline(task, nowMs);
  if (task.status === 'queued' && isPast(task.expiresAtMs, nowMs)) return decideExpire(task, nowMs);
  if (task.status === 'scheduled') return decideDue(task, nowMs);
  if (task.status !== 'assigned') return null;
  if (!isPast(task.deadlineAtMs, nowMs) && !isPast(task.runDeadlineAtMs, nowMs)) return null;
  const untilMs = postponedUntilMs(task, view);
  if (untilMs > nowMs) return change(notBefore(task, untilMs), { hushedAtMs: movedOn(task, view, nowMs) }, nowMs, []);
  return reclaimed(task, reasonOf(task, view, nowMs), nowMs, rules);
}

/**
 * Until when a passed deadline is postponed. Each absence gets one quiet period in which the hub could receive frames throughout: a
 * later disturbance extends it only by its own length.
 */
const postponedUntilMs = ({ hushedAtMs }: Task, view: SweepView): number =>
  hushedAtMs === null ? view.quietUntilMs : Math.min(view.quietUntilMs, hushedAtMs + view.quietMs + view.disturbedMs);

/**
 * When its quiet period began, moved forward by the length of the disturbances. Kept in the row, because the next process of the hub knows
 * only its own disturbances and would mistake an outage before the last one for the agent's silence.
 */
const movedOn = (task: Task, { disturbedMs }: SweepView, nowMs: number): number =>
  task.hushedAtMs === null ? nowMs : task.hushedAtMs + disturbedMs;

const reclaimed = (task: Task, reason: ReclaimReason, nowMs: number, rules: Rules): Change | null => {
  const decided = decideReclaim(task, { reason, stop: true }, nowMs, rules);
  return decided.kind === 'changed' ? decided : null;
};

const reasonOf = (task: Task, view: SweepView, nowMs: number): ReclaimReason => {
  // A disconnected agent has until its deadline to return; its run may reach its limit before that.
  const isAway = view.agentAway && isPast(task.deadlineAtMs, nowMs);
  if (isAway) return 'disconnected';
  if (isPast(task.runDeadlineAtMs, nowMs)) return 'run_limit';
  return task.acceptedAtMs === null ? 'not_accepted' : 'lease_expired';
};

const isPast = (timeMs: number | null, nowMs: number): boolean => timeMs !== null && timeMs <= nowMs;

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
