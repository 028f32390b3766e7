/** Giving a task to an agent: the one place where a new assignment, and so a generation to run under, is made. */
import { GENERATION_ZERO, nextGeneration, type AgentId, type Generation } from '../ids.ts';
import { refuse } from '../task/refusal.ts';
import type { Rules } from '../task/rules.ts';
import type { Task, TaskSession } from '../task/task.ts';
import { change, NOT_BEGUN, type Change, type Transition } from './change.ts';

/**
 * Gives a queued task to `agentId`: its generation grows by one, acceptance is due in `acceptMs`. The session of the
 * attempt before goes with it to the machine that has it, and to no other.
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
      ...NOT_BEGUN,
    },
    nowMs,
    [{ event: 'assigned', agentId: to.agentId, generation, session: to.session }],
  );
}

const isOfMachine = (session: TaskSession | null, to: { readonly agentId: AgentId; readonly instanceId?: string | null }): boolean =>
  session !== null && session.agentId === to.agentId && session.instanceId === to.instanceId;

/** The task with its acceptance or lease deadline moved; nothing happened to it, so there is no event. */
export const withDeadline = (task: Task, deadlineAtMs: number): Task => ({ ...task, deadlineAtMs, hushedAtMs: null });

/** The live task with its deadlines, the run's own included, moved where they are earlier: nothing of it ends before `timeMs`. */
export const notBefore = (task: Task, timeMs: number): Task => ({
  ...task,
  deadlineAtMs: Math.max(task.deadlineAtMs ?? timeMs, timeMs),
  runDeadlineAtMs: task.runDeadlineAtMs === null ? null : Math.max(task.runDeadlineAtMs, timeMs),
});

/**
 * The agent of a live task is away until `untilMs`, at most. Its sidecar ends a run that is over its limit, and cannot say so
 * meanwhile: the run's own deadline waits too, but never beyond `runUntilMs`, or reconnects could put it off without end.
 */
export const absent = (task: Task, until: { readonly untilMs: number; readonly runUntilMs: number }): Task => ({
  ...task,
  deadlineAtMs: until.untilMs,
  hushedAtMs: null,
  runDeadlineAtMs: task.runDeadlineAtMs === null ? null : Math.max(task.runDeadlineAtMs, Math.min(until.untilMs, until.runUntilMs)),
});

/** When an accepted run has lasted too long, its sidecar's time to report that included. */
export const runEndMs = (task: Task, acceptedAtMs: number, rules: Rules): number =>
  acceptedAtMs + (task.runMaxMs ?? rules.runMaxMs) + rules.runMarginMs;

/** The agent of a live task is back and goes on with it: its deadline is counted anew. */
export const resumedDeadline = (task: Task, nowMs: number, rules: Rules): Task =>
  withDeadline(task, nowMs + (task.acceptedAtMs === null ? rules.acceptMs : rules.leaseMs));

/** Acceptance: from here on the lease counts, and the round can no longer expire unstarted. */
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
    [{ event: 'accepted', agentId: task.assignedTo, generation: task.generation, session }],
  );
}
