/** What every store keeps of the hubs that use it: leases, duties, mail, whose agents are whose, and their calls to each other. */
import t, { type Test } from 'tap';
import type { HubMail } from '../../../../core/domain/agent/hub-lease.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { LOOK_AT_ALL, type Look } from '../../../../core/ports/hub-calls.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { ActiveAgent, StoreUnit } from '../../../../core/ports/task-store.ts';
import { aMail, aStop, aTask, anAgent, anAgentId, anAssignedTask, changes, inserting, updating } from '../fixtures.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

const look = <T>(storage: Storage, work: (unit: StoreUnit) => Promise<T>): Promise<T> => storage.tasks.transact('look', work);
const LEASE_MS = 60_000;
const renewed = (storage: Storage, hubId: string, leaseMs = LEASE_MS) => look(storage, (unit) => unit.renewHub(hubId, leaseMs));
const buried = (storage: Storage) => look(storage, (unit) => unit.buryHubs());
const mailNo = (n: number, over: Partial<HubMail> = {}): HubMail => aMail({ id: `mail-${n}`, frame: `{"n":${n}}`, ...over });
const posted = (storage: Storage, ...mail: readonly HubMail[]) => commit(storage, changes({ mail }));
const taken = (storage: Storage, hubId: string, limit = 10) => look(storage, (unit) => unit.takeMail(hubId, limit));

export function storeHubsContract(name: string, subject: StorageSubject): void {
  t.test(`Store hubs contract: ${name}`, async (t) => {
    t.test('a lease is made, then renewed, and lasts from the time of its transaction', async (t) => {
      const storage = await openedIn(t, subject);
      t.equal(await renewed(storage, 'hub-1'), 'made');
      t.equal(await renewed(storage, 'hub-1'), 'renewed');
      t.equal(await renewed(storage, 'hub-2', 0), 'made');
      t.match(await buried(storage), { living: ['hub-1'], dead: [{ hubId: 'hub-2' }] });
      const endedAtMs = await look(storage, async (unit) => {
        await unit.renewHub('hub-1', -5);
        return unit.nowMs - 5;
      });
      t.strictSame((await buried(storage)).dead, [{ hubId: 'hub-1', untilMs: endedAtMs }], 'shortened, it has ended');
    });

    t.test('a hub that was buried is buried once, and has no lease until it makes another', async (t) => {
      const storage = await openedIn(t, subject);
      await renewed(storage, 'hub-1', 0);
      t.equal((await buried(storage)).dead.length, 1);
      t.strictSame(await buried(storage), { living: [], dead: [] });
      t.equal(await renewed(storage, 'hub-1'), 'made');
      t.strictSame(await buried(storage), { living: ['hub-1'], dead: [] });
    });

    t.test('a renewal or burial that fails changes nothing', async (t) => {
      const storage = await openedIn(t, subject);
      await renewed(storage, 'hub-1', 0);
      const failing = look(storage, async (unit) => {
        await unit.renewHub('hub-2', LEASE_MS);
        await unit.buryHubs();
        throw new Error('meant');
      });
      await t.rejects(failing, { message: 'meant' });
      t.match(await buried(storage), { living: [], dead: [{ hubId: 'hub-1' }] });
    });

    t.test('a renewal waits for the transaction that buries the hub', async (t) => {
      const [one, other] = await bothIn(t, subject);
      await renewed(one, 'hub-1', 0);
      const done: string[] = [];
      let renewing: Promise<string> = Promise.resolve('');
      await look(one, async (unit) => {
        await unit.buryHubs();
        renewing = renewed(other, 'hub-1').finally(() => done.push('renewed'));
        await unit.save(inserting(aTask()));
        done.push('buried');
      });
      t.equal(await renewing, 'made', 'it hears that it was buried');
      t.strictSame(done, ['buried', 'renewed']);
    });

    t.test('a duty is taken by whoever asks while nobody has it', async (t) => {
      const [one, other] = await bothIn(t, subject);
      for (const storage of [one, other, one]) t.equal(await look(storage, (unit) => unit.takeDuty('sweep')), true);
      await t.rejects(
        look(one, async (unit) => {
          await unit.takeDuty('sweep');
          throw new Error('meant');
        }),
      );
      t.equal(await look(other, (unit) => unit.takeDuty('sweep')), true, 'also after one that failed');
    });

    t.test('mail is taken once, oldest first, by the hub it is for', async (t) => {
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

    t.test('mail that is said twice comes once, and what was taken by a transaction that failed comes again', async (t) => {
      const storage = await openedIn(t, subject);
      await renewed(storage, 'hub-1');
      await posted(storage, mailNo(1));
      await posted(storage, mailNo(1), mailNo(2));
      const failing = look(storage, async (unit) => {
        await unit.takeMail('hub-1', 10);
        throw new Error('meant');
      });
      await t.rejects(failing, { message: 'meant' });
      t.strictSame(await taken(storage, 'hub-1'), [mailNo(1), mailNo(2)]);
    });

    t.test('mail for a hub without a lease is dropped, and that of a dead hub goes with it', async (t) => {
      const storage = await openedIn(t, subject);
      await posted(storage, mailNo(1));
      await renewed(storage, 'hub-1', 0);
      await renewed(storage, 'hub-2');
      t.strictSame(await taken(storage, 'hub-1'), [], 'it was not there yet');
      await posted(storage, mailNo(2), mailNo(3, { hubId: 'hub-2' }));
      await buried(storage);
      await renewed(storage, 'hub-1');
      t.strictSame(await taken(storage, 'hub-1'), [], 'it died meanwhile');
      t.strictSame(await taken(storage, 'hub-2'), [mailNo(3, { hubId: 'hub-2' })]);
    });

    t.test('knows the agents of a hub, and those that are active without it', async (t) => {
      const storage = await openedIn(t, subject);
      const at = (id: string, hubId: string | null, connected = true) => anAgent({ id: anAgentId(id), hubId, connected });
      await commit(storage, {
        ...inserting(anAssignedTask(anAgentId('away'))),
        agents: [at('one', 'hub-1'), at('two', 'hub-2'), at('nobody', null), at('away', 'hub-1', false), at('gone', 'hub-1', false)],
        stopsSet: [aStop({ agentId: anAgentId('two') }), aStop({ agentId: anAgentId('gone') })],
      });
      const named = (agents: readonly ActiveAgent[]) => agents.map(({ id, hasStops }) => (hasStops ? `${id}, stopping` : id));
      const of = (hubId: string) => look(storage, async (unit) => named(await unit.agentsOf(hubId)));
      const active = (...exceptOf: readonly string[]) => look(storage, async (unit) => named(await unit.activeAgents(exceptOf)));
      t.strictSame(await of('hub-1'), ['one']);
      t.strictSame(await of('hub-3'), []);
      t.strictSame(await of('hub-2'), ['two, stopping']);
      t.strictSame(await active(), ['gone, stopping', 'nobody', 'one', 'two, stopping']);
      t.strictSame(await active('hub-1'), ['gone, stopping', 'nobody', 'two, stopping'], 'who is away is of no hub');
      t.strictSame(await active('hub-2', 'hub-1', 'hub-3'), ['gone, stopping', 'nobody']);
      await commit(storage, { ...updating(aTask()), agents: [at('one', 'hub-2'), at('two', 'hub-2', false)], stopsCleared: [aStop({ agentId: anAgentId('two') }), aStop({ agentId: anAgentId('gone') })] }); // prettier-ignore
      t.strictSame(await of('hub-2'), ['one'], 'it moved');
      t.strictSame(await active(), ['nobody', 'one']);
    });

    t.test('tells the time of the store, in a transaction and outside', async (t) => {
      const storage = await (await subject.place(t)).storage();
      t.type(storage.tasks.nowMs(), 'number', 'also before open');
      await storage.open();
      const before = storage.tasks.nowMs();
      const within = await look(storage, async (unit) => unit.nowMs);
      for (const timeMs of [within, before, storage.tasks.nowMs()]) t.ok(Number.isSafeInteger(timeMs), `${timeMs} is whole milliseconds`);
      // Two clocks that are read one after the other, each rounded.
      t.ok(Math.abs(within - before) < 5_000 && within - storage.tasks.nowMs() <= 1, `${before}, ${within}`);
    });

    t.test('calls reach the others, and not who calls', async (t) => {
      const [one, other] = await bothIn(t, subject);
      if (one === other) {
        one.calls.listen(() => t.fail('there is nobody who could call'))();
        one.calls.call(LOOK_AT_ALL);
        return;
      }
      const ears = [listening(t, one), listening(t, other)] as const;
      for (const [from, to] of [[one, ears[1]], [other, ears[0]]] as const) await to.hears(from); // prettier-ignore
      const a = (id: string): AgentId => anAgentId(id);
      one.calls.call({ events: false, work: false, agents: [a('a1'), a('a2')] });
      t.strictSame(await ears[1].next(), { events: false, work: false, agents: [a('a1'), a('a2')] });
      one.calls.call({ events: false, work: true, agents: [] });
      t.match(await ears[1].next(), { events: false, work: true, agents: [] });
      const many = Array.from({ length: 10_000 }, (_, n) => a(`agent-with-a-long-name-${n}`));
      one.calls.call({ events: false, work: false, agents: many });
      const ofMany = await ears[1].next();
      const called = new Set(ofMany.agents);
      t.ok(ofMany.agents === null || many.every((id) => called.has(id)), 'all of them, or any');
      for (let n = 0; n < 50; n += 1) one.calls.call({ events: n === 7, work: n === 30, agents: [a(`a${n}`)] });
      const burst: Look[] = [];
      while (!burst.some(({ agents }) => agents === null || agents.includes(a('a49')))) burst.push(await ears[1].next());
      t.ok(burst.some(({ events }) => events) && burst.some(({ work }) => work), 'nothing is left out of what is said at once');
      t.strictSame(new Set(burst.flatMap(({ agents }) => agents ?? [])).size, 50);
      other.calls.call({ events: true, work: true, agents: [a('the last')] });
      t.strictSame(await ears[0].next(), { events: true, work: true, agents: [a('the last')] }, 'the first word it hears: none of its own');
      t.teardown(other.calls.listen(() => undefined));
      ears[1].end();
      one.calls.call(LOOK_AT_ALL);
      other.calls.call({ events: true, work: false, agents: [] });
      await ears[0].next();
      t.equal(ears[1].left(), 0, 'nothing after the end');
    });
  });
}

/** Two storages over one place, or twice the same where only one may have it open. */
async function bothIn(t: Test, subject: StorageSubject): Promise<readonly [Storage, Storage]> {
  const place = await subject.place(t);
  const one = await place.storage();
  await one.open();
  if (!one.tasks.capabilities.shared) return [one, one];
  const other = await place.storage();
  await other.open();
  return [one, other];
}

/** What a storage hears. */
function listening(t: Test, storage: Storage) {
  const heard: Look[] = [];
  let wake = (): void => undefined;
  const end = storage.calls.listen((one) => {
    // Said whenever something may have been missed, as at the beginning: no call of another.
    if (one === LOOK_AT_ALL) return;
    heard.push(one);
    wake();
  });
  t.teardown(end);
  const next = async (): Promise<Look> => {
    while (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return heard.shift() as Look;
  };
  return {
    end,
    next,
    left: () => heard.length,
    /** Has `from` call until the first call arrives, and takes all of them. */
    async hears(from: Storage): Promise<void> {
      const LAST = anAgentId('last-of-the-first');
      while (heard.length === 0) {
        from.calls.call({ events: true, work: false, agents: [] });
        await new Promise(setImmediate);
      }
      from.calls.call({ events: false, work: false, agents: [LAST] });
      while ((await next()).agents?.includes(LAST) !== true);
    },
  };
}
