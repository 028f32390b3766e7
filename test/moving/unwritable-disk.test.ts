/** Backups and restores to a disk that is full, or that nobody may write to: the error names that disk, and nothing is changed. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { backUpSqlite, restoreSqlite } from '../../adapters/storage-knex/move/sqlite-backup.ts';
import { emptyFolder, outside, sqliteStorage, testedDriver } from '../adapters/storage-places/sqlite-storage-place.ts';
import { noSmallDisk, smallDisk } from '../faults/rig/mounted-disk.ts';
import { aTask, aTaskId, anEvent, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit } from '../product/contracts/storage/storage-room.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const DISK_BYTES = 2_097_152;
const skip = noSmallDisk();

async function storeIn(folder: string, number: number): Promise<string> {
  const file = path.join(folder, 'hub.db');
  const storage = sqliteStorage(file);
  await storage.open();
  await commit(storage, changes({ ...inserting(aTask({ id: aTaskId(number) })), events: [anEvent({ taskId: aTaskId(number) })] }));
  await storage.close();
  return file;
}

const tasksIn = async (file: string): Promise<readonly unknown[]> => (await outside(file, 'SELECT id FROM tasks')).map(({ id }) => id);

t.test('a backup to a full disk names the backup and its disk, and leaves nothing there', { skip }, async (t) => {
  const folder = await emptyFolder(t);
  const database = await storeIn(path.join(folder, 'store'), 1);
  const target = path.join(folder, 'disk');
  smallDisk(t, target, DISK_BYTES).fill();
  const backup = path.join(target, 'kept.db');
  const refused = { code: 'AC_STORE_UNAVAILABLE', message: /^Cannot write ".*\/disk\/kept\.db[^"]*": SQLITE_FULL.* the disk has space\.$/ };
  await t.rejects(backUpSqlite(testedDriver, database, { file: backup, replace: false }), refused);
  t.strictSame(await readdir(target), ['ballast']);
});

t.test('R1: a restore to a full or read-only disk says so, and the store is as it was', { skip }, async (t) => {
  const folder = await emptyFolder(t);
  const other = await storeIn(path.join(folder, 'other'), 2);
  const [target, backup] = [path.join(folder, 'disk'), path.join(folder, 'kept.db')];
  const disk = smallDisk(t, target, DISK_BYTES);
  await backUpSqlite(testedDriver, other, { file: backup, replace: false });
  const database = await storeIn(target, 1);
  const restore = () => restoreSqlite(testedDriver, database, { file: backup, replace: true }, NOW_MS);

  disk.fill();
  await t.rejects(restore(), { code: 'AC_STORE_UNAVAILABLE', message: /^Cannot write ".*\/disk\/hub\.db[^"]*": .* the disk has space\.$/ });
  disk.makeRoom();
  disk.makeReadOnly();
  await t.rejects(restore(), { code: 'AC_STORE_UNAVAILABLE', message: /^Cannot write ".*\/disk\/hub\.db[^"]*": EROFS/ });
  t.strictSame(
    (await readdir(target)).filter((name) => /restoring|before/.test(name)),
    [],
  );
  t.strictSame(await tasksIn(database), [aTaskId(1)]);
});
