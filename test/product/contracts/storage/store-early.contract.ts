/** How every store treats transactions that may begin early. `EarlyTransaction` in core/ports/timing/turns.ts. */
import { isDeepStrictEqual } from 'node:util';
import { compareClaimable, isClaimable } from '../../../../core/domain/task/claimable.ts';
import { requirementKey, type Task } from '../../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { EarlyTransaction } from '../../../../core/ports/timing/turns.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { seededRandom } from '../../twins/ids-seeded/seeded-random.ts';
import { A_MOMENT_MS, aKey, anAgentId, anEvent, aRequirement, aTask, aTaskId, changes, inserting, updating } from '../fixtures.ts';
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

    test('R12: overlapping transactions find what waits as by a full search, however fast it is assigned', async (t) => {
      const { tasks } = await openedIn(t, subject);
      const random = seededRandom(`what waits early, ${name}`);
      const below = (count: number): number => random() % count;
      const requirements = [aRequirement(), aRequirement(['gpu'])];
      const all = new Map<string, Task>();
      let made = 0;
      const anew = (count: number): readonly Task[] =>
        Array.from({ length: count }, () =>
          aTask({
            id: aTaskId((made += 1)),
            requirement: requirements[below(4) === 0 ? 1 : 0] ?? aRequirement(),
            priority: below(4) === 0 ? 'urgent' : 'normal',
            // Some wait before others that have waited for long.
            eligibleAtMs: A_MOMENT_MS + made + (below(8) === 0 ? below(4_000) - 2_000 : 0),
          }),
        );
      const laneOf = ({ requirement, priority }: Task): string => `${requirementKey(requirement)} ${priority}`;
      const firsts = (limit: number): readonly string[] => {
        const lanes = new Map<string, string[]>();
        const waiting = [...all.values()].filter((task) => isClaimable(task, A_MOMENT_MS + 1_000_000)).sort(compareClaimable);
        for (const task of waiting) {
          const lane = lanes.get(laneOf(task)) ?? [];
          lanes.set(laneOf(task), lane);
          if (lane.length < limit) lane.push(task.id);
        }
        return [...lanes.values()].flat().toSorted();
      };
      const wrong: string[] = [];
      /** Assigns what is first in line, and changes some that are not; its changes are in `all` before the next one may begin. */
      const round = async (unit: StoreUnit, nth: number): Promise<void> => {
        const limit = 1 + below(60);
        const others = [...all.values()].filter(() => below(150) === 0);
        const { tasks: loaded } = await unit.load({ tasks: others.map(({ id }) => id) });
        const statuses = (of: readonly Task[]): readonly string[] => of.map(({ id, status }) => `${id} ${status}`).toSorted();
        if (!isDeepStrictEqual(statuses(loaded), statuses(others))) wrong.push(`round ${nth}: loaded`);
        const found = await unit.claimable({ requirementKeys: requirements.map(requirementKey), nowMs: A_MOMENT_MS + 1_000_000, limitPerLane: limit }); // prettier-ignore
        const wanted = firsts(limit);
        if (!isDeepStrictEqual(found.map(({ id }) => id).toSorted(), wanted)) wrong.push(`round ${nth}: the first ${limit}`);
        const bodies = await unit.bodies(wanted.slice(0, 40) as never);
        if (bodies.length !== Math.min(40, wanted.length)) wrong.push(`round ${nth}: bodies`);
        if (below(25) === 0) throw new Error('meant');
        const updated = found.slice(0, 1 + below(found.length + 1)).map((task): Task => ({ ...task, status: 'assigned', assignedTo: anAgentId('a1') })); // prettier-ignore
        const touched = new Set(updated.map(({ id }) => id));
        for (const task of others) {
          if (touched.has(task.id)) continue;
          const again = { status: 'queued', assignedTo: null, eligibleAtMs: A_MOMENT_MS + below(2 * made) } as const;
          updated.push({ ...task, ...(below(2) === 0 ? { status: 'cancelled' as const, assignedTo: null } : again) });
        }
        const inserted = anew(below(3) === 0 ? below(60) : 0);
        for (const task of [...updated, ...inserted]) all.set(task.id, task);
        await unit.save({ ...updating(...updated), inserted: inserting(...inserted).inserted }, true);
      };
      const filled = anew(4_000);
      for (const task of filled) all.set(task.id, task);
      await commit({ tasks } as never, inserting(...filled));
      let before: Promise<unknown> = Promise.resolve();
      for (let nth = 0; nth < 200; nth += 1) {
        const running = Promise.allSettled([tasks.transact(`round-${nth}`, (unit) => round(unit, nth), unnoticed())]);
        await before;
        before = running.then(([outcome]) => {
          if (outcome.status === 'rejected' && (outcome.reason as Error).message !== 'meant') wrong.push(`round ${nth}: ${String(outcome.reason)}`); // prettier-ignore
        });
      }
      await before;
      t.strictSame(wrong.slice(0, 10), []);
      t.equal((await tasks.stats()).statuses.queued, [...all.values()].filter(({ status }) => status === 'queued').length);
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
