/** What every `Storage` keeps as a whole. Each MUST of core/ports/storage.ts is a test here. */
import t from 'tap';
import { aGeneration, aTask, aTaskId, aToken, anAgentId, inserting } from '../fixtures.ts';
import { commit, failsWith, openedIn, type StorageSubject } from './storage-room.ts';

export function storageContract(name: string, subject: StorageSubject): void {
  t.test(`Storage contract: ${name}`, async (t) => {
    t.test('opens twice and at once as one', async (t) => {
      const storage = await (await subject.place(t)).storage();
      const opened = await Promise.all([storage.open(), storage.open(), storage.open()]);
      opened.push(await storage.open());
      t.equal(new Set(opened.map(({ storeId }) => storeId)).size, 1, 'the same store each time');
      t.match(opened[0]?.storeId, /^\S+$/, 'with a name');
      await commit(storage, inserting(aTask()));
      t.equal((await storage.tasks.stats()).statuses.queued, 1, 'and works');
    });

    t.test('closes twice, at once, and before open', async (t) => {
      const place = await subject.place(t);
      const storage = await place.storage();
      await storage.close();
      await storage.open();
      await Promise.all([storage.close(), storage.close()]);
      await storage.close();
      await (await place.storage()).open();
      t.pass('nothing was left that keeps the next hub out');
    });

    t.test('open and close that race end as the last of them said', async (t) => {
      const place = await subject.place(t);
      const storage = await place.storage();
      await Promise.allSettled([storage.open(), storage.close(), storage.open()]);
      await commit(storage, inserting(aTask()));
      t.equal((await storage.tasks.stats()).statuses.queued, 1, 'open');
      await Promise.allSettled([storage.close(), storage.open(), storage.close()]);
      await failsWith(t, storage.tasks.stats(), 'AC_STORE_CLOSED', 'closed');
      await (await place.storage()).open();
      t.pass('and let go');
    });

    t.test('refuses everything before open and after close', async (t) => {
      const storage = await (await subject.place(t)).storage();
      const uses = {
        transact: () => storage.tasks.transact('b', async () => 1),
        committed: () => storage.tasks.committed('b'),
        read: () => storage.tasks.read(aTaskId(1)),
        list: () => storage.tasks.list({ limit: 1 }),
        stats: () => storage.tasks.stats(),
        peek: () => storage.tasks.peek([aTaskId(1)]),
        nextDueAtMs: () => storage.tasks.nextDueAtMs(),
        addToken: () => storage.agents.addToken(aToken()),
        findToken: () => storage.agents.findToken('h'),
        findTokenByHint: () => storage.agents.findTokenByHint('0'.repeat(16)),
        listTokens: () => storage.agents.listTokens({ limit: 1 }),
        revokedAmong: () => storage.agents.revokedAmong(['tok-1']),
        revokeTokens: () => storage.agents.revokeTokens({ id: 'tok-1' }, 1),
        addEnrolSecret: () => storage.agents.addEnrolSecret('h', 1),
        findEnrolSecret: () => storage.agents.findEnrolSecret('0'.repeat(16), 1),
        takeEnrolSecret: () => storage.agents.takeEnrolSecret('h', 1),
        listAgents: () => storage.agents.listAgents({ limit: 1 }),
        getAgent: () => storage.agents.getAgent(anAgentId()),
        after: () => storage.events.after(0, {}, 1),
        marks: () => storage.events.marks(),
        history: () => storage.tasks.history(aTaskId(1), { limit: 1, bytesMax: 1 }),
        keptResult: () => storage.tasks.keptResult({ taskId: aTaskId(1), generation: aGeneration(1), agentId: anAgentId() }),
      };
      const refused = async (when: string): Promise<void> => {
        for (const [use, call] of Object.entries(uses)) await failsWith(t, call(), 'AC_STORE_CLOSED', `${use} ${when}`);
        t.equal(await storage.healthy(), false, `not healthy ${when}, and does not throw`);
      };
      await refused('before open');
      await storage.open();
      await storage.close();
      await refused('after close');
    });

    t.test('lets what is under way end before it closes', async (t) => {
      const storage = await openedIn(t, subject);
      const done: string[] = [];
      const writing = commit(storage, inserting(aTask())).then(() => done.push('committed'));
      const closing = storage.close().then(() => done.push('closed'));
      await Promise.all([writing, closing]);
      t.strictSame(done, ['committed', 'closed']);
    });

    t.test('is healthy while it can commit', async (t) => {
      const storage = await openedIn(t, subject);
      t.equal(await storage.healthy(), true);
      t.equal(await storage.healthy(), true);
    });

    t.test('keeps a second hub out, at once and only as long as the first lives', async (t) => {
      const place = await subject.place(t);
      const first = await place.storage();
      const second = await place.storage();
      await first.open();
      if (first.tasks.capabilities.shared) {
        await second.open();
        t.pass('shared: both may work');
        return;
      }
      const refused = await failsWith(t, second.open(), 'AC_STORAGE_LOCKED', 'refused');
      t.match(refused?.message, /another hub/);
      await commit(first, inserting(aTask()));
      t.equal(await first.healthy(), true, 'the first goes on');
      await first.close();
      await second.open();
      t.equal(await second.healthy(), true, 'opens again after a failure');
    });

    t.test('keeps its name and what was committed', async (t) => {
      const place = await subject.place(t);
      const first = await place.storage();
      if (!first.tasks.capabilities.durable) {
        t.pass('promises no durability');
        return;
      }
      const { storeId } = await first.open();
      await commit(first, inserting(aTask()));
      await first.agents.addToken(aToken());
      await first.close();
      const second = await place.storage();
      t.equal((await second.open()).storeId, storeId);
      t.strictSame((await second.tasks.peek([aTaskId(1)]))[0], aTask());
      t.strictSame(await second.agents.findToken(aToken().hash), aToken());
      t.equal((await second.tasks.stats()).statuses.queued, 1);
    });

    t.test('two databases have two names', async (t) => {
      const [one, two] = [await subject.place(t), await subject.place(t)];
      const [first, second] = [await one.storage(), await two.storage()];
      t.not((await first.open()).storeId, (await second.open()).storeId);
    });

    t.test('refuses a schema that is newer than this program, and leaves it alone', async (t) => {
      const place = await subject.place(t);
      if (place.makeNewer === null) {
        t.pass('has no schema');
        return;
      }
      const first = await place.storage();
      await first.open();
      await first.close();
      await place.makeNewer();
      for (const attempt of ['first', 'second']) {
        const storage = await place.storage();
        const refused = await failsWith(t, storage.open(), 'AC_SCHEMA_UNKNOWN', `${attempt} attempt`);
        t.match(refused?.message, /newer version/);
        t.equal(await storage.healthy(), false);
      }
    });

    t.test('what cannot be opened says what, and what to do', async (t) => {
      const cases = (await subject.unopenable?.(t)) ?? [];
      if (subject.unopenable === null) t.pass('nothing can be in the way');
      for (const { why, storage, names } of cases) {
        const refused = await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', why);
        for (const part of names) t.ok(refused?.message.includes(part), `${why}: ${refused?.message ?? ''} names ${part}`);
        await failsWith(t, storage.tasks.stats(), 'AC_STORE_CLOSED', `${why}: is not open`);
        await storage.close();
      }
    });
  });
}
