/** How a task is created, and how it becomes ready. */
import type { Priority, Requirement, Task, TaskBody, TaskTerms } from '../task/task.ts';
import { NO_KEPT_RESULTS } from '../task/kept-results.ts';
import { NOTHING_USED } from '../usage.ts';
import { GENERATION_ZERO, type AgentId, type TaskId } from '../ids.ts';
import { change, eventOf, type Change, type EventDraft } from './change.ts';

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
const requirementOf = (capabilities: readonly string[], assignTo: AgentId | null): Requirement => ({
  capabilities: capabilities.length < 2 ? capabilities : [...new Set(capabilities)].sort(),
  assignTo,
});

/**
 * A new task: blocked while a dependency is open, scheduled before its `runAt`, else queued. `submittedBy` is the id of the token; `id`: its
 * ID, if not that of the draft. Built in one step, because a copy of a task costs as much as everything else here.
 */
export function decideSubmit(
  draft: Omit<TaskDraft, 'body'>,
  submittedBy: string,
  dependenciesMet: boolean,
  nowMs: number,
  id: TaskId = draft.id,
): Change {
  const { patch, event } = waitOf(draft, dependenciesMet, nowMs);
  const submitted: EventDraft = { event: 'submitted', details: { by: submittedBy } };
  const events = [eventOf(submitted, id, 1, nowMs), eventOf(event, id, 2, nowMs)];
  const task: Task = {
    id,
    priority: draft.priority,
    status: patch.status,
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
    eligibleAtMs: patch.eligibleAtMs,
    expiresAtMs: patch.expiresAtMs ?? null,
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
    eventSeq: events.length,
  };
  return { kind: 'changed', task, events, result: null, stop: null, keptResults: null };
}

/** Whether the task may come from this draft, judged by what is not in its body. An operator's retry, with which a round begins, drops a `completeBy` that has passed. */
export const isSubmitOf = (task: Task, draft: Omit<TaskDraft, 'body'>): boolean =>
  task.priority === draft.priority &&
  task.maxRetries === draft.maxRetries &&
  (task.completeByMs === draft.completeByMs || (task.completeByMs === null && task.round > 1)) &&
  task.runAtMs === draft.runAtMs &&
  task.ttlMs === draft.ttlMs &&
  task.runMaxMs === draft.runMaxMs &&
  JSON.stringify([task.dependsOn, task.requirement.assignTo, task.requirement.capabilities]) ===
    JSON.stringify([draft.dependsOn, draft.assignTo, requirementOf(draft.neededCapabilities, draft.assignTo).capabilities]);

/** Unblocks a task whose dependencies are all completed; null if it is not blocked. */
export const decideUnblock = (task: Task, nowMs: number): Change | null =>
  task.status === 'blocked' ? waitOrQueue(task, { dependenciesMet: true, first: null }, nowMs) : null;

/** Queues a scheduled task whose `runAt` has passed. */
export const decideDue = (task: Task, nowMs: number): Change | null =>
  task.status === 'scheduled' && (task.runAtMs ?? 0) <= nowMs ? change(task, queued(task, nowMs), nowMs, [ELIGIBLE]) : null;

/** The next status of an unassigned task: blocked, scheduled or queued. `first` is the event that caused it. */
export function waitOrQueue(
  task: Task,
  how: { readonly dependenciesMet: boolean; readonly first: EventDraft | null },
  nowMs: number,
): Change {
  const { patch, event } = waitOf(task, how.dependenciesMet, nowMs);
  return change(task, patch, nowMs, how.first === null ? [event] : [how.first, event]);
}

/** What a task waits for now: the fields that say so, and the event. */
interface Wait {
  readonly patch: Pick<Task, 'status' | 'eligibleAtMs'> & { readonly expiresAtMs?: number | null };
  readonly event: EventDraft;
}

function waitOf(task: Pick<Task, 'dependsOn' | 'runAtMs' | 'ttlMs'>, dependenciesMet: boolean, nowMs: number): Wait {
  if (!dependenciesMet)
    return { patch: { status: 'blocked', eligibleAtMs: null }, event: { event: 'blocked', details: { depends_on: task.dependsOn } } };
  if (task.runAtMs !== null && task.runAtMs > nowMs)
    return { patch: { status: 'scheduled', eligibleAtMs: null }, event: { event: 'scheduled', details: { run_at: task.runAtMs } } };
  return { patch: queued(task, nowMs), event: ELIGIBLE };
}

const ELIGIBLE: EventDraft = { event: 'eligible' };

/** `ttlMs` counts from the first time that the round is eligible. */
const queued = ({ ttlMs }: Pick<Task, 'ttlMs'>, nowMs: number): Wait['patch'] => ({
  status: 'queued',
  eligibleAtMs: nowMs,
  expiresAtMs: ttlMs === null ? null : nowMs + ttlMs,
});
