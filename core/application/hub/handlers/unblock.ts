/**
 * Unblocks the dependents of completed tasks, including those that became blocked in the same batch. Each batch handles a bounded slice:
 * the completed task's row stores where the rest begins, and is due until none is left. So a sweep follows at once for the next
 * slice, other commands run in between, and no dependent is lost if the hub stops.
 */
import type { TaskId } from '../../../domain/ids.ts';
import { decideUnblock } from '../../../domain/transitions/submitting.ts';
import type { DependentsOf } from '../../../ports/task-store.ts';
import type { Batch } from '../batch/batch.ts';
import { blockedDependents, fromTheFirst } from '../batch/read-ahead.ts';
import { dependenciesMet } from './handle-submit.ts';

/**
 * Queues the blocked tasks whose last dependency completed in this batch. Their other dependencies are read without a lock, but
 * only after the blocked tasks are locked: of two hubs that complete the last two dependencies of a task at once, the one that
 * locks the task last sees what the other one committed.
 */
export async function unblock(batch: Batch): Promise<void> {
  const wanted = [...batch.completed.map(fromTheFirst), ...batch.unblocking.flatMap((id) => leftOf(batch, id))];
  if (wanted.length === 0) return;
  const found = await blockedDependents(batch.unit, batch.ahead, wanted);
  batch.add({ tasks: found.tasks });
  const dependents = batch.blockedOn(wanted.map(({ id }) => id));
  const others = new Set(dependents.flatMap((task) => task.dependsOn).filter((id) => batch.task(id) === undefined));
  if (others.size > 0) batch.addUnlocked(await batch.unit.read({ tasks: [...others] }));
  for (const task of dependents) {
    if (!dependenciesMet(batch, task.dependsOn)) continue;
    const decided = decideUnblock(task, batch.nowMs);
    if (decided !== null) batch.put(decided);
  }
  const left = new Map(found.left.map(({ id, after }) => [id, after]));
  for (const { id } of wanted) {
    const task = batch.task(id);
    const dependentsAfter = left.get(id) ?? null;
    if (task !== undefined && task.dependentsAfter !== dependentsAfter) batch.touch({ ...task, dependentsAfter });
  }
}

function leftOf(batch: Batch, id: TaskId): readonly DependentsOf[] {
  const after = batch.task(id)?.dependentsAfter ?? null;
  return after === null ? [] : [{ id, after }];
}
