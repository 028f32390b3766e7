/**
 * The fence: who may still say something about a task. Only the current assignee with the current generation can; a
 * repeat of a report that was already answered is recognised before the fence, and changes nothing.
 */
import type { AgentId, Generation } from '../ids.ts';
import { refuse, type Refusal } from './refusal.ts';
import type { AckStatus, Outcome, Task } from './task.ts';

/** The reports that the fence judges; `complete` to `released` end an assignment. */
export type ReportKind = 'accepted' | 'progress' | 'woken' | Outcome['report'];

export type Judgement =
  | { readonly kind: 'current' }
  /** Already answered so; also an accept of an assignment that has ended by its agent's own word. */
  | { readonly kind: 'repeat'; readonly answer: AckStatus }
  /** A finished result for an assignment that was taken back, while the task was given to nobody since. */
  | { readonly kind: 'late' }
  | Refusal;

/** What the fence looks at of a task, or of what is left of one that was removed. */
export type Judged = Pick<Task, 'status' | 'generation' | 'assignedTo' | 'outcomes'> & Partial<Pick<Task, 'takenBack'>>;

/**
 * Judges a report of `agentId` for `generation`. A null generation, which only version 1 may send, is judged by its
 * sender: it must be the current assignee.
 */
export function judge(
  task: Judged | undefined,
  report: { readonly kind: ReportKind; readonly agentId: AgentId; readonly generation: Generation | null },
): Judgement {
  if (task === undefined) return refuse('unknown_task', null);
  const { agentId, generation } = report;
  if (generation === null) {
    if (task.status !== 'assigned') return refuse('invalid_state', task.generation);
    return task.assignedTo === agentId ? { kind: 'current' } : refuse('not_assignee', task.generation);
  }
  const outcome = task.outcomes.find((known) => known.generation === generation && known.agentId === agentId);
  if (outcome !== undefined && (outcome.report === report.kind || report.kind === 'accepted')) {
    return { kind: 'repeat', answer: outcome.answer };
  }
  if (generation !== task.generation) {
    return isLate(task, report.kind, agentId, generation) ? { kind: 'late' } : refuse('stale_generation', task.generation);
  }
  if (task.assignedTo !== null && task.assignedTo !== agentId) return refuse('not_assignee', task.generation);
  if (task.status !== 'assigned') return refuse('invalid_state', task.generation);
  return { kind: 'current' };
}

const isLate = (task: Judged, kind: ReportKind, agentId: AgentId, generation: Generation): boolean =>
  kind === 'complete' &&
  task.status === 'queued' &&
  task.takenBack !== undefined &&
  task.takenBack !== null &&
  task.takenBack.agentId === agentId &&
  task.takenBack.generation === generation;
