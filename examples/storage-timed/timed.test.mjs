// @ts-check
/** What every storage is held to, on the real thing, and what is this one's own. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { memory, sqlite } from 'agentcom/storage';
import { makeSqliteNewer, memoryLog, silentLog, storageContract, systemClock, virtualClock } from 'agentcom/testing';
import { timed } from './timed.mjs';

/** @typedef {import('agentcom/testing').Teardown} Teardown */

/** @param {Teardown} t */
async function emptyFolder(t) {
  const folder = await mkdtemp(join(tmpdir(), 'storage-timed-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

/**
 * @param {Teardown} t
 * @param {string} dataDir
 */
async function timedSqlite(t, dataDir, clock = systemClock()) {
  const storage = await timed(sqlite({ file: 'tasks.db' })).create({ dataDir, clock, log: silentLog });
  t.teardown(() => storage.close());
  return storage;
}

storageContract(
  'timed sqlite',
  {
    capabilities: { durable: true, shared: false },
    async place(t) {
      const dataDir = await emptyFolder(t);
      return {
        storage: (clock) => timedSqlite(t, dataDir, clock),
        makeNewer: () => makeSqliteNewer(join(dataDir, 'tasks.db')),
      };
    },
    async unopenable(t) {
      const dataDir = await emptyFolder(t);
      await mkdir(join(dataDir, 'tasks.db'));
      return [{ why: 'a folder is where the file should be', storage: await timedSqlite(t, dataDir), names: ['tasks.db'] }];
    },
  },
  { test },
);

test('a commit that took long is logged, one that did not is not', async () => {
  const [clock, log] = [virtualClock(), memoryLog()];
  const storage = await timed(memory(), { slowMs: 200 }).create({ dataDir: '/nowhere', clock, log });
  assert.equal(storage.name, 'timed memory', 'as /health will name it');
  assert.equal(storage.tasks.capabilities.durable, false, 'and as durable as what keeps the tasks');
  await storage.open();
  for (const ms of [199, 200]) await storage.tasks.transact(`batch-${ms}`, async () => void clock.advance(ms));
  await storage.close();
  const fields = { storage: 'memory', batchId: 'batch-200', tookMs: 200 };
  assert.deepEqual(log.lines, [{ level: 'warn', message: 'a commit took long', fields }]);
});

test('it says what is wrong with its options, and with those of what it is made of', () => {
  assert.deepEqual(timed(sqlite({ file: 'a.db' }), { slowMs: 0 }).problems(), []);
  const wrong = timed(sqlite({ file: '' }), /** @type {object} */ ({ slowMs: -1, slow: 1 }));
  assert.deepEqual(
    wrong.problems().map(({ path }) => path),
    ['file', 'slowMs', 'slow'],
  );
});
