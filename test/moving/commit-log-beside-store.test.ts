/** A store whose newest batches only the commit log has: when it is copied, moved to, updated, or found beside the wrong database. */
import { copyFile, rm, symlink, truncate } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ALL_MIGRATIONS } from '../../adapters/storage-knex/migrations/all-migrations.ts';
import { moveStore } from '../../adapters/storage-knex/move/move-store.ts';
import { backUpSqlite, restoreSqlite } from '../../adapters/storage-knex/move/sqlite-backup.ts';
import { sqlitePlace } from '../../adapters/storage-knex/move/sqlite-place.ts';
import type { Migration } from '../../adapters/storage-knex/rows/migration.ts';
import { commitLogOf } from '../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import { inspectSqlite } from '../../adapters/storage-knex/sqlite/inspection.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { silentLog } from '../../core/ports/log.ts';
import {
  type Acknowledged,
  COMMITTED_AFTER_MS,
  hasAfterKill,
  hasExactly,
  killed,
  loggedStore,
  newFile,
  opened,
  saveBatch,
  saveBatches,
  tasksSeen,
} from '../adapters/storage-places/logged-store.ts';
import {
  closedAfter,
  emptyFolder,
  otherProgram,
  outside,
  sqliteStorage,
  testedDriver,
} from '../adapters/storage-places/sqlite-storage-place.ts';
import { aTaskId } from '../product/contracts/fixtures.ts';
import { failsWith } from '../product/contracts/storage/storage-room.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const placeAt = (file: string) => sqlitePlace({ driver: testedDriver, file, log: silentLog });
const backUp = (from: string, file: string, replace = false) => backUpSqlite(testedDriver, from, { file, replace });

async function linkTo(t: Test, file: string): Promise<string> {
  const link = path.join(await emptyFolder(t), 'link.db');
  await symlink(file, link);
  return link;
}

async function closedStore(t: Test): Promise<{ readonly file: string; readonly acknowledged: Acknowledged }> {
  const { file, storage, acknowledged } = await loggedStore(t, 3);
  await storage.close();
  return { file, acknowledged };
}

t.test('R1: by a link to it, a store is backed up and restored with its log', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 5);
  const backup = path.join(await emptyFolder(t), 'backup.db');
  t.match(await backUp(await linkTo(t, file), backup), { tasks: 5 });
  await hasExactly(t, (await opened(t, backup)).storage, acknowledged, 'the backup');
  const restored = await newFile(t);
  await restoreSqlite(testedDriver, restored, { file: await linkTo(t, await killed(t, file)), replace: false }, NOW_MS);
  t.equal(await tasksSeen(restored), 5, 'the restored one');
});

t.test('no file of a store is replaced by its backup, whatever name it is given', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 2);
  const link = await linkTo(t, file);
  for (const named of [file, link])
    for (const target of [file, commitLogOf(file), `${file}-wal`, `${file}-shm`, path.join(path.dirname(file), 'hub.lock')])
      await failsWith(t, backUp(named, target, true), 'AC_TARGET_EXISTS', `${target} by ${named}`);
  await failsWith(t, backUp(link, link, true), 'AC_TARGET_EXISTS', 'the link');
  await saveBatches(storage, acknowledged, 3, 4);
  await hasExactly(t, (await opened(t, await killed(t, file))).storage, acknowledged, 'killed then');
});

t.test('R1: a store is moved to an empty one whose hub was killed, and not to one that has tasks only in its log', async (t) => {
  const { file: from, acknowledged } = await closedStore(t);
  const move = (to: string): Promise<unknown> =>
    moveStore({ from: placeAt(from), to: placeAt(to), emptyUnfinished: false, onProgress: () => undefined });
  const empty = await newFile(t);
  await opened(t, empty);
  const target = await killed(t, empty);
  await move(target);
  await opened(t, target);
  t.equal(await tasksSeen(target), acknowledged.size, 'moved');

  const { file, acknowledged: others } = await loggedStore(t, 6);
  const full = await killed(t, file);
  await failsWith(t, move(full), 'AC_TARGET_EXISTS', 'it has tasks');
  await hasExactly(t, (await opened(t, full)).storage, others, 'as before');
});

t.test('R1: what only the log has is there before the schema is changed, or the update is refused', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 2);
  const steps = ALL_MIGRATIONS as Migration[];
  t.teardown(() => void steps.pop());
  steps.push({
    name: '9999-next',
    besideOlderHubs: true,
    sqlite: ['ALTER TABLE tasks ADD COLUMN next TEXT', 'UPDATE tasks SET next = id'],
    postgres: [],
  });
  const updated = await killed(t, file);
  await hasExactly(t, (await opened(t, updated)).storage, acknowledged, 'updated');
  t.equal((await outside(updated, 'SELECT 1 FROM tasks WHERE next = id')).length, 2, 'the step has changed all rows');

  const unknown = await killed(t, file);
  await outside(unknown, 'ALTER TABLE tasks RENAME TO tasks_of_another_version');
  const refused = await failsWith(t, opened(t, unknown), 'AC_STORAGE_OPEN', 'of another version');
  t.match(refused?.message, /commits" was written by another version: .*no such table/);
  t.match(refused?.hint, /start the previous version once/);
});

t.test('R1: a log of which the database refuses a batch in the middle leaves the database as it is', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 4);
  const left = await killed(t, file);
  const refuse = `CREATE TRIGGER refuse BEFORE INSERT ON tasks WHEN NEW.id = '${aTaskId(3)}' BEGIN SELECT RAISE(ABORT, 'planted'); END`;
  await outside(left, refuse);
  const refused = await failsWith(t, opened(t, left), 'AC_STORAGE_OPEN', 'batch 3 is refused');
  t.match(refused?.message, /which SQLite refuses, and 1 after it: .*planted/);
  t.equal(await tasksSeen(left), 0, 'the batches before it are not saved either');
  await outside(left, 'DROP TRIGGER refuse');
  await hasExactly(t, (await opened(t, left)).storage, acknowledged, 'once it is accepted');
});

t.test('R1: a log that was cut off is refused, and doctor finds it', async (t) => {
  const { file } = await loggedStore(t, 4);
  for (const bytes of [0, 100, 4_096, 6_000, 2_000_000]) {
    const left = await killed(t, file);
    await truncate(commitLogOf(left), bytes);
    const refused = await failsWith(t, opened(t, left), 'AC_STORAGE_OPEN', `${bytes} bytes`);
    t.match(refused?.message, /is damaged or of another version/);
    const inspection = await inspectSqlite(testedDriver, left);
    t.match(await inspection.whole(), [{ check: 'file', what: /commits" is damaged or of another version/ }]);
    await inspection.close();
  }
  const inspection = await inspectSqlite(testedDriver, file);
  t.strictSame((await inspection.whole()).filter(({ check }) => check === 'file'), [], 'that of a running hub is whole'); // prettier-ignore
  await inspection.close();
});

t.test('R1: an older copy of the database does not take the log of a later state', async (t) => {
  const { file, storage, acknowledged } = await loggedStore(t, 2);
  const backup = path.join(await emptyFolder(t), 'backup.db');
  await backUp(file, backup);
  await storage.tasks.stats();
  await saveBatches(storage, acknowledged, 3, 20);
  const later = await killed(t, file);
  await copyFile(backup, later);
  await rm(`${later}-wal`);
  await failsWith(t, opened(t, later), 'AC_STORAGE_OPEN', 'SQLite committed batches in between');

  await storage.close();
  const older = await killed(t, (await loggedStore(t, 1)).file);
  await (await opened(t, older)).storage.close();
  const copy = await newFile(t);
  await copyFile(older, copy);
  const again = await opened(t, older);
  await saveBatch(again.storage, new Map(), 2);
  await copyFile(commitLogOf(older), commitLogOf(copy));
  await failsWith(t, opened(t, copy), 'AC_STORAGE_OPEN', 'the store was opened in between');

  await outside(copy, "DELETE FROM migrations WHERE name = '0019-commit-log'", 'DROP TABLE commit_log');
  const refused = await failsWith(t, opened(t, copy), 'AC_STORAGE_OPEN', 'from before commit logs');
  t.match(refused?.message, /expected none: the database is new or older/);
});

t.test('until statements of batches run, another program may write, and while it does, batches are acknowledged', async (t) => {
  const { file, storage, clock, acknowledged } = await loggedStore(t, 1);
  clock.advance(COMMITTED_AFTER_MS);
  for (let tries = 0; tries < 1_000 && (await tasksSeen(file)) === 0; tries += 1) await sleep(5);
  await saveBatch(storage, acknowledged, 2);
  const other = await otherProgram(file);
  await other.all('BEGIN IMMEDIATE');
  await saveBatch(storage, acknowledged, 4);
  clock.advance(COMMITTED_AFTER_MS);
  await saveBatch(storage, acknowledged, 6);
  await other.all('COMMIT');
  await other.close();
  await hasExactly(t, storage, acknowledged, 'saved behind it');
  await hasAfterKill(t, file, acknowledged, 'killed');
});

t.test('while another program holds a lock, commits wait or may be tried again, and the store is not reopened', async (t) => {
  const file = await newFile(t);
  const failures: unknown[] = [];
  const storage = closedAfter(t, sqliteStorage(file, { busyMs: 100, log: { ...silentLog, error: (...said) => void failures.push(said) } }));
  await storage.open();
  const acknowledged: Acknowledged = new Map();
  const refused = new Set<unknown>();
  let isOver = false;
  const saving = (async () => {
    for (let n = 1; !isOver; n += 1)
      await saveBatch(storage, acknowledged, 2 * n).catch((thrown: unknown) =>
        refused.add(AgentcomError.is(thrown) ? thrown.code : thrown),
      );
  })();
  const other = await otherProgram(file);
  // The hub leaves the lock for a moment only, which SQLite checks every 100 ms.
  await other.all('PRAGMA busy_timeout = 60000');
  try {
    for (let round = 1; round <= 10; round += 1) {
      await other.all('BEGIN IMMEDIATE');
      await sleep(250);
      await other.all('COMMIT');
      await sleep(20);
    }
  } finally {
    isOver = true;
    await saving;
  }
  await other.close();
  t.strictSame([[...refused].filter((code) => code !== 'AC_STORE_RETRY'), failures], [[], []]);
  await storage.tasks.stats();
  t.equal(await tasksSeen(file), acknowledged.size);
});
