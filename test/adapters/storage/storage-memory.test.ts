/** The memory twin fulfils the storage contract, and offers what the simulation needs in addition. */
import t from 'tap';
import { memory } from '../../../adapters/storage-memory/memory.ts';
import { memoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { aTask, aTaskId, anEvent, inserting } from '../../product/contracts/fixtures.ts';
import { storageContract } from '../../product/contracts/storage/storage.contract.ts';
import { commit, failsWith, openedIn } from '../../product/contracts/storage/storage-room.ts';
import { memoryStorageSubject } from '../suites/twin-subjects.ts';

const subject = memoryStorageSubject(false);

storageContract('memory', subject, t);
storageContract('memory, shared', memoryStorageSubject(true), t);

t.test('a step can fail a transaction, before and after its commit', async (t) => {
  const steps: string[] = [];
  let failAt = '';
  const storage = memoryStorage({
    clock: virtualClock(),
    onStep: (step, batchId) => {
      steps.push(`${step} ${batchId}`);
      if (step === failAt) throw new Error(`failed at ${step}`);
    },
  });
  await storage.open();
  const insert = (batchId: string) => storage.tasks.transact(batchId, (unit) => unit.save(inserting(aTask())));
  for (failAt of ['begin', 'commit']) {
    await t.rejects(insert('a'), { message: `failed at ${failAt}` });
    t.equal(await storage.tasks.committed('a'), false, `a failure at ${failAt} changes nothing`);
    t.equal(await storage.tasks.read(aTaskId(1)), undefined);
  }
  failAt = 'committed';
  await t.rejects(insert('b'), { message: 'failed at committed' });
  t.equal(await storage.tasks.committed('b'), true, 'the outcome was commit, though the answer was lost');
  t.ok(await storage.tasks.read(aTaskId(1)));
  t.strictSame(steps, ['begin a', 'begin a', 'commit a', 'begin b', 'commit b', 'committed b']);
  await storage.close();
});

t.test('stored values cannot be changed from outside', async (t) => {
  const storage = await openedIn(t, subject);
  const details = { list: [1] };
  await commit(storage, { ...inserting(aTask()), events: [anEvent({ details })] });
  details.list.push(2);
  const found = await storage.tasks.read(aTaskId(1));
  t.strictSame(found?.events[0]?.details, { list: [1] });
  t.throws(() => Object.assign(found?.task ?? {}, { status: 'completed' }), TypeError);
});

t.test('memory() creates a new, empty storage each time', async (t) => {
  const choice = memory();
  t.match(choice, { port: 'storage', name: 'memory', capabilities: { durable: false, shared: false } });
  t.strictSame(choice.problems(), []);
  const clock = virtualClock();
  const deps = { dataDir: '/nowhere', clock, log: silentLog };
  const first = await choice.create(deps);
  await failsWith(t, first.tasks.stats(), 'AC_STORE_CLOSED', 'does not open by itself');
  const { storeId } = await first.open();
  clock.advance(1);
  const second = await choice.create(deps);
  t.not((await second.open()).storeId, storeId, 'a restarted hub has another store');
  await Promise.all([first.close(), second.close()]);
});
