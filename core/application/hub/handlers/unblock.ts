/**
 * Dependents of what was completed: also those that became blocked in the very batch that completed it. A bounded slice of them with
 * each batch: the completed task's row has the place from which on they are left, and is due until none is. So a sweep follows at
 * once for the next slice, what waits meanwhile goes in between, and none is lost with the hub.
 */
import type { TaskId } from '../../../domain/ids.ts';
import { decideUnblock } from '../../../domain/transitions/submitting.ts';
import type { DependentsOf } from '../../../ports/task-store.ts';
import type { Batch } from '../batch/batch.ts';
import { dependenciesMet } from './handle-submit.ts';

/** Dependents that one batch looks up in the store. */
export const UNBLOCKED_PER_BATCH = 500;

/**
 * Queues the blocked tasks whose last dependency completed in this batch. What else they depend on is read without a lock, and
 * only once they are locked themselves: of two hubs that complete the last two dependencies of a task at once, the later one to
 * lock the task sees what the earlier one committed.
 */
export async function unblock(batch: Batch): Promise<void> {
  const asked = [...batch.completed.map((id): DependentsOf => ({ id, after: '' })), ...batch.unblocking.flatMap((id) => leftOf(batch, id))];
  if (asked.length === 0) return;
  const found = await batch.unit.dependentsOf(asked, UNBLOCKED_PER_BATCH);
  batch.take({ tasks: found.tasks });
  const dependents = batch.blockedOn(asked.map(({ id }) => id));
  const others = new Set(dependents.flatMap((task) => task.dependsOn).filter((id) => batch.task(id) === undefined));
  if (others.size > 0) batch.see(await batch.unit.read({ tasks: [...others] }));
  for (const task of dependents) {
    if (!dependenciesMet(batch, task.dependsOn)) continue;
    const decided = decideUnblock(task, batch.nowMs);
    if (decided !== null) batch.put(decided);
  }
  const left = new Map(found.left.map(({ id, after }) => [id, after]));
  for (const { id } of asked) {
    const task = batch.task(id);
    const dependentsAfter = left.get(id) ?? null;
    if (task !== undefined && task.dependentsAfter !== dependentsAfter) batch.touch({ ...task, dependentsAfter });
  }
}

function leftOf(batch: Batch, id: TaskId): readonly DependentsOf[] {
  const after = batch.task(id)?.dependentsAfter ?? null;
  return after === null ? [] : [{ id, after }];
}
