/** Which tasks of a batch are ready to be assigned, and what they require. Plain loops: each dispatch goes over all tasks of its batch. */
import { isClaimable } from '../../../domain/task/claimable.ts';
import { requirementKey, waitingRequirement, type Requirement, type Task } from '../../../domain/task/task.ts';
import { isOver } from '../../../domain/transitions/due.ts';

export const isReady = (task: Task, nowMs: number): boolean => isClaimable(task, nowMs) && !isOver(task, nowMs);

/** Ready tasks of these requirement keys. */
export function readyOf(tasks: Iterable<Task>, keys: ReadonlySet<string>, nowMs: number): readonly Task[] {
  const ready: Task[] = [];
  for (const task of tasks) if (isReady(task, nowMs) && keys.has(requirementKey(waitingRequirement(task)))) ready.push(task);
  return ready;
}

/** The distinct requirements among `waiting` and those of the ready tasks. */
export function distinctRequirements(waiting: readonly Requirement[], tasks: Iterable<Task>, nowMs: number): readonly Requirement[] {
  const byKey = new Map<string, Requirement>();
  for (const requirement of waiting) byKey.set(requirementKey(requirement), requirement);
  for (const task of tasks) {
    if (!isReady(task, nowMs)) continue;
    const requirement = waitingRequirement(task);
    byKey.set(requirementKey(requirement), requirement);
  }
  return [...byKey.values()];
}
