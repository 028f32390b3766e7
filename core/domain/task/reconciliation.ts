/**
 * What a hub and a returning sidecar tell each other: the sidecar says all that it holds, the hub answers each. `abort`
 * ends a run, never a report.
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';
import { withRefusal } from './kept-results.ts';
import type { Task } from './task.ts';

/** The status of an assignment in its sidecar, as that says when it returns. `unknown`: its journal does not say. */
export const HELD_STATUSES = ['accepted', 'waking', 'waking_confirmation', 'working', 'reporting', 'unknown'] as const;
export type HeldStatus = (typeof HELD_STATUSES)[number];

export interface Held {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly status: HeldStatus;
}

export type HeldDecision =
  /** It goes on: the same assignment, its lease counted anew. */
  | { readonly action: 'continue' }
  /** A finished result: send it and wait for its answer. */
  | { readonly action: 'report' }
  /** The run is to be stopped. */
  | { readonly action: 'abort'; readonly reason: 'unknown_task' | 'not_assignee' | 'stale_generation' | 'ended' | 'generation_too_far' }
  /** The sidecar lost the run and says so: taken back as lost, and answered `abort`. */
  | { readonly action: 'lost' };

/**
 * By how much a store may have fallen back in one task: more generations than a round of 100 retries takes, each handed back
 * some times. A claim beyond it is a lie or a damaged journal.
 */
export const FALLEN_BACK_MAX = 1_000;
/** And up to where: what agents claim brings no generation near `GENERATION_MAX`, however often they claim it. */
export const CLAIMED_GENERATION_MAX = 1_000_000;

/**
 * What follows from a held generation that is above the stored one. Either the store was rolled back (a backup was put
 * back, a replica took over), or what the agent says is not true. The hub cannot tell, so it believes what does no harm:
 *
 * - `raise`: nobody else has the task. Its generation is raised above what is held, and that is said loudly.
 * - `fence`: another agent has it. Its assignment goes on untouched; the one after it will be above what is held.
 * - `refuse`: no store falls back so far, or this agent has claimed so of this task as often as has an event.
 * - `nothing`: it is not ahead, or no assignment follows, or none to this agent could have been.
 */
export type AheadDecision = 'raise' | 'fence' | 'refuse' | 'nothing';

export function decideAhead(task: Task | undefined, held: Held, agentId: AgentId): AheadDecision {
  if (task === undefined) return 'nothing';
  const known = Math.max(task.generation, task.generationFloor);
  if (held.generation <= known) return 'nothing';
  // From the generation itself: what was claimed before is no step to claim more.
  if (held.generation > task.generation + FALLEN_BACK_MAX || held.generation > CLAIMED_GENERATION_MAX) return 'refuse';
  if (task.status === 'completed' || task.status === 'cancelled') return 'nothing';
  const { assignTo } = task.requirement;
  if (assignTo !== null && assignTo !== agentId) return 'nothing';
  if (task.status === 'assigned' && task.assignedTo !== agentId) return 'fence';
  // Each has an event, and a store falls back seldom.
  return withRefusal(task.kept, agentId).isTold ? 'raise' : 'refuse';
}

/** Whether what is held is the task's current assignment. */
export const isCurrent = (task: Task, held: Held, agentId: AgentId): boolean =>
  task.status === 'assigned' && task.generation === held.generation && task.assignedTo === agentId;

/** Judges one held assignment of `agentId` against the task in the store. */
export function decideHeld(task: Task | undefined, held: Held, agentId: AgentId): HeldDecision {
  if (held.status === 'reporting') return { action: 'report' };
  if (task === undefined) return { action: 'abort', reason: 'unknown_task' };
  if (held.generation !== task.generation) return { action: 'abort', reason: 'stale_generation' };
  if (task.status !== 'assigned') return { action: 'abort', reason: 'ended' };
  if (task.assignedTo !== agentId) return { action: 'abort', reason: 'not_assignee' };
  return held.status === 'unknown' ? { action: 'lost' } : { action: 'continue' };
}

/** What becomes of a live assignment that its agent, back again, does not hold. */
export type MissingDecision =
  /** It never saw it: pushed again, same generation. */
  | 'push_again'
  /** It accepted it and has it no more. */
  | 'lost';

export const decideMissing = (task: Task): MissingDecision => (task.acceptedAtMs === null ? 'push_again' : 'lost');
