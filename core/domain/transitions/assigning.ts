/** Assigns a task to an agent: the only place where a new assignment, with its generation, is made. */
import { GENERATION_ZERO, nextGeneration, type AgentId, type Generation } from '../ids.ts';
import { refuse } from '../task/refusal.ts';
import type { Rules } from '../task/rules.ts';
import type { Task, TaskSession } from '../task/task.ts';
import { change, NOT_BEGUN, type Change, type EventDraft, type Transition } from './change.ts';

/**
 * Assigns a queued task to `agentId`: its generation grows by one, and acceptance is due in `acceptMs`. The session of the previous
 * attempt is kept only if the task goes to the same machine.
 */
export function decideAssign(
  task: Task,
  to: { readonly agentId: AgentId; readonly session: number; readonly instanceId?: string | null },
  nowMs: number,
  rules: Rules,
): Transition {
  if (task.status !== 'queued' || task.parked) return refuse('invalid_state', task.generation);
  const generation = nextGeneration(Math.max(task.generation, task.generationFloor) as Generation);
  return change(
    task,
    {
      status: 'assigned',
      generation,
      generationFloor: GENERATION_ZERO,
      assignedTo: to.agentId,
      assignedAtMs: nowMs,
      deadlineAtMs: nowMs + rules.acceptMs,
      hushedAtMs: null,
      takenBack: null,
      session: isOfMachine(task.session, to) ? task.session : null,
      // The last: Node 20 takes a microsecond for each field that follows a spread.
      ...NOT_BEGUN,
    },
    nowMs,
    [{ event: 'assigned', agentId: to.agentId, generation, session: to.session }],
  );
}

const isOfMachine = (session: TaskSession | null, to: { readonly agentId: AgentId; readonly instanceId?: string | null }): boolean =>
  session !== null && session.agentId === to.agentId && session.instanceId === to.instanceId;

/** Moves the acceptance or lease deadline. No event. */
const withDeadline = (task: Task, deadlineAtMs: number): Task => ({ ...task, deadlineAtMs, hushedAtMs: null });

/** Postpones the deadlines of a live task, the run deadline included, to `timeMs` at least. */
export const notBefore = (task: Task, timeMs: number): Task => ({
  ...task,
  deadlineAtMs: Math.max(task.deadlineAtMs ?? timeMs, timeMs),
  runDeadlineAtMs: task.runDeadlineAtMs === null ? null : Math.max(task.runDeadlineAtMs, timeMs),
});

/**
 * The agent of a live task has until `untilMs` to return. Its sidecar stops a run at its limit but cannot report that meanwhile, so
 * the run deadline is postponed too, but never beyond `runUntilMs`: reconnects must not postpone it forever.
 */
export const absent = (task: Task, until: { readonly untilMs: number; readonly runUntilMs: number }): Task => ({
  ...task,
  deadlineAtMs: until.untilMs,
  hushedAtMs: null,
  runDeadlineAtMs: task.runDeadlineAtMs === null ? null : Math.max(task.runDeadlineAtMs, Math.min(until.untilMs, until.runUntilMs)),
});

/** When an accepted run exceeds its limit, including the time for its sidecar to report that. */
export const runEndMs = (task: Task, acceptedAtMs: number, rules: Rules): number =>
  acceptedAtMs + (task.runMaxMs ?? rules.runMaxMs) + rules.runMarginMs;

/** The agent of a live task is back and continues: starts a new lease or accept deadline. */
export const resumedDeadline = (task: Task, nowMs: number, rules: Rules): Task =>
  withDeadline(task, nowMs + (task.acceptedAtMs === null ? rules.acceptMs : rules.leaseMs));

/** Acceptance starts the lease; from now on the round can no longer expire unstarted. */
export function acceptance(task: Task, session: number | null, nowMs: number, rules: Rules): Change {
  return change(
    task,
    {
      acceptedAtMs: nowMs,
      resent: 0,
      deadlineAtMs: nowMs + rules.leaseMs,
      hushedAtMs: null,
      runDeadlineAtMs: runEndMs(task, nowMs, rules),
      expiresAtMs: null,
    },
    nowMs,
    [acceptedEvent(task, session)],
  );
}

export const acceptedEvent = (task: Task, session: number | null): EventDraft => ({
  event: 'accepted',
  agentId: task.assignedTo,
  generation: task.generation,
  session,
});
