// @ts-check
/** What every storage is held to, on the real thing, and what is this one's own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memory, sqlite } from 'agentcom/storage';
import { memoryLog, silentLog, systemClock, virtualClock, wholeStorageContract } from 'agentcom/testing';
import t from 'tap';
import { timed } from './timed.mjs';

wholeStorageContract('timed sqlite', {
  async place(t) {
    const dataDir = await mkdtemp(join(tmpdir(), 'storage-timed-'));
    t.teardown(() => rm(dataDir, { recursive: true }));
    return {
      async storage() {
        const storage = await timed(sqlite({ file: 'tasks.db' })).create({ dataDir, clock: systemClock(), log: silentLog });
        t.teardown(() => storage.close());
        return storage;
      },
      // How a schema becomes newer is the business of the storage below.
      makeNewer: null,
    };
  },
  unopenable: null,
});

t.test('a commit that took long is told, one that did not is not', async (t) => {
  const [clock, log] = [virtualClock(), memoryLog()];
  const storage = await timed(memory(), { slowMs: 200 }).create({ dataDir: '/nowhere', clock, log });
  t.equal(storage.name, 'timed memory', 'as /health will name it');
  t.equal(storage.tasks.capabilities.durable, false, 'and as durable as what keeps the tasks');
  await storage.open();
  t.teardown(() => storage.close());
  for (const ms of [199, 200]) await storage.tasks.transact(`batch-${ms}`, async () => void clock.advance(ms));
  t.match(log.lines, [{ level: 'warn', message: 'a commit took long', fields: { storage: 'memory', batchId: 'batch-200', tookMs: 200 } }]);
  t.equal(log.lines.length, 1);
});

t.test('it says what is wrong with its options, and with those of what it is made of', async (t) => {
  t.strictSame(timed(sqlite({ file: 'a.db' }), { slowMs: 0 }).problems(), []);
  const wrong = timed(sqlite({ file: '' }), /** @type {object} */ ({ slowMs: -1, slow: 1 }));
  t.strictSame(
    wrong.problems().map(({ path }) => path),
    ['file', 'slowMs', 'slow'],
  );
});
