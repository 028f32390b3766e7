/** A restore that is ended at any of its steps, and the numbers of events after one. */
import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { restoreSqlite, backUpSqlite, type RestoreStep } from '../../adapters/storage-knex/move/sqlite-backup.ts';
import { aTask, aTaskId, anEvent, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit } from '../product/contracts/storage/storage-room.ts';
import { emptyFolder, outside, sqliteStorage, testedDriver } from '../adapters/storage-places/sqlite-storage-place.ts';

const STEPS: readonly RestoreStep[] = ['copied', 'checkpointed', 'log kept', 'store kept', 'log gone', 'restored'];
const NOW_MS = Date.UTC(2026, 0, 1);

/** A store as a hub that was killed leaves it: what it acknowledged last is only in its write-ahead log. */
async function killedStore(t: Test): Promise<{ readonly folder: string; readonly file: string; readonly backup: string }> {
  const folder = await emptyFolder(t);
  const [live, file, backup] = [path.join(folder, 'live.db'), path.join(folder, 'hub', 'hub.db'), path.join(folder, 'backup.db')];
  const storage = sqliteStorage(live);
  await storage.open();
  await commit(storage, changes({ ...inserting(aTask()), events: [anEvent()] }));
  await backUpSqlite(testedDriver, live, { file: backup, replace: false });
  await commit(storage, changes({ ...inserting(aTask({ id: aTaskId(2) })), events: [anEvent({ taskId: aTaskId(2) })] }));
  for (const end of ['', '-wal', '-shm']) await cp(`${live}${end}`, `${path.join(folder, 'hub', 'hub.db')}${end}`, { recursive: true });
  await storage.close();
  return { folder: path.join(folder, 'hub'), file, backup };
}

/** The tasks of every whole store in the folder. */
async function storesIn(folder: string): Promise<readonly (readonly unknown[])[]> {
  const names = (await readdir(folder)).filter((name) => /^hub\.db(\.before-.*)?$/.test(name) && !/-(wal|shm)$/.test(name));
  return Promise.all(
    names.map(async (name) => (await outside(path.join(folder, name), 'SELECT id FROM tasks ORDER BY id')).map(({ id }) => id)),
  );
}

t.test('R1 R22: a restore that is killed at any of its steps loses nothing, and no hub starts on nothing', async (t) => {
  for (const last of STEPS) {
    const { folder, file, backup } = await killedStore(t);
    const killed = (step: RestoreStep): void => {
      if (step === last) throw new Error('killed');
    };
    await t.rejects(restoreSqlite(testedDriver, file, { file: backup, replace: true }, NOW_MS, killed), { message: 'killed' }, last);
    const isAside = ['store kept', 'log gone'].includes(last);
    if (isAside)
      await t.rejects(sqliteStorage(file).open(), { code: 'AC_STORAGE_OPEN', message: /agentcom restore/ }, `no hub after ${last}`);
    const found = await storesIn(folder);
    t.ok(found.some((ids) => ids.length === 2), `${last}: one store has both tasks: ${JSON.stringify(found)}`); // prettier-ignore
    await restoreSqlite(testedDriver, file, { file: backup, replace: true }, NOW_MS + 1_000);
    t.strictSame(
      (await outside(file, 'SELECT id FROM tasks')).map(({ id }) => id),
      [aTaskId(1)],
      `${last}: and it is run again`,
    );
    t.ok(
      (await storesIn(folder)).some((ids) => ids.length === 2),
      `${last}: the store that was there is kept`,
    );
  }
});

t.test('R22: a backup that was killed leaves the store and the backup before it whole, and the next one goes on', async (t) => {
  const { file, backup } = await killedStore(t);
  const whole = await readFile(backup);
  // All that it writes before its last step, the rename.
  await writeFile(`${backup}.part`, whole.subarray(0, whole.length / 2));
  t.strictSame(await readFile(backup), whole);
  t.strictSame(await outside(backup, 'SELECT id FROM tasks'), [{ id: aTaskId(1) }]);
  await backUpSqlite(testedDriver, file, { file: backup, replace: true });
  t.strictSame(await outside(backup, 'SELECT id FROM tasks ORDER BY id'), [{ id: aTaskId(1) }, { id: aTaskId(2) }]);
  await t.rejects(stat(`${backup}.part`), { code: 'ENOENT' });
});

t.test('R21: after a restore no number of an event comes twice, and streams are told', async (t) => {
  const { file, backup } = await killedStore(t);
  const restoredNext = async (nowMs: number) => {
    await restoreSqlite(testedDriver, file, { file: backup, replace: true }, nowMs);
    const storage = sqliteStorage(file);
    await storage.open();
    const marks = await storage.events.marks();
    const [stored] = await commit(storage, changes({ events: [anEvent({ taskId: aTaskId(7) })] }));
    await storage.close();
    return { marks, id: stored?.id ?? 0 };
  };
  const first = await restoredNext(NOW_MS);
  t.ok(first.marks.removedId > 2, 'above the two that were given');
  t.equal(first.id, first.marks.removedId + 1);
  t.equal(first.marks.lastId, 1);
  const second = await restoredNext(NOW_MS);
  t.ok(second.marks.removedId > first.id, 'also when the same backup is restored in the same millisecond');
  t.ok(Number.isSafeInteger(second.id + 1_000_000_000));
});
