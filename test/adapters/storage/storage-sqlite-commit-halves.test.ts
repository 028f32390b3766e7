/** The commit log beside the SQLite database: batches that are saved together, and halves of the log that are overwritten in turn. */
import { copyFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { commitLogOf } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import { CommitLog } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log.ts';
import type { SqliteConnection } from '../../../adapters/storage-knex/sqlite/connection.ts';
import { SAVE_AT_ONCE, saveBatch as saveStatementOf } from '../../../adapters/storage-knex/sqlite/save.ts';
import { failsWith } from '../../product/contracts/storage/storage-room.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { type Acknowledged, hasAfterKill, hasExactly, killed, loggedStore, opened, saveBatch } from '../storage-places/logged-store.ts';
import { testedDriver } from '../storage-places/sqlite-storage-place.ts';
import { NO_ROWS } from '../suites/no-rows.ts';

const BATCHES_IN_TRANSACTION = 16;
const WAITS_MS = 300;

/** The n-th batch that SQLite cannot refuse. */
const certain = (n: number): number => 2 * n;

t.test('R1: batches that SQLite cannot refuse are saved together, of any size, and each is there after a kill', async (t) => {
  const { file, storage, clock, acknowledged } = await loggedStore(t, 1);
  for (let n = 1; n <= 2 * BATCHES_IN_TRANSACTION + 2; n += 1) {
    await saveBatch(storage, acknowledged, certain(n));
    await hasAfterKill(t, file, acknowledged, `${n} batches`);
  }
  await hasExactly(t, storage, acknowledged, 'read beside them');
  for (const [nth, length] of [10, 9_000, 9_000, 9_000, 10, 300_000, 10, 900_000, 10, 10].entries())
    await saveBatch(storage, acknowledged, certain(100 + nth), 'x'.repeat(length));
  await hasAfterKill(t, file, acknowledged, 'large ones');
  clock.advance(50);
  await saveBatch(storage, acknowledged, certain(200));
  await hasExactly(t, storage, acknowledged, 'the hub itself');
});

t.test('R1: a database that has none of the batches of both halves gets them all; without one of them it is refused', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 1);
  const saveUpTo = async (from: number, to: number, into: Acknowledged): Promise<void> => {
    for (let n = from; n <= to; n += 1) await saveBatch(storage, into, certain(n));
  };
  await saveUpTo(1, BATCHES_IN_TRANSACTION - 2, acknowledged);
  const [withBoth, withOne] = [await killed(t, file), await killed(t, file)];
  await saveUpTo(BATCHES_IN_TRANSACTION - 1, BATCHES_IN_TRANSACTION + 4, acknowledged);
  await copyFile(commitLogOf(file), commitLogOf(withBoth));
  const late = await opened(t, withBoth);
  await hasExactly(t, late.storage, acknowledged, 'both halves');
  await saveUpTo(BATCHES_IN_TRANSACTION + 5, 2 * BATCHES_IN_TRANSACTION + 2, acknowledged);
  await copyFile(commitLogOf(file), commitLogOf(withOne));
  await failsWith(t, opened(t, withOne), 'AC_STORAGE_OPEN', 'the first half was overwritten');
  await hasAfterKill(t, file, acknowledged, 'the database of the hub itself');
});

t.test('R1: no half of the log is overwritten before SQLite has committed its batches', async (t) => {
  const { file, storage } = await loggedStore(t, 1);
  await storage.close();
  const { connection, close } = await testedDriver.open(file, 'write');
  for (const statement of SAVE_AT_ONCE) await connection.change(statement);
  let commit: () => void = () => undefined;
  const mayCommit = new Promise<void>((resolve) => (commit = resolve));
  const writer: SqliteConnection = {
    rows: (...all) => connection.rows(...all),
    finalize: () => connection.finalize(),
    async change(sql, ...values) {
      if (sql === 'COMMIT') await mayCommit;
      return connection.change(sql, ...values);
    },
  };
  const [row] = await connection.rows('SELECT store_id FROM store');
  const log = await CommitLog.create({ writer, database: file, storeId: String(row?.['store_id']), clock: virtualClock() });
  const save = (n: number): Promise<void> => log.save(saveStatementOf(`batch-${n}`, NO_ROWS, []), 0, true);
  const inBoth = 2 * BATCHES_IN_TRANSACTION;
  for (let n = 1; n <= inBoth; n += 1) await save(n);
  const next = save(inBoth + 1);
  t.equal(await Promise.race([next.then(() => 'saved'), sleep(WAITS_MS, 'waits')]), 'waits', 'SQLite has not committed the first half');
  const copy = await killed(t, file);
  commit();
  await next;
  await log.close();
  await close();
  for (const [what, database, batches] of [
    ['killed before', copy, inBoth],
    ['closed', file, inBoth + 1],
  ] as const) {
    const { storage: found } = await opened(t, database);
    for (let n = 1; n <= batches; n += 1) if (!(await found.tasks.committed(`batch-${n}`))) t.fail(`${what}: batch ${n} is missing`);
    await found.close();
  }
});
