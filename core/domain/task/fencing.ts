/**
 * The fence: only the current assignee, with the current generation, may change a task. A repeat of a report that was already
 * answered is recognized before the fence, and changes nothing.
 */
import type { AgentId, Generation } from '../ids.ts';
import { refuse, type Refusal } from './refusal.ts';
import type { AckStatus, Outcome, Task } from './task.ts';

/** The reports that are fenced; `complete` to `released` end an assignment. */
export type ReportKind = 'accepted' | 'progress' | 'woken' | Outcome['report'];

export type FenceResult =
  | { readonly kind: 'current' }
  /** Already answered with this; also an accept of an assignment that its agent has ended since. */
  | { readonly kind: 'repeat'; readonly answer: AckStatus; readonly generation: Generation }
  /** A finished result of an assignment that was reclaimed, while the task has not been assigned since. */
  | { readonly kind: 'late' }
  | Refusal;

/** The fields of a task, or of a tombstone, that the fence reads. */
export type FencedTask = Pick<Task, 'status' | 'generation' | 'assignedTo' | 'outcomes'> & Partial<Pick<Task, 'takenBack'>>;

/**
 * Checks a report of `agentId` for `generation`. Without a generation, which only version 1 may omit, the sender must be the
 * current assignee.
 */
export function checkFence(
  task: FencedTask | undefined,
  report: { readonly kind: ReportKind; readonly agentId: AgentId; readonly generation: Generation | null },
): FenceResult {
  if (task === undefined) return refuse('unknown_task', null);
  const { agentId, generation } = report;
  if (generation === null) {
    if (task.status !== 'assigned') return refuse('invalid_state', task.generation);
    return task.assignedTo === agentId ? { kind: 'current' } : refuse('not_assignee', task.generation);
  }
  const outcome = task.outcomes.find((known) => known.generation === generation && known.agentId === agentId);
  if (outcome !== undefined && (outcome.report === report.kind || report.kind === 'accepted')) {
    return { kind: 'repeat', answer: outcome.answer, generation };
  }
  if (generation !== task.generation) {
    return isLate(task, report.kind, agentId, generation) ? { kind: 'late' } : refuse('stale_generation', task.generation);
  }
  if (task.assignedTo !== null && task.assignedTo !== agentId) return refuse('not_assignee', task.generation);
  if (task.status !== 'assigned') return refuse('invalid_state', task.generation);
  return { kind: 'current' };
}

const isLate = (task: FencedTask, kind: ReportKind, agentId: AgentId, generation: Generation): boolean =>
  kind === 'complete' &&
  task.status === 'queued' &&
  task.takenBack !== undefined &&
  task.takenBack !== null &&
  task.takenBack.agentId === agentId &&
  task.takenBack.generation === generation;
