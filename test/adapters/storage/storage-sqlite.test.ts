/** SQLite fulfils the storage contract on real files. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { sqlite } from '../../../adapters/storage-knex/sqlite.ts';
import type { SqliteDriver } from '../../../adapters/storage-knex/sqlite/sqlite-driver.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { storageContract } from '../../product/contracts/storage/storage.contract.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { aTask, aTaskId, inserting } from '../../product/contracts/fixtures.ts';
import {
  closedAfter,
  emptyFolder,
  otherDriver,
  outside,
  sqliteStorage,
  sqliteSubject,
  testedDriver,
} from '../storage-places/sqlite-storage-place.ts';

const subjectOn = (driver: SqliteDriver) =>
  sqliteSubject(driver, async (t) => {
    const folder = await emptyFolder(t);
    const place = (...names: readonly string[]) => path.join(folder, ...names);
    await writeFile(place('a file'), '');
    await mkdir(place('folder.db'));
    await writeFile(place('text.db'), 'x'.repeat(5_000), { mode: 0o600 });
    await writeFile(place('other.db'), '', { mode: 0o600 });
    await outside(place('other.db'), 'CREATE TABLE accounts (id)');
    const cases = [
      { why: 'a file is where the folder should be', file: place('a file', 'x.db'), names: ['storage.file', place('a file')] },
      { why: 'a folder is where the file should be', file: place('folder.db'), names: ['folder.db', 'not a regular file'] },
      { why: 'something else is in the file', file: place('text.db'), names: ['text.db', 'not a database'] },
      { why: 'it is the database of another program', file: place('other.db'), names: ['other.db', 'another program'] },
    ];
    return cases.map(({ why, file, names }) => ({
      why,
      names: ['Cannot open storage "sqlite"', ...names],
      storage: closedAfter(t, sqliteStorage(file, { driver })),
    }));
  });

storageContract('sqlite', subjectOn(testedDriver), t);
if (otherDriver !== undefined) storageContract(`sqlite by its driver "${otherDriver.name}"`, subjectOn(otherDriver), t);

t.test('sqlite() reports invalid options, and does not open anything by itself', async (t) => {
  const wrong = (options: unknown) => sqlite(options as { readonly file: string }).problems().map(({ path: place }) => place); // prettier-ignore
  t.strictSame(wrong({ file: 'agentcom.db' }), []);
  for (const options of [{}, { file: '' }, { file: 7 }, { file: 'a\0b' }, { file: ':memory:' }, { file: 'file:x?mode=memory' }, undefined])
    t.strictSame(wrong(options), ['file'], JSON.stringify(options));
  t.strictSame(sqlite('agentcom.db' as never).problems(), [
    { path: '', message: 'expected an object with its options, found a text of 11 characters' },
  ]);
  t.strictSame(wrong({ file: 'a', fiel: 'b' }), ['fiel']);
  t.strictSame(wrong({ file: 'a', driver: 'better' }), ['driver']);
  t.strictSame(wrong({ file: 'a', driver: 'node' }), []);

  const dataDir = path.join(await emptyFolder(t), 'data');
  const choice = sqlite({ file: 'agentcom.db' });
  t.match(choice, { port: 'storage', name: 'sqlite', options: { file: 'agentcom.db' }, capabilities: { durable: true, shared: false } });
  const storage = closedAfter(t, await choice.create({ dataDir, clock: systemClock(), log: silentLog }));
  await t.rejects(stat(dataDir), 'nothing has been created yet');
  await storage.open();
  t.ok((await stat(path.join(dataDir, 'agentcom.db'))).isFile(), 'in the data directory');
});

t.test('a transaction that may begin early runs while the previous one is being saved', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = closedAfter(t, sqliteStorage(file));
  await storage.open();
  const steps: string[] = [];
  const step = (what: string) => () => void steps.push(what);
  const transact = (nth: string, seen: TaskId[]) =>
    storage.tasks
      .transact(
        nth,
        async (unit) => {
          step(`${nth} begins`)();
          seen.push(...(await unit.load({ tasks: [aTaskId(1)] })).tasks.map(({ id }) => id));
          if (nth === 'first') return unit.save(inserting(aTask()), true);
          return unit.save(inserting(aTask({ id: aTaskId(2) })), true);
        },
        { waiting: step(`${nth} waits`), saving: step(`${nth} is being saved`) },
      )
      .then(step(`${nth} ends`));
  const seen: TaskId[] = [];
  await Promise.all([transact('first', []), transact('second', seen)]);
  t.strictSame(steps, [
    'first begins',
    'first is being saved',
    'second begins',
    'second waits',
    'first ends',
    'second is being saved',
    'second ends',
  ]);
  t.strictSame(seen, [aTaskId(1)], 'on the state left by the first');
});
