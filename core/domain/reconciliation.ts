/**
 * What a hub and a returning sidecar tell each other: the sidecar says all that it holds, the hub answers each. `abort`
 * ends a run, never a report.
 */
import type { AgentId, Generation, TaskId } from './ids.ts';
import type { Task } from './task.ts';

export interface Held {
  readonly taskId: TaskId;
  readonly generation: Generation;
  readonly status: 'accepted' | 'waking' | 'waking_confirmation' | 'working' | 'reporting' | 'unknown';
}

export type HeldDecision =
  /** It goes on: the same assignment, its lease counted anew. */
  | { readonly action: 'continue' }
  /** A finished result: send it and wait for its answer. */
  | { readonly action: 'report' }
  /** The run is to be stopped. */
  | { readonly action: 'abort'; readonly reason: 'unknown_task' | 'not_assignee' | 'stale_generation' | 'ended' }
  /** The sidecar lost the run and says so: taken back as lost, and answered `abort`. */
  | { readonly action: 'lost' };

/**
 * Whether the sidecar holds a generation that the store never gave out: the store fell back in time. Its own is to be
 * raised above, and that to be said loudly, before what is held is judged.
 */
export const isAhead = (task: Task | undefined, held: Held): boolean => task !== undefined && held.generation > task.generation;

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
