/** How every store treats transactions that may begin early. `EarlyTransaction` in core/ports/timing/turns.ts. */
import type { Task } from '../../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { EarlyTransaction } from '../../../../core/ports/timing/turns.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aKey, anEvent, aTask, aTaskId, changes, inserting, updating } from '../fixtures.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

const unnoticed = (): EarlyTransaction => ({ waiting: () => undefined, saving: () => undefined });

/** Changes the task to urgent, with an event; returns the task as it was. */
const makeUrgent = async (unit: StoreUnit): Promise<Task | undefined> => {
  const [found] = (await unit.load({ tasks: [aTaskId(1)] })).tasks;
  const after = { ...(found ?? aTask()), priority: 'urgent' as const, eventSeq: 2 };
  await unit.save({ ...(found === undefined ? inserting(after) : updating(after)), events: [anEvent({ seq: 2 })] }, true);
  return found;
};

export function storeEarlyCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`Store early contract, ${name}`, runner, (test) => {
    test('transactions that may begin early see the changes of earlier ones, and end in order', async (t) => {
      const { tasks, events } = await openedIn(t, subject);
      const ended: number[] = [];
      const first = tasks.transact('first', (unit) => unit.save({ ...inserting(aTask()), events: [anEvent()] }, true), unnoticed());
      const second = tasks.transact('second', makeUrgent, unnoticed());
      const third = tasks.transact(
        'third',
        async (unit) => {
          const { tasks: found } = await unit.load({ tasks: [aTaskId(1), aTaskId(2)] });
          await unit.save({ ...inserting(aTask({ id: aTaskId(2) })), events: [anEvent({ taskId: aTaskId(2) })] }, true);
          return found;
        },
        unnoticed(),
      );
      await Promise.all([first, second, third].map((one, nth) => one.then(() => ended.push(nth))));
      t.strictSame(ended, [0, 1, 2]);
      t.match(await second, { id: aTaskId(1), priority: 'normal' });
      t.match(await third, [{ id: aTaskId(1), priority: 'urgent', eventSeq: 2 }]);
      const feed = await events.after(0, {}, 10);
      t.strictSame(
        feed.events.map(({ id, taskId, seq }) => [id, taskId, seq]),
        [
          [1, aTaskId(1), 1],
          [2, aTaskId(1), 2],
          [3, aTaskId(2), 1],
        ],
        'events are numbered in the order of the transactions',
      );
      for (const batchId of ['first', 'second', 'third']) t.ok(await tasks.committed(batchId), batchId);
    });

    test('a transaction based on an insert of an existing task is not committed', async (t) => {
      const { tasks } = await openedIn(t, subject);
      await commit({ tasks } as never, inserting(aTask({ status: 'cancelled' })));
      const first = tasks.transact('first', (unit) => unit.save(inserting(aTask()), true), unnoticed());
      const second = tasks.transact('second', makeUrgent, unnoticed());
      const [one, two] = await Promise.allSettled([first, second]);
      t.equal(one.status, 'fulfilled', 'an insert may be repeated');
      if (two.status === 'fulfilled') t.equal(two.value?.status, 'cancelled', 'it saw what is stored');
      else t.ok(AgentcomError.is(two.reason, 'AC_STORE_RETRY'), 'it must be retried');
      const seen = await tasks.transact('again', makeUrgent, unnoticed());
      t.equal(seen?.status, 'cancelled', 'the stored task is unchanged');
      t.equal((await tasks.stats()).statuses.cancelled, 1);
    });

    test('a transaction based on an uncommitted one is not committed either', async (t) => {
      const { tasks, events } = await openedIn(t, subject);
      const early = unnoticed();
      await commit({ tasks } as never, changes({ ...inserting(aTask({ id: aTaskId(9) })), keys: [aKey({ taskIds: [aTaskId(9)] })] }));
      if (await tasks.transact('look', async (unit) => unit.isExclusive)) {
        // Its key belongs to another task: found out only when it is saved.
        const first = tasks.transact(
          'first',
          (unit) => unit.save({ ...inserting(aTask()), keys: [aKey({ taskIds: [aTaskId(1)] })], events: [anEvent()] }, true),
          early,
        );
        const second = tasks.transact('second', makeUrgent, unnoticed());
        const [one, two] = await Promise.allSettled([first, second]);
        t.ok(one.status === 'rejected' && AgentcomError.is(one.reason, 'AC_STORE_RETRY'), 'the first must be retried');
        // A store may let it begin only now: then it has seen nothing of the first.
        if (two.status === 'fulfilled') t.equal(two.value, undefined, 'it saw nothing of the first');
        else t.ok(AgentcomError.is(two.reason, 'AC_STORE_RETRY'), 'so must the one based on it');
        t.equal(await tasks.committed('first'), false);
        t.equal(await tasks.committed('second'), two.status === 'fulfilled');
        if (two.status === 'rejected') t.equal(await tasks.read(aTaskId(1)), undefined);
      }
      const seen = await tasks.transact('again', makeUrgent, unnoticed());
      t.not(seen?.eventSeq, 1, 'nothing of the first is left');
      const { events: all } = await events.after(0, {}, 10);
      t.strictSame(all.filter(({ seq }) => seq === 1), [], 'nor its event'); // prettier-ignore
      t.equal((await tasks.read(aTaskId(1)))?.task.priority, 'urgent');
    });

    test('a transaction that may not begin early waits for the previous one to end, in success or failure', async (t) => {
      const storage = await openedIn(t, subject);
      const failing = storage.tasks.transact(
        'failing',
        async (unit) => {
          await unit.load({});
          throw new Error('planted');
        },
        unnoticed(),
      );
      const [first, second] = await Promise.allSettled([failing, commit(storage, inserting(aTask({ createdAtMs: A_MOMENT_MS })))]);
      t.match(first, { status: 'rejected', reason: { message: 'planted' } });
      t.equal(second.status, 'fulfilled');
      t.ok(await storage.tasks.read(aTaskId(1)));
    });
  });
}
