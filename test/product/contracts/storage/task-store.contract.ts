/** What every `TaskStore` guarantees about transactions, and how it is read. The unit of work has a contract of its own. */
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import type { Task } from '../../../../core/domain/task/task.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aBody, aKey, aStop, aTask, aTaskId, anAgent, anAgentId, anEvent, changes, inserting, updating } from '../fixtures.ts';
import { commit, failsWith, openedIn, type StorageSubject } from './storage-room.ts';

const YEAR_MS = 31_536_000_000;
/** No step of these runs takes this long. Milliseconds. */
const PATIENCE_MS = 30_000;

export function taskStoreCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`TaskStore contract, ${name}`, runner, (test) => {
    test('returns the result of the work, and records the batch in the same commit', async (t) => {
      const { tasks } = await openedIn(t, subject);
      const work = async (unit: StoreUnit): Promise<string> => {
        await unit.save(inserting(aTask()));
        return 'the answer';
      };
      t.equal(await tasks.transact('batch-a', work), 'the answer');
      t.equal(await tasks.committed('batch-a'), true);
      t.equal(await tasks.committed('batch-b'), false);
      t.equal(await tasks.committed("' OR 1=1 --"), false);
    });

    test('leaves nothing behind when the work fails, and rethrows its error', async (t) => {
      const storage = await openedIn(t, subject);
      const kept = anAgent({ name: 'before' });
      await commit(storage, changes({ agents: [kept], stopsSet: [aStop()] }));
      const before = await storage.tasks.stats();
      const mistake = new Error('a mistake of the work');
      const failed = storage.tasks.transact('failed', async (unit) => {
        await unit.save({
          ...inserting(aTask()),
          events: [anEvent()],
          results: [{ taskId: aTaskId(1), json: '1' }],
          agents: [anAgent({ name: 'after' }), anAgent({ id: anAgentId('new') })],
          keys: [aKey()],
          stopsSet: [aStop({ generation: 2 })],
          stopsCleared: [aStop()],
        });
        throw mistake;
      });
      t.equal(await failed.catch((thrown: unknown) => thrown), mistake, 'the same error object');
      t.equal(await storage.tasks.committed('failed'), false);
      t.equal(await storage.tasks.read(aTaskId(1)), undefined);
      t.strictSame(await storage.tasks.stats(), before);
      t.strictSame(await storage.events.marks(), { lastId: 0, removedId: 0 });
      await storage.tasks.transact('look', async (unit) => {
        const loaded = await unit.load({ tasks: [aTaskId(1)], agents: [anAgentId('new')], keys: [aKey()], holders: [anAgentId()] });
        const holdings = [{ agentId: anAgentId(), live: [], stops: [aStop()] }];
        t.strictSame(loaded, { tasks: [], tombstones: [], agents: [kept], keys: [], holdings });
        t.strictSame(await unit.bodies([aTaskId(1)]), []);
      });
      await commit(storage, inserting(aTask()));
      t.equal((await storage.tasks.read(aTaskId(1)))?.result, null, 'no result was waiting for it');
    });

    test('runs transactions one after the other', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, inserting(aTask()));
      let inside = 0;
      const increments = Array.from({ length: 20 }, (_, n) =>
        storage.tasks.transact(`increment-${n}`, async (unit) => {
          inside += 1;
          t.equal(inside, 1, 'alone');
          const { tasks } = await unit.load({ tasks: [aTaskId(1)], agents: [], keys: [] });
          const task = tasks[0] as Task;
          await unit.save(updating({ ...task, retryCount: task.retryCount + 1 }));
          inside -= 1;
        }),
      );
      await Promise.all(increments);
      t.equal((await storage.tasks.peek([aTaskId(1)]))[0]?.retryCount, 20, 'no increment was lost');
    });

    test('a failed transaction does not block the next', async (t) => {
      const { tasks } = await openedIn(t, subject);
      const failed = tasks.transact('a', () => Promise.reject(new Error('no')));
      const next = tasks.transact('b', async () => 'yes');
      await t.rejects(failed, { message: 'no' });
      t.equal(await next, 'yes');
    });

    test('reads see only committed states, and do not wait for a transaction', async (t) => {
      const storage = await openedIn(t, subject);
      await storage.tasks.transact('open', async (unit) => {
        await unit.save({ ...inserting(aTask()), events: [anEvent()] });
        t.equal(await storage.tasks.read(aTaskId(1)), undefined);
        t.strictSame(await storage.tasks.list({ limit: 10 }), []);
        t.strictSame(await storage.tasks.peek([aTaskId(1)]), []);
        t.equal((await storage.tasks.stats()).statuses.queued, 0);
        t.equal(await storage.tasks.committed('open'), false);
        t.strictSame((await storage.events.after(0, {}, 10)).events, []);
      });
      t.equal((await storage.tasks.read(aTaskId(1)))?.events.length, 1, 'the moment it is committed');
    });

    test('a unit cannot be used after its transaction', async (t) => {
      const { tasks } = await openedIn(t, subject);
      const unit = await tasks.transact('a', async (given) => given);
      await failsWith(t, unit.save(inserting(aTask())), 'AC_INTERNAL', 'save');
      await failsWith(t, unit.load({ tasks: [aTaskId(1)], agents: [], keys: [] }), 'AC_INTERNAL', 'load');
      t.equal(await tasks.read(aTaskId(1)), undefined);
    });

    test('reads a task with body, result and events, oldest first', async (t) => {
      const storage = await openedIn(t, subject);
      const body = aBody({
        description: 'what to do',
        metadata: '{"a": [1,  2]}',
        fileHints: ['a', { b: [null, 'c'] }],
        accept: { empty: true },
        traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
        tracestate: 'vendor=1',
      });
      const events = [
        anEvent(),
        anEvent({ seq: 2, event: 'eligible' }),
        anEvent({ taskId: aTaskId(2) }),
        anEvent({ seq: 3, event: 'assigned' }),
      ];
      await commit(storage, { ...inserting(aTask({ id: aTaskId(2) })), events: [] });
      await commit(
        storage,
        changes({ inserted: [{ task: aTask(), dueAtMs: null, body }], events, results: [{ taskId: aTaskId(1), json: '{"x":  1}' }] }),
      );
      const found = await storage.tasks.read(aTaskId(1));
      t.strictSame(found?.task, aTask());
      t.strictSame(found?.body, body);
      t.equal(found?.result, '{"x":  1}', 'as given, including spaces');
      t.strictSame(found?.events.map(({ seq, event }) => [seq, event]), [[1, 'submitted'], [2, 'eligible'], [3, 'assigned']]); // prettier-ignore
      t.equal(await storage.tasks.read(aTaskId(3)), undefined);
      await commit(storage, changes({ results: [{ taskId: aTaskId(1), json: '2' }] }));
      t.equal((await storage.tasks.read(aTaskId(1)))?.result, '2', 'a later result replaces it');
    });

    test('peeks at states, each once, omitting unknown ones', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, inserting(aTask(), aTask({ id: aTaskId(2) })));
      const peeked = await storage.tasks.peek([aTaskId(1), aTaskId(9), aTaskId(1)]);
      t.strictSame(peeked, [aTask()]);
      t.strictSame(await storage.tasks.peek([]), []);
    });

    test('returns the earliest due time', async (t) => {
      const storage = await openedIn(t, subject);
      t.equal(await storage.tasks.nextDueAtMs(), null);
      const body = aBody();
      const due = (n: number, dueAtMs: number | null) => ({ task: aTask({ id: aTaskId(n) }), dueAtMs, body });
      await commit(storage, changes({ inserted: [due(1, null), due(2, A_MOMENT_MS + 5), due(3, A_MOMENT_MS + 3)] }));
      t.equal(await storage.tasks.nextDueAtMs(), A_MOMENT_MS + 3);
      await commit(storage, updating(aTask({ id: aTaskId(3) })));
      t.equal(await storage.tasks.nextDueAtMs(), A_MOMENT_MS + 5);
      await commit(storage, updating(aTask({ id: aTaskId(2), status: 'completed' })));
      t.equal(await storage.tasks.nextDueAtMs(), null);
    });

    test('counts statuses and lanes', async (t) => {
      const storage = await openedIn(t, subject);
      const none = { scheduled: 0, blocked: 0, queued: 0, assigned: 0, completed: 0, cancelled: 0, dead_letter: 0 };
      const empty = { urgent: 0, high: 0, normal: 0, low: 0 };
      t.strictSame(await storage.tasks.stats(), { statuses: none, queuedByPriority: empty });
      const tasks = [
        aTask({ id: aTaskId(1), priority: 'urgent' }),
        aTask({ id: aTaskId(2), parked: true }),
        aTask({ id: aTaskId(3), priority: 'low', status: 'blocked' }),
        aTask({ id: aTaskId(4), priority: 'low' }),
      ] as const;
      await commit(storage, inserting(...tasks));
      await commit(storage, inserting(...tasks));
      t.strictSame(
        await storage.tasks.stats(),
        { statuses: { ...none, queued: 3, blocked: 1 }, queuedByPriority: { urgent: 1, high: 0, normal: 1, low: 1 } },
        'a repeat counts once',
      );
      await commit(
        storage,
        updating({ ...tasks[0], status: 'completed' }, { ...tasks[1], parked: false }, { ...tasks[3], updatedAtMs: A_MOMENT_MS + 1 }),
      );
      t.strictSame(await storage.tasks.stats(), {
        statuses: { ...none, queued: 2, blocked: 1, completed: 1 },
        queuedByPriority: { urgent: 0, high: 0, normal: 1, low: 1 },
      });
    });

    test('R15 R17: its time never goes backwards or jumps with the system clock, even while it is closed', async (t) => {
      const place = await subject.place(t);
      const right = systemClock();
      const state = { offMs: 0 };
      const wild = { ...right, nowMs: () => right.nowMs() + state.offMs };
      let storage = await place.storage(wild);
      await storage.open();
      let lastMs = storage.tasks.nowMs();
      const goesOn = (nowMs: number, what: string): void => {
        t.ok(nowMs >= lastMs && nowMs - lastMs < PATIENCE_MS, `${what}: it advanced by ${nowMs - lastMs} ms`);
        lastMs = Math.max(lastMs, nowMs);
      };
      for (const offMs of [YEAR_MS, -YEAR_MS, 3_600_000, -3_600_000, 86_400_000, -86_400_000]) {
        state.offMs = offMs;
        goesOn(await storage.tasks.transact(`by ${offMs}`, async (unit) => unit.nowMs), `a batch at ${offMs}`);
        goesOn(storage.tasks.nowMs(), `outside a transaction at ${offMs}`);
      }
      for (const offMs of [-YEAR_MS, YEAR_MS, -3_600_000]) {
        await storage.close();
        state.offMs = offMs;
        t.ok(storage.tasks.nowMs() >= lastMs, 'even while it is closed');
        storage = await place.storage(wild);
        await storage.open();
        goesOn(storage.tasks.nowMs(), `opened at ${offMs}`);
      }
      t.ok(storage.tasks.wallMs() <= storage.tasks.nowMs());
      t.ok((storage.tasks.lastUsedMs() ?? Infinity) <= lastMs, 'it returns when it was last used');
    });
  });
}
