/** A restore that is killed at each of its steps, and event numbers after a restore. */
import { cp, link, lstat, mkdir, readdir, readFile, rename, rm, rmdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { restoreSqlite, backUpSqlite, type RestoreStep } from '../../adapters/storage-knex/move/sqlite-backup.ts';
import { readStored } from '../chaos/rig/stored.ts';
import { aTask, aTaskId, anEvent, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit } from '../product/contracts/storage/storage-room.ts';
import { emptyFolder, outside, sqliteStorage, testedDriver } from '../adapters/storage-places/sqlite-storage-place.ts';

const STEPS: readonly RestoreStep[] = ['copied', 'checkpointed', 'log kept', 'store kept', 'log gone', 'restored'];
const NOW_MS = Date.UTC(2026, 0, 1);

/** A store as a killed hub leaves it: what it acknowledged last is only in the commit log. */
async function killedStore(t: Test): Promise<{ readonly folder: string; readonly file: string; readonly backup: string }> {
  const folder = await emptyFolder(t);
  const [live, file, backup] = [path.join(folder, 'live.db'), path.join(folder, 'hub', 'hub.db'), path.join(folder, 'backup.db')];
  const storage = sqliteStorage(live);
  await storage.open();
  await commit(storage, changes({ ...inserting(aTask()), events: [anEvent()] }));
  await backUpSqlite(testedDriver, live, { file: backup, replace: false });
  await commit(storage, changes({ ...inserting(aTask({ id: aTaskId(2) })), events: [anEvent({ taskId: aTaskId(2) })] }));
  for (const end of ['', '-wal', '-shm', '-commits'])
    await cp(`${live}${end}`, `${path.join(folder, 'hub', 'hub.db')}${end}`, { recursive: true });
  await storage.close();
  return { folder: path.join(folder, 'hub'), file, backup };
}

/** The tasks of every complete store in the folder. */
async function storesIn(folder: string): Promise<readonly (readonly unknown[])[]> {
  const names = (await readdir(folder)).filter((name) => /^hub\.db(\.before-.*)?$/.test(name) && !/-(wal|shm|commits)$/.test(name));
  return Promise.all(names.map(async (name) => [...(await readStored(path.join(folder, name))).tasks.keys()].toSorted()));
}

t.test('R1 R22: a restore killed at any step loses nothing, and no hub starts on an empty store', async (t) => {
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
      `${last}: the previous store is kept`,
    );
  }
});

/** A store whose restore was killed after it had moved the store aside: only the complete copy and the renamed store are there. */
async function killedRestore(t: Test): Promise<{ readonly folder: string; readonly file: string; readonly backup: string }> {
  const found = await killedStore(t);
  const killed = (step: RestoreStep): void => {
    if (step === 'log gone') throw new Error('killed');
  };
  await t.rejects(restoreSqlite(testedDriver, found.file, { file: found.backup, replace: true }, NOW_MS, killed), { message: 'killed' });
  return found;
}

const noHubOn = (t: Test, file: string, after: string): Promise<unknown> =>
  t.rejects(sqliteStorage(file).open(), { code: 'AC_STORAGE_OPEN', message: /agentcom restore/, hint: /again/ }, `no hub ${after}`);

// Before, each of these removed the copy of the first restore, after which a hub started with an empty store.
t.test('R1 R22: after an interrupted restore, one that fails changes nothing: still no hub starts', async (t) => {
  const { folder, file, backup } = await killedRestore(t);
  const made = await readFile(`${file}.restoring`);
  const [typo, other, torn] = ['typo.db', 'other.db', 'torn.db'].map((name) => path.join(folder, name)) as [string, string, string];
  await writeFile(other, 'not a database, but longer than nothing');
  await cp(backup, torn);
  await truncate(torn, Math.floor(made.length / 8_192) * 4_096);
  for (const wrong of [typo, other, torn]) {
    await t.rejects(restoreSqlite(testedDriver, file, { file: wrong, replace: true }, NOW_MS + 1_000), { code: /^AC_/ }, wrong);
    await noHubOn(t, file, `after ${path.basename(wrong)}`);
    t.ok((await readFile(`${file}.restoring`)).equals(made), 'the copy was not touched');
  }
  t.notOk((await readdir(folder)).some((name) => name.includes('.part')));
  const inTheWay = async (step: RestoreStep): Promise<void> => {
    if (step !== 'log gone') return;
    await rm(file);
    await mkdir(file);
  };
  await t.rejects(restoreSqlite(testedDriver, file, { file: backup, replace: true }, NOW_MS + 1_000, inTheWay), {
    code: 'AC_STORE_UNAVAILABLE',
  });
  await rmdir(file);
  await noHubOn(t, file, 'after a rename that failed');
  await restoreSqlite(testedDriver, file, { file: backup, replace: true }, NOW_MS + 2_000);
  t.strictSame(await outside(file, 'SELECT id FROM tasks'), [{ id: aTaskId(1) }]);
  t.ok((await storesIn(folder)).some((ids) => ids.length === 2));
});

t.test('R22: hubs start beside a half-copied restore if the store is in place, but not if there is none', async (t) => {
  const { folder, file, backup } = await killedStore(t);
  const part = `${file}.restoring.part`;
  await writeFile(part, (await readFile(backup)).subarray(0, 5_000));
  const storage = sqliteStorage(file);
  await storage.open();
  await storage.close();
  await rename(file, path.join(folder, 'elsewhere.db'));
  await noHubOn(t, file, 'before the copy is complete');
  for (const name of [part, path.join(folder, 'a-link.db'), path.join(folder, 'a-second-name.db')]) {
    if (name.endsWith('a-link.db')) await symlink(part, name);
    if (name.endsWith('a-second-name.db')) await link(part, name);
    await t.rejects(restoreSqlite(testedDriver, file, { file: name, replace: true }, NOW_MS), {
      code: 'AC_USAGE',
      message: /unfinished copy of a restore.*Nothing was changed/,
    });
    t.equal((await readFile(part)).length, 5_000);
  }
  await restoreSqlite(testedDriver, file, { file: backup, replace: false }, NOW_MS);
  t.strictSame(await outside(file, 'SELECT id FROM tasks'), [{ id: aTaskId(1) }]);
});

// Before, it was removed before it was read.
t.test('R1: the complete copy of an interrupted restore can be restored, by any of its names', async (t) => {
  for (const nameIt of [null, symlink, link]) {
    const { folder, file } = await killedRestore(t);
    const [made, other] = [`${file}.restoring`, path.join(folder, 'other-name.db')];
    await nameIt?.(made, other);
    await restoreSqlite(testedDriver, file, { file: nameIt === null ? made : other, replace: true }, NOW_MS + 1_000);
    t.strictSame(await outside(file, 'SELECT id FROM tasks'), [{ id: aTaskId(1) }]);
    t.notOk((await readdir(folder)).some((name) => name.includes('.restoring')));
  }
});

// The link was dangling then, and neither a hub nor a restore named the problem.
t.test('R22: an interrupted restore of a store that is a symbolic link is reported, and can be run again', async (t) => {
  const { folder, file, backup } = await killedRestore(t);
  const name = path.join(await emptyFolder(t), 'hub.db');
  await symlink(path.relative(path.dirname(name), file), name);
  await noHubOn(t, name, 'on the link');
  await restoreSqlite(testedDriver, name, { file: backup, replace: false }, NOW_MS);
  t.strictSame((await outside(name, 'SELECT id FROM tasks')).map(({ id }) => id), [aTaskId(1)]); // prettier-ignore
  t.ok((await lstat(name)).isSymbolicLink(), 'the link stays');
  t.ok((await storesIn(folder)).some((ids) => ids.length === 2), 'and so does the previous store'); // prettier-ignore
});

t.test('R1: no hub starts with a new store in the place of one whose link leads to nothing', async (t) => {
  const folder = await emptyFolder(t);
  const [name, target] = [path.join(folder, 'hub.db'), path.join(folder, 'not-mounted', 'hub.db')];
  await symlink(target, name);
  const message = `Cannot open storage "sqlite": file "${name}": it is a link to "${target}", which does not exist.`;
  await t.rejects(sqliteStorage(name).open(), { code: 'AC_STORAGE_OPEN', message, hint: /Mount the disk/ });
  await t.rejects(lstat(target), { code: 'ENOENT' }, 'nothing was created');
});

t.test('R22: a killed backup leaves the store and the previous backup intact, and the next one succeeds', async (t) => {
  const { file, backup } = await killedStore(t);
  const whole = await readFile(backup);
  // All that it writes before its last step, the rename.
  const [left, fresh] = [`${backup}.0123456789ab.part`, `${backup}.ba9876543210.part`];
  const others = [`${backup}.part`, `${backup}.old.part`, path.join(path.dirname(backup), 'other-backup.db.0123456789ab.part')];
  for (const part of [left, `${left}-journal`, fresh, ...others]) await writeFile(part, whole.subarray(0, whole.length / 2));
  const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000);
  for (const part of [left, `${left}-journal`, ...others]) await utimes(part, twoDaysAgo, twoDaysAgo);
  t.strictSame(await readFile(backup), whole);
  t.strictSame(await outside(backup, 'SELECT id FROM tasks'), [{ id: aTaskId(1) }]);
  await backUpSqlite(testedDriver, file, { file: backup, replace: true });
  t.strictSame(await outside(backup, 'SELECT id FROM tasks ORDER BY id'), [{ id: aTaskId(1) }, { id: aTaskId(2) }]);
  const parts = await partsIn(path.dirname(backup));
  t.strictSame(parts, [fresh, ...others].map((part) => path.basename(part)).sort(), 'only an old part of this file is removed');
});

const partsIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder)).filter((name) => name.includes('.part')).sort();

// Before, each removed what the other was writing.
t.test('R22: backups to one file at the same time do not disturb each other', async (t) => {
  const { folder, file } = await killedStore(t);
  const backup = path.join(folder, 'kept.db');
  const both = (replace: boolean) => Promise.allSettled([1, 2, 3].map(() => backUpSqlite(testedDriver, file, { file: backup, replace })));
  const first = await both(false);
  t.equal(first.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const one of first) if (one.status === 'rejected') t.match(one.reason, { code: 'AC_TARGET_EXISTS' });
  t.strictSame(
    (await both(true)).filter(({ status }) => status === 'rejected'),
    [],
  );
  t.strictSame(await outside(backup, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  t.strictSame(await outside(backup, 'SELECT id FROM tasks ORDER BY id'), [{ id: aTaskId(1) }, { id: aTaskId(2) }]);
  t.strictSame(await partsIn(folder), []);
});

t.test('R21: after a restore no event number is reused, and streams are notified', async (t) => {
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
  t.ok(first.marks.removedId > 2, 'above the two used numbers');
  t.equal(first.id, first.marks.removedId + 1);
  t.equal(first.marks.lastId, 1);
  const second = await restoredNext(NOW_MS);
  t.ok(second.marks.removedId > first.id, 'also when the same backup is restored in the same millisecond');
  t.ok(Number.isSafeInteger(second.id + 1_000_000_000));
});
