/** What a store keeps about the hubs that share it: leases, duties, mail, which hub an agent belongs to, and how they notify each other. */
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import type { HubMail } from '../../../../core/domain/agent/hub-lease.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import type { ActiveAgent, ClusterUnit } from '../../../../core/ports/cluster-unit.ts';
import { ANY_CHANGE, type ChangeHint } from '../../../../core/ports/hub-notifier.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type ContractCase, type TestRunner } from '../contract-case.ts';
import { aMail, aStop, aTask, aTaskId, anAgent, anAgentId, anAssignedTask, changes, inserting, updating } from '../fixtures.ts';
import { clusterOf } from './cluster-of.ts';
import { commit, openedIn, storageIn, type StorageSubject } from './storage-room.ts';

const inUnit = <T>(storage: Storage, work: (unit: StoreUnit) => Promise<T>): Promise<T> => storage.tasks.transact('read', work);
const inCluster = <T>(storage: Storage, work: (cluster: ClusterUnit) => Promise<T>): Promise<T> =>
  inUnit(storage, (unit) => work(clusterOf(unit)));
const LEASE_MS = 60_000;
const renewed = (storage: Storage, hubId: string, leaseMs = LEASE_MS) =>
  inCluster(storage, (cluster) => cluster.renewLease(hubId, leaseMs));
const expired = (storage: Storage) => inCluster(storage, (cluster) => cluster.expireHubs());
const dutyTaken = (storage: Storage) => inCluster(storage, (cluster) => cluster.tryTakeDuty('sweep'));
const mailNo = (n: number, over: Partial<HubMail> = {}): HubMail => aMail({ id: `mail-${n}`, frame: `{"n":${n}}`, ...over });
const posted = (storage: Storage, ...mail: readonly HubMail[]) => commit(storage, changes({ mail }));
const taken = (storage: Storage, hubId: string, limit = 10) => inCluster(storage, (cluster) => cluster.takeMail(hubId, limit));

export function storeHubsCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`Store hubs contract, ${name}`, runner, (test) => {
    /** A case for a store that several hubs may use at once. */
    const shared = (title: string, body: (t: ContractCase) => Promise<void>): void => {
      if (subject.capabilities.shared) test(title, body);
    };

    test('has the features for several hubs only if it is shared', async (t) => {
      const storage = await openedIn(t, subject);
      t.equal((await inUnit(storage, async ({ cluster }) => cluster)) !== null, storage.tasks.capabilities.shared);
      await commit(storage, { ...inserting(aTask()), mail: [mailNo(1)] });
      t.ok(await storage.tasks.read(aTask().id), 'a batch with mail for a hub that does not exist is saved');
    });

    shared('a lease is created, then renewed, and lasts from the time of its transaction', async (t) => {
      const storage = await openedIn(t, subject);
      t.equal(await renewed(storage, 'hub-1'), 'made');
      t.equal(await renewed(storage, 'hub-1'), 'renewed');
      t.equal(await renewed(storage, 'hub-2', 0), 'made');
      t.match(await expired(storage), { living: ['hub-1'], expired: [{ hubId: 'hub-2' }] });
      const endedAtMs = await inUnit(storage, async (unit) => {
        await clusterOf(unit).renewLease('hub-1', -5);
        return unit.nowMs - 5;
      });
      t.strictSame((await expired(storage)).expired, [{ hubId: 'hub-1', untilMs: endedAtMs }], 'once shortened, it has expired');
    });

    shared('a lease expires once, and its hub has none until it creates another', async (t) => {
      const storage = await openedIn(t, subject);
      await renewed(storage, 'hub-1', 0);
      t.equal((await expired(storage)).expired.length, 1);
      t.strictSame(await expired(storage), { living: [], expired: [] });
      t.equal(await renewed(storage, 'hub-1'), 'made');
      t.strictSame(await expired(storage), { living: ['hub-1'], expired: [] });
    });

    shared('a renewal or expiry that fails changes nothing', async (t) => {
      const storage = await openedIn(t, subject);
      await renewed(storage, 'hub-1', 0);
      const failing = inCluster(storage, async (cluster) => {
        await cluster.renewLease('hub-2', LEASE_MS);
        await cluster.expireHubs();
        throw new Error('meant');
      });
      await t.rejects(failing, { message: 'meant' });
      t.match(await expired(storage), { living: [], expired: [{ hubId: 'hub-1' }] });
    });

    shared('a renewal waits for the transaction that expires the lease', async (t) => {
      const [one, other] = await bothIn(t, subject);
      await renewed(one, 'hub-1', 0);
      const done: string[] = [];
      let renewing: Promise<string> = Promise.resolve('');
      await inUnit(one, async (unit) => {
        await clusterOf(unit).expireHubs();
        renewing = renewed(other, 'hub-1').finally(() => done.push('renewed'));
        await unit.save(inserting(aTask()));
        done.push('expired');
      });
      t.equal(await renewing, 'made', 'the renewal reports that it had none');
      t.strictSame(done, ['expired', 'renewed']);
    });

    shared('a read right behind a load sees what was committed while the load waited', async (t) => {
      const [one, other] = await bothIn(t, subject);
      const task = aTask();
      const dependent = aTask({ id: aTaskId(2), status: 'blocked', dependsOn: [task.id] });
      await commit(one, inserting(task));
      let reading: Promise<readonly string[]> = Promise.resolve([]);
      await inUnit(one, async (unit) => {
        await unit.load({ tasks: [task.id] });
        reading = inUnit(other, async (behind) => {
          const [, { tasks }] = await Promise.all([
            behind.load({ tasks: [task.id], completing: [task.id] }),
            behind.dependentsOf([{ id: task.id, after: '' }], 10),
          ]);
          return tasks.map(({ id }) => id);
        });
        // Time for the other hub's statements to arrive.
        for (let n = 0; n < 20; n += 1) await unit.read({ tasks: [task.id] });
        await unit.save(inserting(dependent));
      });
      t.strictSame(await reading, [dependent.id]);
    });

    shared('a free duty goes to the first hub that asks', async (t) => {
      const [one, other] = await bothIn(t, subject);
      for (const storage of [one, other, one]) t.equal(await dutyTaken(storage), true);
      await t.rejects(
        inCluster(one, async (cluster) => {
          await cluster.tryTakeDuty('sweep');
          throw new Error('meant');
        }),
      );
      t.equal(await dutyTaken(other), true, 'even after a failed one');
    });

    shared('mail is taken once, oldest first, by the hub it is for', async (t) => {
      const storage = await openedIn(t, subject);
      for (const hubId of ['hub-1', 'hub-2']) await renewed(storage, hubId);
      const all = [3, 1, 2].map((n) => mailNo(n));
      const elsewhere = mailNo(9, { hubId: 'hub-2', to: null, frame: '"\u{1f600} \\u0000"' });
      await posted(storage, ...all.slice(0, 2), elsewhere);
      await posted(storage, ...all.slice(2));
      t.strictSame(await taken(storage, 'hub-1', 2), all.slice(0, 2));
      t.strictSame(await taken(storage, 'hub-1'), all.slice(2));
      t.strictSame(await taken(storage, 'hub-1'), []);
      t.strictSame(await taken(storage, 'hub-2'), [elsewhere]);
    });

    shared('mail sent twice is delivered once, and delivered again if the transaction that took it fails', async (t) => {
      const storage = await openedIn(t, subject);
      await renewed(storage, 'hub-1');
      await posted(storage, mailNo(1));
      await posted(storage, mailNo(1), mailNo(2));
      const failing = inCluster(storage, async (cluster) => {
        await cluster.takeMail('hub-1', 10);
        throw new Error('meant');
      });
      await t.rejects(failing, { message: 'meant' });
      t.strictSame(await taken(storage, 'hub-1'), [mailNo(1), mailNo(2)]);
    });

    shared('mail for a hub without a lease is dropped, and removed when its lease expires', async (t) => {
      const storage = await openedIn(t, subject);
      await posted(storage, mailNo(1));
      await renewed(storage, 'hub-1', 0);
      await renewed(storage, 'hub-2');
      t.strictSame(await taken(storage, 'hub-1'), [], 'it did not exist yet');
      await posted(storage, mailNo(2), mailNo(3, { hubId: 'hub-2' }));
      await expired(storage);
      await renewed(storage, 'hub-1');
      t.strictSame(await taken(storage, 'hub-1'), [], 'its lease has expired');
      t.strictSame(await taken(storage, 'hub-2'), [mailNo(3, { hubId: 'hub-2' })]);
    });

    const at = (id: string, hubId: string | null, connected = true) => anAgent({ id: anAgentId(id), hubId, connected });
    const named = (agents: readonly ActiveAgent[]) => agents.map(({ id, hasStops }) => (hasStops ? `${id}, stopping` : id));
    const gone = aStop({ agentId: anAgentId('gone') });
    const two = aStop({ agentId: anAgentId('two') });
    const agentsOfTwoHubs = {
      ...inserting(anAssignedTask(anAgentId('away'))),
      agents: [at('one', 'hub-1'), at('two', 'hub-2'), at('nobody', null), at('away', 'hub-1', false), at('gone', 'hub-1', false)],
      stopsSet: [two, gone],
    };
    const oneMovedTwoWent = { ...updating(aTask()), agents: [at('one', 'hub-2'), at('two', 'hub-2', false)], stopsCleared: [two, gone] };

    test('returns the active agents, without those of other hubs', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, agentsOfTwoHubs);
      const active = (...exceptOf: readonly string[]) => inUnit(storage, async (unit) => named(await unit.activeAgents(exceptOf)));
      t.strictSame(await active(), ['gone, stopping', 'nobody', 'one', 'two, stopping']);
      t.strictSame(await active('hub-1'), ['gone, stopping', 'nobody', 'two, stopping'], 'a disconnected agent belongs to no hub');
      t.strictSame(await active('hub-2', 'hub-1', 'hub-3'), ['gone, stopping', 'nobody']);
      await commit(storage, oneMovedTwoWent);
      t.strictSame(await active(), ['nobody', 'one']);
    });

    test('leaves out the agents of a hub that already knows all of them', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, agentsOfTwoHubs);
      const active = (hubId: string, count: number) =>
        inUnit(storage, async (unit) => named(await unit.activeAgents([], { hubId, count })));
      const all = ['gone, stopping', 'nobody', 'one', 'two, stopping'];
      t.strictSame(await active('hub-1', 1), ['gone, stopping', 'nobody', 'two, stopping']);
      t.strictSame(await active('hub-2', 1), all, 'an agent with an unconfirmed stop is not left out');
      t.strictSame(await active('hub-1', 0), all, 'one agent is unknown to it');
      t.strictSame(await active('hub-1', 2), all, 'it knows one that is not connected');
      t.strictSame(await active('hub-3', 0), all, 'it has none');
    });

    shared('returns the agents of a hub', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, agentsOfTwoHubs);
      const of = (hubId: string) => inCluster(storage, async (cluster) => named(await cluster.agentsOf(hubId)));
      t.strictSame(await of('hub-1'), ['one']);
      t.strictSame(await of('hub-3'), []);
      t.strictSame(await of('hub-2'), ['two, stopping']);
      await commit(storage, oneMovedTwoWent);
      t.strictSame(await of('hub-2'), ['one'], 'it moved');
    });

    test('returns the time of the store, inside and outside a transaction', async (t) => {
      const storage = await storageIn(t, subject);
      t.equal(typeof storage.tasks.nowMs(), 'number', 'even before open');
      await storage.open();
      const before = storage.tasks.nowMs();
      const within = await inUnit(storage, async (unit) => unit.nowMs);
      for (const timeMs of [within, before, storage.tasks.nowMs()]) t.ok(Number.isSafeInteger(timeMs), `${timeMs} is whole milliseconds`);
      // Two clocks read one after the other, each rounded.
      t.ok(Math.abs(within - before) < 5_000 && within - storage.tasks.nowMs() <= 1, `${before}, ${within}`);
    });

    test('notifications reach the other hubs, but not their sender', async (t) => {
      const [one, other] = await bothIn(t, subject);
      if (one === other) {
        one.notifier.listen(() => t.fail('there is no hub that could notify'))();
        one.notifier.notify(ANY_CHANGE);
        return;
      }
      const received = [listening(t, one), listening(t, other)] as const;
      for (const [from, to] of [[one, received[1]], [other, received[0]]] as const) await to.hears(from); // prettier-ignore
      const a = (id: string): AgentId => anAgentId(id);
      one.notifier.notify({ events: false, work: false, agents: [a('a1'), a('a2')] });
      t.strictSame(await received[1].next(), { events: false, work: false, agents: [a('a1'), a('a2')] });
      one.notifier.notify({ events: false, work: true, agents: [] });
      t.match(await received[1].next(), { events: false, work: true, agents: [] });
      const many = Array.from({ length: 10_000 }, (_, n) => a(`agent-with-a-long-name-${n}`));
      one.notifier.notify({ events: false, work: false, agents: many });
      const ofMany = await received[1].next();
      const namedNow = new Set(ofMany.agents);
      t.ok(ofMany.agents === null || many.every((id) => namedNow.has(id)), 'all of them, or any');
      for (let n = 0; n < 50; n += 1) one.notifier.notify({ events: n === 7, work: n === 30, agents: [a(`a${n}`)] });
      const burst: ChangeHint[] = [];
      while (!burst.some(({ agents }) => agents === null || agents.includes(a('a49')))) burst.push(await received[1].next());
      t.ok(burst.some(({ events }) => events) && burst.some(({ work }) => work), 'simultaneous notifications are complete');
      t.strictSame(new Set(burst.flatMap(({ agents }) => agents ?? [])).size, 50);
      other.notifier.notify({ events: true, work: true, agents: [a('the last')] });
      t.strictSame(
        await received[0].next(),
        { events: true, work: true, agents: [a('the last')] },
        'the first notification it receives, and none of its own',
      );
      t.teardown(other.notifier.listen(() => undefined));
      received[1].end();
      one.notifier.notify(ANY_CHANGE);
      other.notifier.notify({ events: true, work: false, agents: [] });
      await received[0].next();
      t.equal(received[1].left(), 0, 'nothing after the end');
    });
  });
}

/** Two storages over one place, or the same one twice if only one may have it open. */
async function bothIn(t: ContractCase, subject: StorageSubject): Promise<readonly [Storage, Storage]> {
  const place = await subject.place(t);
  const one = await place.storage(systemClock());
  await one.open();
  if (!one.tasks.capabilities.shared) return [one, one];
  const other = await place.storage(systemClock());
  await other.open();
  return [one, other];
}

/** What a storage receives. */
function listening(t: ContractCase, storage: Storage) {
  const hints: ChangeHint[] = [];
  let wake = (): void => undefined;
  const end = storage.notifier.listen((one) => {
    // Sent whenever something may have been missed, as at the beginning: it is not from another hub.
    if (one === ANY_CHANGE) return;
    hints.push(one);
    wake();
  });
  t.teardown(end);
  const next = async (): Promise<ChangeHint> => {
    while (hints.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return hints.shift() as ChangeHint;
  };
  return {
    end,
    next,
    left: () => hints.length,
    /** Has `from` notify until the first notification arrives, and takes all of them. */
    async hears(from: Storage): Promise<void> {
      const LAST = anAgentId('last-of-the-first');
      while (hints.length === 0) {
        from.notifier.notify({ events: true, work: false, agents: [] });
        await new Promise(setImmediate);
      }
      from.notifier.notify({ events: false, work: false, agents: [LAST] });
      while ((await next()).agents?.includes(LAST) !== true);
    },
  };
}
