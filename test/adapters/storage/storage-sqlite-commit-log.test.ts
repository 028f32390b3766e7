/** The commit log beside the SQLite database: what was acknowledged is in it before SQLite commits, and is there after the hub was killed. */
import fs from 'node:fs';
import { mkdir, readdir, readFile, rename, rmdir, stat, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { backUpSqlite, restoreSqlite } from '../../../adapters/storage-knex/move/sqlite-backup.ts';
import { sqlitePlace } from '../../../adapters/storage-knex/move/sqlite-place.ts';
import {
  commitLogOf,
  RECORDS_BYTES,
  readCommitLog,
  saveCommitLog,
} from '../../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import { recordsIn, type LoggedBatch } from '../../../adapters/storage-knex/sqlite/commit-log/commit-records.ts';
import type { SqliteDriver } from '../../../adapters/storage-knex/sqlite/sqlite-driver.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import { statementFaults } from '../../faults/rig/statement-faults.ts';
import { aKey, aTask, aTaskId, inserting, updating } from '../../product/contracts/fixtures.ts';
import { failsWith } from '../../product/contracts/storage/storage-room.ts';
import {
  type Acknowledged,
  batchOf,
  COMMITTED_AFTER_MS,
  RECORDS_START,
  hasAfterKill,
  hasExactly,
  keyOf,
  killed,
  loggedStore,
  newFile,
  opened,
  recordOf,
  saveBatch,
  saveBatches,
  tasksSeen,
} from '../storage-places/logged-store.ts';
import { emptyFolder, outside, testedDriver } from '../storage-places/sqlite-storage-place.ts';

const NOW_MS = Date.UTC(2026, 0, 1);

t.test('R1: what a killed hub acknowledged is in its log alone, and in the store once that is opened', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 6);
  t.equal((await readCommitLog(file))?.batches.length, 6);
  const copy = await killed(t, file);
  const { storage } = await opened(t, copy);
  await hasExactly(t, storage, acknowledged, 'opened');
  t.equal(await storage.tasks.committed('batch 7'), false);
  await saveBatch(storage, acknowledged, 7);
  t.strictSame(acknowledged.get(7), [13, 14], 'numbers continue');
  await hasAfterKill(t, copy, acknowledged, 'killed again');
});

t.test('what a killed hub left is saved without the temporary folder of the system', async (t) => {
  // Before, a hub did not start after a kill while that was full or read-only.
  const { file } = await loggedStore(t, 6);
  const found: unknown[] = [];
  const driver: SqliteDriver = {
    ...testedDriver,
    async open(...of) {
      const opened = await testedDriver.open(...of);
      return { ...opened, close: async () => (found.push(...(await opened.connection.rows('PRAGMA temp_store'))), opened.close()) };
    },
  };
  t.equal(await saveCommitLog(driver, await killed(t, file)), 6);
  t.strictSame(found, [{ temp_store: 2 }], 'in memory');
});

t.test('SQLite commits a batch once it is old, and other connections see it', async (t) => {
  const { file, storage, clock, acknowledged } = await loggedStore(t, 2);
  clock.advance(COMMITTED_AFTER_MS);
  await storage.tasks.peek([]);
  for (let tries = 0; tries < 1_000 && (await tasksSeen(file)) === 0; tries += 1) await sleep(5);
  t.equal(await tasksSeen(file), 2);
  t.equal(clock.pending, 0, 'no timer is left');
  await hasAfterKill(t, file, acknowledged, 'after that');
});

t.test('while each batch is read, SQLite commits the next ones itself', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 1);
  await storage.tasks.stats();
  for (let n = 2; n <= 17; n += 1) {
    await saveBatch(storage, acknowledged, n);
    t.equal(await tasksSeen(file), n, `batch ${n}`);
  }
  await saveBatch(storage, acknowledged, 18);
  t.equal(await tasksSeen(file), 17, 'then the log is tried again');
  await hasAfterKill(t, file, acknowledged, 'after that');
});

t.test('R2: a batch that SQLite refuses is not in the log, and those after it are', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 1);
  const taken = { ...inserting(aTask({ id: aTaskId(50) })), keys: [aKey({ key: keyOf(1), taskIds: [aTaskId(50)] })] };
  for (let tries = 0; tries < 2; tries += 1)
    await failsWith(
      t,
      storage.tasks.transact('taken', (unit) => unit.save(taken, true)),
      'AC_STORE_RETRY',
      'the key is taken',
    );
  await hasAfterKill(t, file, acknowledged, 'after a refused one');
  await saveBatches(storage, acknowledged, 2, 4);
  await hasAfterKill(t, file, acknowledged, 'and later ones');
  t.equal(await tasksSeen(file), 0, 'they are in the log alone');
  const again = await storage.tasks.transact('again', (unit) => unit.save(batchOf(1), true));
  t.strictSame(again.map(({ id }) => id), acknowledged.get(1), 'a repeated one keeps its numbers'); // prettier-ignore
  await hasAfterKill(t, file, acknowledged, 'after a repeated one');
  await saveBatches(storage, acknowledged, 5, 6);
  await hasAfterKill(t, file, acknowledged, 'and later ones');
  // The last one for which SQLite waits: the log begins from its start again.
  for (let n = 7; n <= 45; n += 1) {
    await failsWith(
      t,
      storage.tasks.transact('taken', (unit) => unit.save(taken, true)),
      'AC_STORE_RETRY',
      `before batch ${n}`,
    );
    await saveBatch(storage, acknowledged, n);
    if (n % 6 === 0) await hasAfterKill(t, file, acknowledged, `after batch ${n}`);
  }
  t.equal(await storage.tasks.committed('taken'), false);
  await hasExactly(t, storage, acknowledged, 'the hub itself');
});

t.test('every read sees what was acknowledged, and after a clean close the database alone has everything', async (t) => {
  const file = await newFile(t);
  const acknowledged: Acknowledged = new Map();
  const { storage } = await opened(t, file);
  const reads: readonly (() => Promise<number>)[] = [
    async () => (await storage.tasks.stats()).statuses.queued,
    async () => (await storage.tasks.list({ limit: 100 })).length,
    async () => (await storage.tasks.peek([...acknowledged.keys()].map(aTaskId))).length,
    async () => (await storage.tasks.transact('load', (unit) => unit.load({ tasks: [...acknowledged.keys()].map(aTaskId) }))).tasks.length,
  ];
  for (let n = 1; n <= 12; n += 1) {
    await saveBatch(storage, acknowledged, n);
    t.equal(await reads[n % reads.length]?.(), n);
  }
  await saveBatches(storage, acknowledged, 13, 15);
  t.ok((await readdir(path.dirname(file))).includes('agentcom.db-commits'));
  await storage.close();
  t.strictSame((await readdir(path.dirname(file))).toSorted(), ['agentcom.db', 'hub.lock']);
  t.equal(await tasksSeen(file), 15);
  await hasExactly(t, (await opened(t, file)).storage, acknowledged, 'opened again');
});

t.test('R1: many batches and large ones are all there after a kill', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 15);
  for (let n = 16; n <= 54; n += 1) {
    await saveBatch(storage, acknowledged, n);
    if ([16, 17, 32, 33, 54].includes(n)) await hasAfterKill(t, file, acknowledged, `${n} batches`);
  }
  const x = (length: number): string => 'x'.repeat(length);
  // Together they are larger than the log, although each is smaller, and the first one is not enough for SQLite to commit.
  const overHalf = [x(400_000), '日'.repeat(650_000)];
  const texts = [400_000, 400_000, 400_000, 10, 650_000, 1_100_000, 2_200_000, 10, 10, 2_200_000, 690_000, 690_000, 690_000].map(x);
  for (const [nth, text] of [...texts, ...overHalf, ...overHalf, x(10), ...overHalf].entries()) {
    await saveBatch(storage, acknowledged, 100 + nth, text);
    if (nth % 2 === 0) await hasAfterKill(t, file, acknowledged, `${nth + 1} large ones`);
  }
  await hasAfterKill(t, file, acknowledged, 'all');
  await hasExactly(t, storage, acknowledged, 'the hub itself');
});

t.test('a backup beside a running hub has everything that was acknowledged', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 5);
  const backup = path.join(await emptyFolder(t), 'backup.db');
  const summary = await backUpSqlite(testedDriver, file, { file: backup, replace: false });
  t.match(summary, { tasks: 5 });
  t.equal(await tasksSeen(file), 0, 'SQLite has committed none of them');
  t.strictSame(await readdir(path.dirname(backup)), ['backup.db'], 'the backup has no log');
  await hasExactly(t, (await opened(t, backup)).storage, acknowledged, 'the backup');
  await saveBatches(storage, acknowledged, 6, 7);
  await hasAfterKill(t, file, acknowledged, 'the hub continues');
});

t.test('backups while a hub saves batches of any size have what was acknowledged before them', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 1);
  let isOver = false;
  const saving = (async () => {
    for (let n = 2; !isOver; n += 1) await saveBatch(storage, acknowledged, n, 'x'.repeat(n % 3 === 0 ? 10 : 600_000));
  })();
  for (let round = 1; round <= 6; round += 1) {
    const before = acknowledged.size;
    const backup = path.join(await emptyFolder(t), 'backup.db');
    await backUpSqlite(testedDriver, file, { file: backup, replace: false }).catch((thrown: unknown) => t.fail(String(thrown)));
    const found = await tasksSeen(backup);
    t.ok(found >= before, `${found} of at least ${before}`);
  }
  isOver = true;
  await saving;
});

t.test('a backup that read the log while it was written to reads it again', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 3);
  const copy = await killed(t, file);
  const log = await readFile(commitLogOf(copy));
  const batches = recordsIn(log.subarray(RECORDS_START, RECORDS_START + RECORDS_BYTES)).records;
  // As it is found if batch 2 is written after its place was read, and batch 3 before its own is.
  const gap = Buffer.from(log).fill(0, RECORDS_START);
  recordOf(batches[0] as LoggedBatch).copy(gap, RECORDS_START);
  recordOf(batches[2] as LoggedBatch).copy(gap, RECORDS_START + 2 * recordOf(batches[0] as LoggedBatch).length);
  await writeFile(commitLogOf(copy), gap);
  const backup = path.join(await emptyFolder(t), 'backup.db');
  await failsWith(t, backUpSqlite(testedDriver, copy, { file: backup, replace: false }), 'AC_STORAGE_OPEN', 'if the gap stays');
  t.strictSame(await readdir(path.dirname(backup)), [], 'and nothing is left');
  const backingUp = backUpSqlite(testedDriver, copy, { file: backup, replace: false });
  await sleep(60);
  await writeFile(`${copy}.new`, log, { mode: 0o600 });
  await rename(`${copy}.new`, commitLogOf(copy));
  await backingUp;
  await hasExactly(t, (await opened(t, backup)).storage, acknowledged, 'the backup');
});

t.test('the log of a killed hub is part of its store when that is restored, renewed or moved', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 2);
  const backup = path.join(await emptyFolder(t), 'backup.db');
  await backUpSqlite(testedDriver, file, { file: backup, replace: false });
  const inBackup: Acknowledged = new Map(acknowledged);
  await saveBatches(storage, acknowledged, 3, 4);

  const restored = await killed(t, file);
  const { kept } = await restoreSqlite(testedDriver, restored, { file: backup, replace: true }, NOW_MS);
  t.notOk((await readdir(path.dirname(restored))).includes('agentcom.db-commits'), 'and is not beside the backup');
  const ofBackup = await opened(t, restored);
  await hasExactly(t, ofBackup.storage, inBackup, 'the restored one');
  await saveBatch(ofBackup.storage, inBackup, 9);
  t.ok((inBackup.get(9)?.[0] ?? 0) > 8, 'no number is used again');
  await ofBackup.storage.close();
  await hasExactly(t, (await opened(t, String(kept))).storage, acknowledged, 'the kept one');

  const renewed = await killed(t, file);
  const { storeId } = await restoreSqlite(testedDriver, renewed, { file: null, replace: false }, NOW_MS);
  t.not(storeId, (await outside(await killed(t, file), 'SELECT store_id FROM store'))[0]?.['store_id']);
  const ofRenewed = await opened(t, renewed);
  await hasExactly(t, ofRenewed.storage, acknowledged, 'the renewed one');
  await saveBatch(ofRenewed.storage, acknowledged, 10);
  await hasAfterKill(t, renewed, acknowledged, 'and it continues');
  acknowledged.delete(10);

  const side = await sqlitePlace({ driver: testedDriver, file: await killed(t, file), log: silentLog }).source();
  t.strictSame(await side.rows('SELECT id FROM tasks ORDER BY id'), [1, 2, 3, 4].map((n) => ({ id: aTaskId(n) }))); // prettier-ignore
  await side.close();
});

t.test('a log whose batches are all in the database is ignored', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 3);
  const old = await readFile(commitLogOf(file));
  await saveBatches(storage, acknowledged, 4, 5);
  await storage.close();
  await writeFile(commitLogOf(file), old, { mode: 0o600 });
  const next = await opened(t, file);
  await hasExactly(t, next.storage, acknowledged, 'opened');
  await saveBatch(next.storage, acknowledged, 6);
  await hasAfterKill(t, file, acknowledged, 'and it continues');
});

t.test('R1: a store is reopened with the same log, whose overwriting may be interrupted anywhere', async (t) => {
  const statements = statementFaults();
  t.teardown(() => statements.remove());
  const { file, storage, acknowledged } = await loggedStore(t, 3);
  const { ino } = await stat(commitLogOf(file));
  statements.count.arm({ nth: 1, lasting: false });
  await storage.tasks.stats();
  t.equal(statements.count.isMet, true, 'COMMIT has failed');
  statements.count.disarm();
  await saveBatches(storage, acknowledged, 4, 6);
  t.equal((await stat(commitLogOf(file))).ino, ino, 'a full disk has no room for a second one');
  const log = await readFile(commitLogOf(file));
  await storage.close();
  for (const overwritten of [1, 40, 1_000]) {
    await writeFile(commitLogOf(file), Buffer.from(log).fill(0, RECORDS_START, RECORDS_START + overwritten), { mode: 0o600 });
    const next = await opened(t, file);
    await hasExactly(t, next.storage, acknowledged, `${overwritten} bytes`);
    await next.storage.close();
  }
});

t.test('without a commit log SQLite commits each batch', async (t) => {
  const file = await newFile(t);
  const inTheWay = `${commitLogOf(file)}.part`;
  await mkdir(inTheWay, { recursive: true, mode: 0o700 });
  const warnings: unknown[] = [];
  const log: Log = { ...silentLog, warn: (message, details) => warnings.push([message, details?.['file']]) };
  const acknowledged: Acknowledged = new Map();
  const first = await opened(t, file, log);
  t.strictSame(warnings, [['no commit log could be created: commits are slower', commitLogOf(file)]]);
  for (let n = 1; n <= 3; n += 1) {
    await saveBatch(first.storage, acknowledged, n);
    t.equal(await tasksSeen(file), n);
  }
  await first.storage.close();
  await rmdir(inTheWay);
  const next = await opened(t, file);
  await saveBatch(next.storage, acknowledged, 4);
  await hasAfterKill(t, file, acknowledged, 'with a log again');
});

t.test('R1: when SQLite cannot commit, the store is reopened with everything that is in the log', async (t) => {
  const statements = statementFaults();
  t.teardown(() => statements.remove());
  const { file, storage, clock, acknowledged } = await loggedStore(t, 3);
  statements.count.arm({ nth: 1, lasting: false });
  clock.advance(COMMITTED_AFTER_MS);
  for (let tries = 0; tries < 1_000 && !statements.count.isMet; tries += 1) await sleep(5);
  t.equal(statements.count.isMet, true, 'COMMIT has failed');
  statements.count.disarm();
  await hasAfterKill(t, file, acknowledged, 'killed then');
  await saveBatch(storage, acknowledged, 4);
  await hasExactly(t, storage, acknowledged, 'reopened');
});

t.test('R2: when the log cannot be written to, the store is reopened with what is in it', async (t) => {
  const write = fs.write;
  const restored = (): void => {
    fs.write = write;
    syncBuiltinESMExports();
  };
  t.teardown(restored);
  for (const [what, part, isThere] of [
    ['nothing is written', 0, false],
    ['a part is written', 0.5, false],
    ['all but one byte is written', 0.999, false],
    ['the answer is lost', 1, true],
  ] as const)
    for (const n of [4, 5]) {
      const { file, storage, acknowledged } = await loggedStore(t, n - 1);
      const failing = (fd: number, bytes: Buffer, from: number, length: number, at: number, done: (why: Error) => void): void =>
        write(fd, bytes, from, Math.floor(length * part), at, () => done(new Error('EIO: planted')));
      fs.write = failing as typeof fs.write;
      syncBuiltinESMExports();
      await failsWith(t, saveBatch(storage, acknowledged, n), 'AC_COMMIT_UNKNOWN', what);
      restored();
      if (isThere) acknowledged.set(n, [2 * n - 1, 2 * n]);
      await hasAfterKill(t, file, acknowledged, `${what}: killed then`);
      t.equal(await storage.tasks.committed(`batch ${n}`), isThere, what);
      await saveBatch(storage, acknowledged, n + 1);
      await hasExactly(t, storage, acknowledged, `${what}: reopened`);
    }
});

t.test('R2: a hub that is killed before it has taken a refused batch out of the log starts without that batch', async (t) => {
  const write = fs.write;
  t.teardown(() => {
    fs.write = write;
    syncBuiltinESMExports();
  });
  const task = aTask({ id: aTaskId(50) });
  for (const [what, refused, code] of [
    ['its key is taken', { ...inserting(task), keys: [aKey({ key: keyOf(1), taskIds: [task.id] })] }, 'AC_STORE_RETRY'],
    ['its task was never inserted', updating(task), 'AC_INTERNAL'],
  ] as const) {
    const { file, storage, acknowledged } = await loggedStore(t, 2);
    let writes = 0;
    const once = (
      fd: number,
      bytes: Buffer,
      from: number,
      length: number,
      at: number,
      done: (why: null, written: number) => void,
    ): void => {
      writes += 1;
      if (writes === 1) write(fd, bytes, from, length, at, () => done(null, length));
      else done(null, length);
    };
    fs.write = once as typeof fs.write;
    syncBuiltinESMExports();
    await failsWith(
      t,
      storage.tasks.transact('refused', (unit) => unit.save(refused, true)),
      code,
      what,
    );
    fs.write = write;
    syncBuiltinESMExports();
    t.equal((await readCommitLog(file))?.batches.length, 3, 'it is in the log');
    await hasAfterKill(t, file, acknowledged, what);
  }
});

t.test('R2: a batch too large for the log whose commit has no answer is looked up', async (t) => {
  const statements = statementFaults();
  t.teardown(() => statements.remove());
  const { storage, acknowledged } = await loggedStore(t, 1);
  await storage.tasks.stats();
  statements.fault = 'answer lost';
  statements.count.arm({ nth: 1, lasting: false });
  await failsWith(t, saveBatch(storage, acknowledged, 2, 'x'.repeat(2_200_000)), 'AC_COMMIT_UNKNOWN', 'it may be committed');
  statements.count.disarm();
  t.equal(await storage.tasks.committed('batch 2'), true);
});
