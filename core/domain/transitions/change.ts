/** What a transition answers: the task as it is after, and the events that tell of it. */
import type { PendingStop, StopReason } from '../agent/agent.ts';
import type { EventName, TaskEvent } from '../task/event.ts';
import type { AgentId, Generation } from '../ids.ts';
import type { Keeping } from '../task/kept-results.ts';
import type { Refusal } from '../task/refusal.ts';
import { OUTCOMES_KEPT, type Outcome, type Task } from '../task/task.ts';
import { isNoUsage, totalOf, usageFields, usageOfAttempt, withEnded, type TaskUsage } from '../usage.ts';

export interface Change {
  readonly kind: 'changed';
  readonly task: Task;
  readonly events: readonly TaskEvent[];
  /** The result to keep: JSON text. */
  readonly result: string | null;
  /** An agent that must be told to stop. */
  readonly stop: PendingStop | null;
  /** Results to keep apart, and such that go; null: none. */
  readonly keeping: Keeping | null;
}

export type Transition = Change | Refusal;

/** Whose frame it was. */
export interface Speaker {
  readonly agentId: AgentId;
  readonly session: number;
}

/** An event before it has its number. Task, time, and by default the task's own generation are filled in. */
export interface EventDraft {
  readonly event: EventName;
  readonly agentId?: AgentId | null;
  readonly generation?: Generation | null;
  readonly session?: number | null;
  readonly details?: Readonly<Record<string, unknown>> | null;
}

/** The task with `patch` applied and its events numbered. */
export function change(
  before: Task,
  patch: Partial<Task>,
  nowMs: number,
  drafts: readonly EventDraft[],
  more: { readonly result?: string; readonly stop?: PendingStop | null } = {},
): Change {
  const events = drafts.map((draft, index): TaskEvent => ({
    taskId: before.id,
    seq: before.eventSeq + index + 1,
    event: draft.event,
    atMs: nowMs,
    agentId: draft.agentId ?? null,
    generation: draft.generation ?? null,
    session: draft.session ?? null,
    details: draft.details ?? null,
  }));
  const next: Task = { ...before, ...patch, updatedAtMs: nowMs, eventSeq: before.eventSeq + drafts.length };
  const usage = usageAfter(before, next);
  const task = usage === next.usage ? next : { ...next, usage };
  return { kind: 'changed', task, events, result: more.result ?? null, stop: more.stop ?? null, keeping: null };
}

/** An attempt that had begun and ends without a word of what it used leaves the sums incomplete. Of a task that is completed and has none, nothing is noted. */
function usageAfter(before: Task, { status, usage }: Task): TaskUsage {
  const isEnd = before.status === 'assigned' && status !== 'assigned' && before.wokenAtMs !== null;
  if (!isEnd || (status === 'completed' && isNoUsage(totalOf(usage)))) return usage;
  return withEnded(usage, before.generation);
}

/** Two changes, one after the other, as one. */
export const joined = (first: Change, second: Change): Change => ({
  kind: 'changed',
  task: second.task,
  events: [...first.events, ...second.events],
  result: second.result ?? first.result,
  stop: second.stop ?? first.stop,
  keeping: second.keeping ?? first.keeping,
});

/** An assignment that its agent has not accepted. */
export const NOT_BEGUN = {
  acceptedAtMs: null,
  runDeadlineAtMs: null,
  wokenAtMs: null,
  resent: 0,
  progressCount: 0,
} as const satisfies Partial<Task>;

/** A task that nobody has. */
export const UNASSIGNED = {
  assignedTo: null,
  assignedAtMs: null,
  deadlineAtMs: null,
  hushedAtMs: null,
  ...NOT_BEGUN,
} as const satisfies Partial<Task>;

/** The task's outcomes with one more. */
export const withOutcome = (task: Task, outcome: Outcome): readonly Outcome[] => [...task.outcomes, outcome].slice(-OUTCOMES_KEPT);

/** The event of an attempt's end, with what that attempt is known to have used. */
export function withUsage(event: EventDraft, usage: TaskUsage, generation: Generation): EventDraft {
  const used = usageOfAttempt(usage, generation);
  return isNoUsage(used) ? event : { ...event, details: { ...event.details, usage: usageFields(used) } };
}

/** The order to stop the current assignment of a live task. */
export const stopOf = (task: Task, agentId: AgentId, reason: StopReason, nowMs: number): PendingStop => ({
  agentId,
  taskId: task.id,
  generation: task.generation,
  reason,
  requestedAtMs: nowMs,
  sentAtMs: null,
});
