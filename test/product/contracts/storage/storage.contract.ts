/** What every `Storage` must do: as a whole, here, and in each of its stores. Each MUST of core/ports/storage.ts is a test here. */
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import { inSuite, refuseOptions, type TestRunner } from '../contract-case.ts';
import { aGeneration, aTask, aTaskId, aToken, anAgentId, inserting } from '../fixtures.ts';
import { agentStoreCases } from './agent-store.contract.ts';
import { auditLogCases } from './audit-log.contract.ts';
import { eventFeedCases } from './event-feed.contract.ts';
import { outputStoreCases } from './output-store.contract.ts';
import { commit, failsWith, openedIn, storageIn, type StorageSubject } from './storage-room.ts';
import { storeEarlyCases } from './store-early.contract.ts';
import { storeHistoryCases } from './store-history.contract.ts';
import { storeHubsCases } from './store-hubs.contract.ts';
import { storeQueueCases } from './store-queue.contract.ts';
import { storeRemovalCases } from './store-removal.contract.ts';
import { storeUnitCases } from './store-unit.contract.ts';
import { taskListCases } from './task-list.contract.ts';
import { taskStoreCases } from './task-store.contract.ts';

/** Adds all storage suites; `name` appears in the titles. */
export function storageContract(name: string, subject: StorageSubject, runner: TestRunner): void {
  wholeStorageContract(name, subject, runner);
  storesContract(name, subject, runner);
}

/** Cases for each of its stores: they only need an empty place. */
export function storesContract(name: string, subject: StorageSubject, runner: TestRunner): void {
  taskStoreCases(name, subject, runner);
  taskListCases(name, subject, runner);
  storeUnitCases(name, subject, runner);
  storeQueueCases(name, subject, runner);
  storeHubsCases(name, subject, runner);
  storeEarlyCases(name, subject, runner);
  storeHistoryCases(name, subject, runner);
  storeRemovalCases(name, subject, runner);
  agentStoreCases(name, subject, runner);
  eventFeedCases(name, subject, runner);
  outputStoreCases(name, subject, runner);
  auditLogCases(name, subject, runner);
}

const clock = systemClock();
const DURABLE = 'A storage that is durable outlives its program, and meets what another left in its place';

/** Cases for the storage as a whole: its places were never opened. */
export function wholeStorageContract(name: string, subject: StorageSubject, runner: TestRunner): void {
  const suite = `Storage contract, ${name}`;
  const { capabilities, unopenable } = subject;
  if (typeof capabilities?.durable !== 'boolean' || typeof capabilities.shared !== 'boolean') {
    throw new TypeError(`${suite}: its subject names no capabilities. Pass those of the adapter: { durable, shared }.`);
  }
  if (unopenable === null) {
    refuseOptions(suite, subject, { unopenable: 'A storage with capabilities.durable has to have some; of any other it is not asked.' });
  }
  if (capabilities.durable && unopenable === undefined) {
    throw new TypeError(`${suite}: ${DURABLE}: give its subject unopenable(), storages that cannot be opened.`);
  }

  inSuite(suite, runner, (test) => {
    test('has the capabilities that its subject names', async (t) => {
      const storage = await storageIn(t, subject);
      t.strictSame({ ...storage.tasks.capabilities }, { ...capabilities });
    });

    test('repeated and concurrent opens are one open', async (t) => {
      const storage = await storageIn(t, subject);
      const opened = await Promise.all([storage.open(), storage.open(), storage.open()]);
      opened.push(await storage.open());
      t.equal(new Set(opened.map(({ storeId }) => storeId)).size, 1, 'the same store each time');
      t.match(opened[0]?.storeId, /^\S+$/, 'with a name');
      await commit(storage, inserting(aTask()));
      t.equal((await storage.tasks.stats()).statuses.queued, 1, 'and works');
    });

    test('closes twice, at once, and before open', async (t) => {
      const place = await subject.place(t);
      const storage = await place.storage(clock);
      await storage.close();
      await storage.open();
      await Promise.all([storage.close(), storage.close()]);
      await storage.close();
      t.ok(await (await place.storage(clock)).open(), 'nothing is left that locks out the next hub');
    });

    test('after racing opens and closes the last call decides', async (t) => {
      const place = await subject.place(t);
      const storage = await place.storage(clock);
      await Promise.allSettled([storage.open(), storage.close(), storage.open()]);
      await commit(storage, inserting(aTask()));
      t.equal((await storage.tasks.stats()).statuses.queued, 1, 'open');
      await Promise.allSettled([storage.close(), storage.open(), storage.close()]);
      await failsWith(t, storage.tasks.stats(), 'AC_STORE_CLOSED', 'closed');
      t.ok(await (await place.storage(clock)).open(), 'and released');
    });

    test('refuses everything before open and after close', async (t) => {
      const storage = await storageIn(t, subject);
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
        rotateToken: () => storage.agents.rotateToken('tok-1', aToken({ id: 'tok-2' }), 1),
        getToken: () => storage.agents.getToken('tok-1'),
        endsAmong: () => storage.agents.endsAmong(['tok-1']),
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

    test('finishes running operations before it closes', async (t) => {
      const storage = await openedIn(t, subject);
      const done: string[] = [];
      const writing = commit(storage, inserting(aTask())).then(() => done.push('committed'));
      const closing = storage.close().then(() => done.push('closed'));
      await Promise.all([writing, closing]);
      t.strictSame(done, ['committed', 'closed']);
    });

    test('is healthy while it can commit', async (t) => {
      const storage = await openedIn(t, subject);
      t.equal(await storage.healthy(), true);
      t.equal(await storage.healthy(), true);
    });

    if (capabilities.shared) {
      test('lets a second hub work at the same time', async (t) => {
        const place = await subject.place(t);
        const [first, second] = [await place.storage(clock), await place.storage(clock)];
        await first.open();
        await second.open();
        await commit(first, inserting(aTask()));
        t.strictSame(await second.tasks.peek([aTaskId(1)]), [aTask()]);
      });
    } else {
      test('locks out a second hub, at once and only while the first is alive', async (t) => {
        const place = await subject.place(t);
        const [first, second] = [await place.storage(clock), await place.storage(clock)];
        await first.open();
        const refused = await failsWith(t, second.open(), 'AC_STORAGE_LOCKED', 'refused');
        t.match(refused?.message, /another hub/);
        await commit(first, inserting(aTask()));
        t.equal(await first.healthy(), true, 'the first continues');
        await first.close();
        await second.open();
        t.equal(await second.healthy(), true, 'opens again after a failure');
      });
    }

    test('two databases have different names', async (t) => {
      const [one, two] = [await subject.place(t), await subject.place(t)];
      const [first, second] = [await one.storage(clock), await two.storage(clock)];
      t.not((await first.open()).storeId, (await second.open()).storeId);
    });
  });

  if (capabilities.durable && unopenable !== undefined) durableStorageCases(suite, subject, unopenable, runner);
}

/** Cases for a storage that outlives its program. */
function durableStorageCases(
  suite: string,
  subject: StorageSubject,
  unopenable: NonNullable<StorageSubject['unopenable']>,
  runner: TestRunner,
): void {
  inSuite(suite, runner, (test) => {
    test('retains its name and all commits', async (t) => {
      const place = await subject.place(t);
      const first = await place.storage(clock);
      const { storeId } = await first.open();
      await commit(first, inserting(aTask()));
      await first.agents.addToken(aToken());
      await first.close();
      const second = await place.storage(clock);
      t.equal((await second.open()).storeId, storeId);
      t.strictSame((await second.tasks.peek([aTaskId(1)]))[0], aTask());
      t.strictSame(await second.agents.findToken(aToken().hash), aToken());
      t.equal((await second.tasks.stats()).statuses.queued, 1);
    });

    test('refuses a schema that is newer than this program, and leaves it unchanged', async (t) => {
      const place = await subject.place(t);
      const { makeNewer } = place;
      if (typeof makeNewer !== 'function') return t.fail(`${DURABLE}: give its place makeNewer().`);
      const first = await place.storage(clock);
      await first.open();
      await first.close();
      await makeNewer();
      for (const attempt of ['first', 'second']) {
        const storage = await place.storage(clock);
        const refused = await failsWith(t, storage.open(), 'AC_SCHEMA_UNKNOWN', `${attempt} attempt`);
        t.match(refused?.message, /newer version/);
        t.equal(await storage.healthy(), false);
      }
    });

    test('a storage that cannot be opened reports why, and what to do', async (t) => {
      const cases = await unopenable(t);
      t.ok(cases.length > 0, 'its subject names storages that cannot be opened');
      for (const { why, storage, names } of cases) {
        const refused = await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', why);
        for (const part of names) t.ok(refused?.message.includes(part), `${why}: ${refused?.message ?? ''} names ${part}`);
        await failsWith(t, storage.tasks.stats(), 'AC_STORE_CLOSED', `${why}: is not open`);
        await storage.close();
      }
    });
  });
}
