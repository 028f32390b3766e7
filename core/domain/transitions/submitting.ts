/** How a task is created, and how it becomes ready. */
import type { Priority, Requirement, Task, TaskBody, TaskTerms } from '../task/task.ts';
import { NO_KEPT_RESULTS } from '../task/kept-results.ts';
import { NOTHING_USED } from '../usage.ts';
import { GENERATION_ZERO, type AgentId, type TaskId } from '../ids.ts';
import { change, type Change, type EventDraft } from './change.ts';

/** A task as submitted, with all defaults filled in. */
export interface TaskDraft extends TaskTerms {
  readonly id: TaskId;
  readonly priority: Priority;
  readonly neededCapabilities: readonly string[];
  readonly assignTo: AgentId | null;
  readonly maxRetries: number;
  readonly dependsOn: readonly TaskId[];
  readonly body: TaskBody;
}

/** A requirement in canonical form: capabilities sorted, without repeats. */
export const requirementOf = (capabilities: readonly string[], assignTo: AgentId | null): Requirement => ({
  capabilities: [...new Set(capabilities)].sort(),
  assignTo,
});

/** A new task: blocked while a dependency is open, scheduled before its `runAt`, else queued. `submittedBy` is the id of the token. */
export function decideSubmit(draft: Omit<TaskDraft, 'body'>, submittedBy: string, dependenciesMet: boolean, nowMs: number): Change {
  const empty: Task = {
    id: draft.id,
    priority: draft.priority,
    status: 'queued',
    generation: GENERATION_ZERO,
    generationFloor: GENERATION_ZERO,
    requirement: requirementOf(draft.neededCapabilities, draft.assignTo),
    assignedTo: null,
    assignedAtMs: null,
    acceptedAtMs: null,
    deadlineAtMs: null,
    hushedAtMs: null,
    runDeadlineAtMs: null,
    wokenAtMs: null,
    resent: 0,
    progressCount: 0,
    round: 1,
    retryCount: 0,
    maxRetries: draft.maxRetries,
    handBacks: 0,
    parked: false,
    avoid: null,
    rejectedBy: [],
    takenBack: null,
    eligibleAtMs: null,
    expiresAtMs: null,
    completeByMs: draft.completeByMs,
    runAtMs: draft.runAtMs,
    ttlMs: draft.ttlMs,
    runMaxMs: draft.runMaxMs,
    dependsOn: draft.dependsOn,
    dependentsAfter: null,
    deadReason: null,
    lastError: null,
    usage: NOTHING_USED,
    session: null,
    outcomes: [],
    kept: NO_KEPT_RESULTS,
    submittedBy,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    eventSeq: 0,
  };
  return waitOrQueue(empty, { dependenciesMet, first: { event: 'submitted', details: { by: submittedBy } } }, nowMs);
}

/** Unblocks a task whose dependencies are all completed; null if it is not blocked. */
export const decideUnblock = (task: Task, nowMs: number): Change | null =>
  task.status === 'blocked' ? waitOrQueue(task, { dependenciesMet: true, first: null }, nowMs) : null;

/** Queues a scheduled task whose `runAt` has passed. */
export const decideDue = (task: Task, nowMs: number): Change | null =>
  task.status === 'scheduled' && (task.runAtMs ?? 0) <= nowMs ? change(task, queued(task, nowMs), nowMs, [{ event: 'eligible' }]) : null;

/** The next status of an unassigned task: blocked, scheduled or queued. `first` is the event that caused it. */
export function waitOrQueue(
  task: Task,
  how: { readonly dependenciesMet: boolean; readonly first: EventDraft | null },
  nowMs: number,
): Change {
  const before = how.first === null ? [] : [how.first];
  if (!how.dependenciesMet) {
    return change(task, { status: 'blocked', eligibleAtMs: null }, nowMs, [
      ...before,
      { event: 'blocked', details: { depends_on: task.dependsOn } },
    ]);
  }
  if (task.runAtMs !== null && task.runAtMs > nowMs) {
    return change(task, { status: 'scheduled', eligibleAtMs: null }, nowMs, [
      ...before,
      { event: 'scheduled', details: { run_at: task.runAtMs } },
    ]);
  }
  return change(task, queued(task, nowMs), nowMs, [...before, { event: 'eligible' }]);
}

/** `ttlMs` counts from the first time that the round is eligible. */
const queued = (task: Task, nowMs: number): Partial<Task> => ({
  status: 'queued',
  eligibleAtMs: nowMs,
  expiresAtMs: task.ttlMs === null ? null : nowMs + task.ttlMs,
});
