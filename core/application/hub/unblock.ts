/** Dependents of what was completed: also those that became blocked in the very batch that completed it. */
import { decideUnblock } from '../../domain/transitions/submitting.ts';
import type { Batch } from './batch.ts';
import { dependenciesMet } from './handle-submit.ts';

/** Queues the blocked tasks whose last dependency completed in this batch. */
export async function unblock(batch: Batch): Promise<void> {
  if (batch.completed.length === 0) return;
  batch.take({ tasks: await batch.unit.dependentsOf(batch.completed) });
  const dependents = batch.blockedOn(batch.completed);
  const unknown = dependents.flatMap((task) => task.dependsOn).filter((id) => batch.task(id) === undefined);
  if (unknown.length > 0) batch.take(await batch.unit.load({ tasks: unknown, agents: [], keys: [] }));
  for (const task of dependents) {
    if (!dependenciesMet(batch, task.dependsOn)) continue;
    const decided = decideUnblock(task, batch.nowMs);
    if (decided !== null) batch.put(decided);
  }
}
