/** Migrates a store from before rejected tasks waited separately: each is found where it waits now. */
import type { Test } from 'tap';
import { rejectedApart } from '../../../adapters/storage-knex/migrations/0014-rejected-apart.ts';
import { requirementKey, waitingRequirement } from '../../../core/domain/task/task.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import { A_MOMENT_MS, anAgentId, aRequirement, aTask, aTaskId, inserting } from '../../product/contracts/fixtures.ts';
import { commit } from '../../product/contracts/storage/storage-room.ts';

/** `ask` runs a statement outside the storage, which is closed then. */
export async function rejectedStep(
  t: Test,
  { storage, ask }: { readonly storage: () => Storage; readonly ask: (sql: string) => Promise<unknown> },
): Promise<void> {
  const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
  const tasks = [
    aTask({ id: aTaskId(1) }),
    aTask({ id: aTaskId(2), rejectedBy: [a2, a1] }),
    aTask({ id: aTaskId(3), requirement: aRequirement(['gpu']), rejectedBy: [a1], lastError: '"rejectedBy":["a2"]' }),
    aTask({ id: aTaskId(4), lastError: '"rejectedBy":["a2"]' }),
  ];
  const before = storage();
  await before.open();
  await commit(before, inserting(...tasks));
  await before.close();
  await ask(`UPDATE tasks SET requirement_key = CASE id WHEN '${aTaskId(3)}' THEN '[null,"gpu"]' ELSE '[null]' END`);
  await ask(`DELETE FROM migrations WHERE name = '${rejectedApart.name}'`);
  const after = storage();
  await after.open();
  for (const task of tasks) {
    const requirementKeys = [requirementKey(waitingRequirement(task))];
    const found = await after.tasks.transact('look', (unit) => unit.claimable({ requirementKeys, nowMs: A_MOMENT_MS, limitPerLane: 9 }));
    t.ok(found.some(({ id }) => id === task.id), `${task.id} in ${String(requirementKeys[0])}`); // prettier-ignore
  }
  await after.close();
}
