/**
 * Reconciliation with a returning sidecar: it lists all assignments that it holds, and the hub answers each. `abort` ends a
 * run, never a report.
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';
import { withRefusal } from './kept-results.ts';
import type { Task } from './task.ts';

/** The status of an assignment on its sidecar, as reported at identify. `unknown`: its journal does not show it. */
export const HELD_STATUSES = ['accepted', 'waking', 'waking_confirmation', 'working', 'reporting', 'unknown'] as const;
export type HeldStatus = (typeof HELD_STATUSES)[number];

export interface Held {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly status: HeldStatus;
}

export type HeldDecision =
  /** The assignment continues with a new lease. */
  | { readonly action: 'continue' }
  /** Finished: send the report and wait for its answer. */
  | { readonly action: 'report' }
  /** Stop the run. */
  | { readonly action: 'abort'; readonly reason: 'unknown_task' | 'not_assignee' | 'stale_generation' | 'ended' | 'generation_too_far' }
  /** The sidecar has lost the run: reclaimed as lost, and answered `abort`. */
  | { readonly action: 'lost' };

/**
 * By how many generations a task may have been rolled back: more than a round of 100 retries takes, each released several times.
 * A claim beyond it is false, or comes from a damaged journal.
 */
export const ROLLED_BACK_MAX = 1_000;
/** The highest generation that a claim may reach: repeated claims must never approach `GENERATION_MAX`. */
export const CLAIMED_GENERATION_MAX = 1_000_000;

/**
 * The reaction to a held generation above the stored one. Either the store was rolled back (a backup was restored, a
 * replica took over), or the claim is false. The hub cannot tell, so it does what is safe in both cases:
 *
 * - `raise`: no other agent has the task. Its generation is raised above the held one, with an event and a warning.
 * - `fence`: another agent has it. Its assignment continues; the next one will be above the held generation.
 * - `refuse`: no store is rolled back that far, or this agent has used up its claims with an event for this task.
 * - `nothing`: it is not ahead, the task has ended, or it could not have been assigned to this agent.
 */
export type AheadDecision = 'raise' | 'fence' | 'refuse' | 'nothing';

export function decideAhead(task: Task | undefined, held: Held, agentId: AgentId): AheadDecision {
  if (task === undefined) return 'nothing';
  const known = Math.max(task.generation, task.generationFloor);
  if (held.generation <= known) return 'nothing';
  // Measured from the generation itself: an earlier claim must not enable a higher one.
  if (held.generation > task.generation + ROLLED_BACK_MAX || held.generation > CLAIMED_GENERATION_MAX) return 'refuse';
  if (task.status === 'completed' || task.status === 'cancelled') return 'nothing';
  const { assignTo } = task.requirement;
  if (assignTo !== null && assignTo !== agentId) return 'nothing';
  if (task.status === 'assigned' && task.assignedTo !== agentId) return 'fence';
  // Each raise has an event, and rollbacks are rare.
  return withRefusal(task.kept, agentId).hasEvent ? 'raise' : 'refuse';
}

/** Whether it is the task's current assignment. */
export const isCurrent = (task: Task, held: Held, agentId: AgentId): boolean =>
  task.status === 'assigned' && task.generation === held.generation && task.assignedTo === agentId;

/** Compares one held assignment of `agentId` with the stored task. */
export function decideHeld(task: Task | undefined, held: Held, agentId: AgentId): HeldDecision {
  if (held.status === 'reporting') return { action: 'report' };
  if (task === undefined) return { action: 'abort', reason: 'unknown_task' };
  if (held.generation !== task.generation) return { action: 'abort', reason: 'stale_generation' };
  if (task.status !== 'assigned') return { action: 'abort', reason: 'ended' };
  if (task.assignedTo !== agentId) return { action: 'abort', reason: 'not_assignee' };
  return held.status === 'unknown' ? { action: 'lost' } : { action: 'continue' };
}

/** A live assignment that its returning agent does not hold. */
export type MissingDecision =
  /** Never accepted: resent with the same generation. */
  | 'resend'
  /** It may have run, and is no longer there. */
  | 'lost';

/** `mayHaveBegun`: it may have run without being accepted, so its generation must not run again. */
export const decideMissing = (task: Task, mayHaveBegun: boolean = false): MissingDecision =>
  task.acceptedAtMs === null && !mayHaveBegun ? 'resend' : 'lost';
