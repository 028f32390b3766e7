/** What is known to be new without a lookup of its rows. */
import t from 'tap';
import type { Row } from '../../../adapters/storage-knex/engine.ts';
import type { SqliteConnection } from '../../../adapters/storage-knex/sqlite/connection.ts';
import { NewestRows } from '../../../adapters/storage-knex/sqlite/newest-rows.ts';
import { aKey, aTaskId } from '../../product/contracts/fixtures.ts';
import { emptyFolder, testedDriver } from '../storage-places/sqlite-storage-place.ts';
import path from 'node:path';

const keyAt = (n: number): string => `0${String(n).padStart(11, '0')}-x`;

/** A database with these keys, each of an owner of its own, and no tasks. */
async function newestWith(t: Parameters<typeof emptyFolder>[0], keys: readonly string[]) {
  const { connection, close } = await testedDriver.open(path.join(await emptyFolder(t), 'keys.db'), 'create');
  t.teardown(close);
  await connection.change('CREATE TABLE tasks (id TEXT PRIMARY KEY)');
  await connection.change('CREATE TABLE idempotency_keys (owner TEXT, key TEXT, PRIMARY KEY (owner, key))');
  for (const [nth, key] of keys.entries()) await connection.change(`INSERT INTO idempotency_keys VALUES ('o${nth}', '${key}')`);
  const lookups: string[] = [];
  const counted: SqliteConnection = {
    ...connection,
    rows: async (sql): Promise<readonly Row[]> => {
      lookups.push(sql);
      return connection.rows(sql);
    },
  };
  const newest = new NewestRows(counted, async () => void lookups.push('executed'));
  const areNew = (...of: readonly string[]): Promise<boolean> =>
    newest.areNew({ insertTasks: [], insertKeys: of.map((key) => aKey({ key })) });
  return { newest, areNew, lookups };
}

t.test('a key is new if it begins with the time, is later than all that were stored, and was not saved since', async (t) => {
  const { areNew, lookups } = await newestWith(t, [keyAt(5), keyAt(9), 'order-1', '1']);
  t.equal(await areNew(keyAt(9)), false, 'stored');
  t.equal(await areNew(keyAt(7)), false, 'earlier than one of another owner');
  t.equal(await areNew(keyAt(20)), true);
  t.equal(await areNew(keyAt(20)), false, 'saved');
  t.equal(await areNew(keyAt(15)), true, 'earlier than the newest, and not saved');
  t.equal(await areNew('order-2'), false, 'without a time');
  t.equal(await areNew(keyAt(30), 'order-3'), false, 'one that is not certain is enough');
  t.equal(await areNew(keyAt(31), keyAt(31)), false, 'twice in one batch');
  t.strictSame([lookups[0], lookups.length], ['executed', 2], 'looked up once, after all batches');
});

t.test('a key or a task is only known to be new if SQLite and JavaScript agree on its order', async (t) => {
  const [first, second] = ['0\uff00', '0\u{1f600}'];
  t.ok(first > second, 'by UTF-16 units');
  const { newest, areNew } = await newestWith(t, [first, second]);
  t.equal(await areNew(first), false, 'stored, but later than the greatest one of SQLite');
  t.equal(await areNew('0\uffff'), false, 'not stored');
  t.equal(await newest.areNew({ insertTasks: [{ id: '\uff00' }] as never, insertKeys: [] }), false);
  t.equal(await newest.areNew({ insertTasks: [{ id: '~' }] as never, insertKeys: [] }), false, 'earlier than that one');
});

t.test('keys that are remembered no longer count as saved', async (t) => {
  const { areNew } = await newestWith(t, []);
  const many = Array.from({ length: 30_000 }, (_, n) => keyAt(100 + 2 * n));
  for (let at = 0; at < many.length; at += 500) t.equal(await areNew(...many.slice(at, at + 500)), true);
  for (const n of [0, 1, 15_000, 29_999]) t.equal(await areNew(many[n] as string), false, `key ${n}`);
  t.equal(await areNew(keyAt(101)), false, 'never saved, but too early to know');
  t.equal(await areNew(keyAt(100 + 2 * 29_999 - 1)), true, 'between two that are remembered');
});

t.test('a statement or a refused batch makes known rows unknown', async (t) => {
  const { newest, areNew, lookups } = await newestWith(t, []);
  const looked = async (): Promise<number> => {
    lookups.length = 0;
    await areNew(keyAt(lookups.length));
    await newest.areNew({ insertTasks: [{ id: aTaskId(1) }] as never, insertKeys: [] });
    return lookups.length;
  };
  t.equal(await looked(), 4);
  t.equal(await looked(), 0, 'both are known');
  newest.forgetSavedBy('updateTasks');
  t.equal(await looked(), 0, 'it saves none');
  newest.forgetSavedBy('insertKeys');
  t.equal(await looked(), 2);
  newest.forgetSavedBy('insertTasks');
  t.equal(await looked(), 2);
  newest.forget();
  t.equal(await looked(), 4);
});
