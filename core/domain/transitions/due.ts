/** When the sweeper must look at a task, and what it decides then. */
import type { Rules } from '../task/rules.ts';
import { isEnded, type Task } from '../task/task.ts';
import { notBefore } from './assigning.ts';
import { change, type Change } from './change.ts';
import { decideDue } from './submitting.ts';
import { decideDeadline, decideExpire, decideReclaim, type ReclaimReason } from './taking-back.ts';

/** The next time at which something about the task changes by itself; null: never. */
export function dueAtMs(task: Task, nowMs: number): number | null {
  switch (task.status) {
    case 'scheduled':
      return earliest(task.runAtMs, task.completeByMs);
    case 'blocked':
      return task.completeByMs;
    case 'queued':
      return earliest(
        task.expiresAtMs,
        task.completeByMs,
        !task.parked && task.eligibleAtMs !== null && task.eligibleAtMs > nowMs ? task.eligibleAtMs : null,
      );
    case 'assigned':
      return earliest(task.deadlineAtMs, task.runDeadlineAtMs, task.completeByMs);
    case 'completed':
      return task.dependentsAfter === null ? null : task.updatedAtMs;
    case 'cancelled':
    case 'dead_letter':
      return null;
  }
}

/** What the sweeper knows beside the task. */
export interface SweepView {
  /** The assignee is connected now; meaningless for a task that nobody has. */
  readonly agentConnected: boolean;
  /** Silence counts only from this time on (just after a start, a jump of the clock, an outage of the storage). */
  readonly silenceCountsFromMs: number;
  /** How long a quiet time lasts. Milliseconds. */
  readonly quietMs: number;
  /** How long the hub could hear nobody since the task's deadline was first put off (`hushedAtMs`). Milliseconds. */
  readonly deafMs: number;
}

/** Whether a queued task is past its `ttlMs` or `completeByMs`: it is not assigned any more, even before a sweep has ended it. */
export const isOver = (task: Task, nowMs: number): boolean =>
  task.status === 'queued' && (isPast(task.expiresAtMs, nowMs) || isPast(task.completeByMs, nowMs));

/** What is due of a task at `nowMs`; null when nothing is, except that it is to be looked at again later. */
export function decideSweep(task: Task, view: SweepView, nowMs: number, rules: Rules): Change | null {
  if (isEnded(task)) return null;
  if (isPast(task.completeByMs, nowMs) && dueAtMs(task, nowMs) !== null) return decideDeadline(task, nowMs);
  if (task.status === 'queued' && isPast(task.expiresAtMs, nowMs)) return decideExpire(task, nowMs);
  if (task.status === 'scheduled') return decideDue(task, nowMs);
  if (task.status !== 'assigned') return null;
  if (!isPast(task.deadlineAtMs, nowMs) && !isPast(task.runDeadlineAtMs, nowMs)) return null;
  const untilMs = quietUntilMs(task, view);
  if (untilMs > nowMs) return change(notBefore(task, untilMs), { hushedAtMs: task.hushedAtMs ?? nowMs }, nowMs, []);
  return reclaimed(task, reasonOf(task, view, nowMs), nowMs, rules);
}

/**
 * Until when the silence of a task's agent does not count, though its deadline is over. Each absence has one quiet time, in which
 * the agent could be heard all the time: a later disturbance puts it off by no more than it took itself.
 */
const quietUntilMs = ({ hushedAtMs }: Task, view: SweepView): number =>
  hushedAtMs === null ? view.silenceCountsFromMs : Math.min(view.silenceCountsFromMs, hushedAtMs + view.quietMs + view.deafMs);

const reclaimed = (task: Task, reason: ReclaimReason, nowMs: number, rules: Rules): Change | null => {
  const decided = decideReclaim(task, { reason, stop: true }, nowMs, rules);
  return decided.kind === 'changed' ? decided : null;
};

const reasonOf = (task: Task, view: SweepView, nowMs: number): ReclaimReason => {
  // Who is away has until its deadline to come back; a run may be over its limit before that.
  const isAway = !view.agentConnected && isPast(task.deadlineAtMs, nowMs);
  if (isAway) return 'disconnected';
  if (isPast(task.runDeadlineAtMs, nowMs)) return 'run_limit';
  return task.acceptedAtMs === null ? 'not_accepted' : 'lease_expired';
};

const isPast = (timeMs: number | null, nowMs: number): boolean => timeMs !== null && timeMs <= nowMs;

const earliest = (...times: readonly (number | null)[]): number | null => {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
};
