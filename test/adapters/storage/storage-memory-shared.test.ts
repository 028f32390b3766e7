/** Transactions of several storages on one memory database: rows are locked until the commit, as on Postgres. */
import t, { type Test } from 'tap';
import { memoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import { memoryStorage, type MemoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import { rowLocks } from '../../../adapters/storage-memory/row-locks.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { requirementKey } from '../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { StoreUnit } from '../../../core/ports/task-store.ts';
import { anAgentId, aTask, aTaskId, changes, inserting } from '../../product/contracts/fixtures.ts';
import { clusterOf } from '../../product/contracts/storage/cluster-of.ts';
import { failsWith } from '../../product/contracts/storage/storage-room.ts';
import { gate } from '../../rig/gate.ts';

interface Open {
  readonly storage: MemoryStorage;
  /** What the transaction does next; its promise is the transaction's. */
  begin(name: string): { readonly done: Promise<unknown>; do<T>(work: (unit: StoreUnit) => Promise<T>): Promise<T>; end(): void };
}

/** Two storages on one database in which tasks 1 and 2 wait; transactions are run step by step. */
async function two(t: Test): Promise<readonly [Open, Open]> {
  const database = memoryDatabase('shared');
  const clock = virtualClock();
  const open = async (): Promise<Open> => {
    const storage = memoryStorage({ clock, database, shared: true });
    await storage.open();
    t.teardown(() => storage.close());
    return {
      storage,
      begin(name) {
        const { opened: ended, open: end } = gate();
        const { opened: unit, open: begun } = gate<StoreUnit>();
        const done = storage.tasks.transact(name, async (given) => {
          begun(given);
          await ended;
        });
        // The caller asks for its end later.
        void Promise.allSettled([done]);
        return { done, do: async (work) => work(await unit), end: () => end() };
      },
    };
  };
  const [one, other] = [await open(), await open()];
  for (const n of [1, 2])
    await one.storage.tasks.transact(`insert ${n}`, (unit) => unit.save(inserting(aTask({ id: aTaskId(n), eligibleAtMs: 1 }))));
  return [one, other];
}

const loadOf = (n: number) => async (unit: StoreUnit) => (await unit.load({ tasks: [aTaskId(n)], agents: [], keys: [] })).tasks[0];
const parking = (n: number) => async (unit: StoreUnit) => {
  const task = await loadOf(n)(unit);
  if (task === undefined) throw new Error(`no task ${n}`);
  await unit.save(changes({ updated: [{ task: { ...task, parked: true }, dueAtMs: null }] }));
};

t.test('loading a row that another transaction has changed waits for its commit and reads the new state', async (t) => {
  const [one, other] = await two(t);
  const [first, second] = [one.begin('first'), other.begin('second')];
  await first.do(parking(1));
  let isLoaded = false;
  const loaded = second.do(loadOf(1)).finally(() => (isLoaded = true));
  t.equal((await first.do((unit) => unit.claimable({ requirementKeys: [], nowMs: 2, limitPerLane: 1 }))).length, 0);
  t.notOk(isLoaded, 'it waits');
  first.end();
  t.match(await loaded, { parked: true });
  second.end();
  await second.done;
});

t.test('locked claimable tasks are skipped, and taking a duty never waits', async (t) => {
  const [one, other] = await two(t);
  const [first, second] = [one.begin('first'), other.begin('second')];
  await first.do(loadOf(1));
  const found = await second.do(async (unit) => {
    const [requirement] = (await unit.waitingRequirements({ nowMs: 2, limit: 10 })).requirements;
    if (requirement === undefined) throw new Error('nothing waits');
    return unit.claimable({ requirementKeys: [requirementKey(requirement)], nowMs: 2, limitPerLane: 5 });
  });
  t.strictSame(
    found.map(({ id }) => id),
    [aTaskId(2)],
  );
  t.equal(await first.do((unit) => clusterOf(unit).tryTakeDuty('sweep')), true);
  t.equal(await second.do((unit) => clusterOf(unit).tryTakeDuty('sweep')), false);
  first.end();
  await first.done;
  t.equal(await second.do((unit) => clusterOf(unit).tryTakeDuty('sweep')), true, 'free once the transaction ends');
  second.end();
  await second.done;
});

t.test('R16 J14: waiting against the lock order fails at once, whether or not the row is locked', async (t) => {
  const [one, other] = await two(t);
  const [first, second] = [one.begin('first'), other.begin('second')];
  await first.do(loadOf(1));
  await second.do(loadOf(2));
  const waits = first.do(loadOf(2));
  await failsWith(t, second.do(loadOf(1)), 'AC_INTERNAL', 'the wait that would close the cycle');
  other.storage.endTransaction();
  t.match(await waits, { id: aTaskId(2) });
  first.end();
  await first.done;
  second.end();
  const third = other.begin('third');
  await third.do(loadOf(2));
  await failsWith(t, third.do(loadOf(1)), 'AC_INTERNAL', 'the row is not locked, but could be');
  await third.do((unit) => unit.takeAgents([anAgentId()]));
  third.end();
  await third.done;
});

t.test('a transaction that is ended from outside changes nothing and releases its locks at once', async (t) => {
  const [one, other] = await two(t);
  const [first, second] = [one.begin('first'), other.begin('second')];
  await first.do(parking(1));
  const waits = second.do(loadOf(1));
  one.storage.crash();
  t.match(await waits, { parked: false });
  await failsWith(t, first.do(loadOf(2)), 'AC_STORE_UNAVAILABLE', 'no statement');
  first.end();
  await failsWith(t, first.done, 'AC_STORE_UNAVAILABLE', 'no commit');
  second.end();
  await second.done;
});

t.test('an aborted transaction acquires no more locks', async (t) => {
  const locks = rowLocks();
  const owner = {};
  const transaction = locks.begin(owner);
  const aborted = new AgentcomError('AC_STORE_UNAVAILABLE', 'aborted');
  t.equal(transaction.tryAcquire('task', 't-1'), true);
  locks.abort(owner, aborted);
  t.notOk(locks.isHeld('task', 't-1'), 'an abort releases its locks');
  t.throws(() => transaction.tryAcquire('task', 't-1'), aborted);
  await t.rejects(transaction.acquire('task', ['t-1']), aborted);
  t.notOk(locks.isHeld('task', 't-1'), 'it holds none afterwards');
});

t.test('using a unit after its transaction has ended leaves no row locked', async (t) => {
  const [one, other] = await two(t);
  const keys = [{ owner: 'tok-1', key: 'k' }];
  let ended: StoreUnit | undefined;
  await one.storage.tasks.transact('first', async (unit) => void (ended = unit));
  await failsWith(t, Promise.resolve(ended?.load({ keys })), 'AC_INTERNAL', 'no statement after the end');
  const second = other.begin('second');
  t.match(await second.do((unit) => unit.load({ keys })), { keys: [] }, 'the key is not locked');
  second.end();
  await second.done;
});

t.test('a transaction that ends while waiting for a row never gets its lock', async (t) => {
  const [one, other] = await two(t);
  const [first, second] = [one.begin('first'), other.begin('second')];
  await first.do(loadOf(1));
  const waits = failsWith(t, second.do(loadOf(1)), 'AC_INTERNAL', 'it ended');
  await second.do(async () => undefined);
  second.end();
  await second.done;
  await waits;
  first.end();
  await first.done;
  const third = one.begin('third');
  t.match(await third.do(loadOf(1)), { id: aTaskId(1) }, 'the row is free');
  third.end();
  await third.done;
});
