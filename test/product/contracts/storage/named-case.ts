/** A store's rule for tasks that an idempotency key names: such a name is used once. */
import type { Storage } from '../../../../core/ports/storage.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import type { ContractCase } from '../contract-case.ts';
import { A_MOMENT_MS, aKey, aTask, aTaskId, inserting } from '../fixtures.ts';
import { commit, openedIn, remove, type StorageSubject } from './storage-room.ts';

const look = <T>(storage: Storage, work: (unit: StoreUnit) => Promise<T>): Promise<T> => storage.tasks.transact('look', work);

/** Names of a stored task, of a removed one, and of a key. */
export async function refusesUsedNames(t: ContractCase, subject: StorageSubject): Promise<void> {
  const storage = await openedIn(t, subject);
  const key = aKey({ key: aTaskId(7), taskIds: [aTaskId(2)] });
  await commit(storage, {
    ...inserting(aTask(), aTask({ id: aTaskId(2) }), aTask({ id: aTaskId(3), status: 'completed', updatedAtMs: A_MOMENT_MS - 1 })),
    keys: [key],
  });
  await remove(storage);
  const beside = aTask({ id: aTaskId(5) });
  const used = [aTask(), aTask({ id: aTaskId(3) }), aTask({ id: aTaskId(7) })];
  for (const task of used) {
    const taken = { ...inserting(beside, task), hasNamed: true };
    await t.rejects(commit(storage, taken), { code: 'AC_STORE_RETRY' });
    await t.rejects(
      look(storage, (unit) => unit.save(taken)),
      { code: 'AC_STORE_RETRY' },
      'even if more follows',
    );
  }
  const loaded = await look(storage, (unit) => unit.load({ tasks: [beside.id, ...used.map(({ id }) => id)] }));
  t.strictSame([loaded.tasks.map(({ id }) => id), loaded.tombstones.map(({ id }) => id)], [[aTaskId(1)], [aTaskId(3)]]);
  await commit(storage, { ...inserting(beside, aTask({ id: aTaskId(7), submittedBy: 'tok-9' })), hasNamed: true });
  t.equal((await look(storage, (unit) => unit.load({ tasks: [beside.id, aTaskId(7)] }))).tasks.length, 2);
}
