/** What is known to be new without a lookup of its rows. */
import t from 'tap';
import type { Row } from '../../../adapters/storage-knex/engine.ts';
import type { SqliteConnection } from '../../../adapters/storage-knex/sqlite/connection.ts';
import { NewestRows } from '../../../adapters/storage-knex/sqlite/newest-rows.ts';
import { aKey } from '../../product/contracts/fixtures.ts';
import { emptyFolder, testedDriver } from '../storage-places/sqlite-storage-place.ts';
import path from 'node:path';

const idAt = (n: number): string => `task-${String(n).padStart(12, '0')}`;
const OWNER = 'o1';

/** A database with these tasks, these removed ones and these keys, each of an owner of its own: `o0`, `o1` and so on. */
async function newestWith(
  t: Parameters<typeof emptyFolder>[0],
  { tasks = [], removed = [], keys = [] }: Partial<Record<'tasks' | 'removed' | 'keys', readonly string[]>> = {},
) {
  const { connection, close } = await testedDriver.open(path.join(await emptyFolder(t), 'ids.db'), 'create');
  t.teardown(close);
  await connection.change('CREATE TABLE tasks (id TEXT PRIMARY KEY)');
  await connection.change('CREATE TABLE tombstones (task_id TEXT PRIMARY KEY)');
  await connection.change('CREATE TABLE idempotency_keys (owner TEXT, key TEXT, PRIMARY KEY (owner, key))');
  for (const id of tasks) await connection.change(`INSERT INTO tasks VALUES ('${id}')`);
  for (const id of removed) await connection.change(`INSERT INTO tombstones VALUES ('${id}')`);
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
  const saving = (ids: readonly string[], keys: readonly string[], submittedBy: string): Promise<boolean> =>
    newest.areNew({
      insertTasks: ids.map((id) => ({ id, submittedBy })) as never,
      insertKeys: keys.map((key) => aKey({ owner: submittedBy, key })),
    });
  const areNew = (...ids: readonly string[]): Promise<boolean> => saving(ids, [], OWNER);
  return { newest, saving, areNew, lookups };
}

t.test('a task is new if its ID is later than all that were stored or removed, and it was not saved since', async (t) => {
  const { areNew, lookups } = await newestWith(t, { tasks: [idAt(5), idAt(9)], removed: [idAt(11)] });
  t.equal(await areNew(idAt(9)), false, 'stored');
  t.equal(await areNew(idAt(10)), false, 'earlier than a removed one');
  t.equal(await areNew(idAt(20)), true);
  t.equal(await areNew(idAt(20)), false, 'saved');
  t.equal(await areNew(idAt(15)), true, 'earlier than the newest, and not saved');
  t.equal(await areNew(idAt(30), idAt(20)), false, 'one that is not certain is enough');
  t.equal(await areNew(idAt(31), idAt(31)), false, 'twice in one batch');
  t.strictSame(lookups.filter((sql) => sql === 'executed').length, 2, 'looked up once, after all batches');
  t.equal(lookups.length, 4);
});

t.test('a key is new if it begins with the time, is later than all that were stored, and was not saved since', async (t) => {
  const keyAt = (n: number): string => `0${String(n).padStart(11, '0')}x`;
  const { saving, lookups } = await newestWith(t, { keys: [keyAt(5), keyAt(9), 'order-1', '1'] });
  const areNew = (...keys: readonly string[]): Promise<boolean> => saving([], keys, OWNER);
  t.equal(await areNew(keyAt(9)), false, 'stored');
  t.equal(await areNew(keyAt(7)), false, 'earlier than one of another owner');
  t.equal(await areNew(keyAt(20)), true);
  t.equal(await areNew(keyAt(20)), false, 'saved');
  t.equal(await areNew(keyAt(15)), true, 'earlier than the newest, and not saved');
  t.equal(await areNew('order-2'), false, 'without a time');
  t.equal(await areNew(keyAt(30), 'order-3'), false, 'one that is not certain is enough');
  t.equal(await areNew(keyAt(31), keyAt(31)), false, 'twice in one batch');
  t.strictSame([lookups[0], lookups.length], ['executed', 6], 'looked up once, after all batches, as tasks and names are');
  t.equal(await saving([idAt(1)], [keyAt(32)], OWNER), true, 'beside a new task');
  t.equal(await saving([idAt(1)], [keyAt(33)], OWNER), false, 'beside one that is not');
});

t.test('a task is not known to be new if its ID may be a key of its submitter', async (t) => {
  const { areNew, saving } = await newestWith(t, { keys: ['task-9', idAt(7), 'order-1'] });
  t.equal(await areNew(idAt(7)), false, 'a stored key');
  t.equal(await areNew(idAt(6)), false, 'one that is earlier');
  t.equal(await areNew(idAt(8)), true);
  t.equal(await saving([idAt(100)], [], 'o0'), false, 'of another owner, with a later key');
  t.equal(await saving([idAt(3)], [], 'o2'), true, 'of one whose keys have another form');
  t.equal(await saving([], [idAt(40)], OWNER), false, 'such a key itself is never certain');
  t.equal(await areNew(idAt(39)), false);
  t.equal(await areNew(idAt(41)), true);
});

t.test('a key is only known to be new if SQLite and JavaScript agree on its order', async (t) => {
  const [first, second] = ['0\uff00', '0\u{1f600}'];
  t.ok(first > second, 'by UTF-16 units');
  const { saving } = await newestWith(t, { keys: [first, second] });
  t.equal(await saving([], [first], OWNER), false, 'stored, but later than the greatest one of SQLite');
  t.equal(await saving([], ['0\uffff'], OWNER), false, 'not stored');
});

t.test('a task is only known to be new if SQLite and JavaScript agree on its order', async (t) => {
  const [first, second] = ['z\uff00', 'z\u{1f600}'];
  t.ok(first > second, 'by UTF-16 units');
  const { areNew } = await newestWith(t, { tasks: [first, second] });
  t.equal(await areNew(first), false, 'stored, but later than the greatest one of SQLite');
  t.equal(await areNew('z\uffff'), false, 'not stored');
  t.equal(await areNew('a'), false, 'earlier than that one');
});

t.test('IDs that are remembered no longer count as saved', async (t) => {
  const { areNew } = await newestWith(t);
  const many = Array.from({ length: 30_000 }, (_, n) => idAt(100 + 2 * n));
  for (let at = 0; at < many.length; at += 500) t.equal(await areNew(...many.slice(at, at + 500)), true);
  for (const n of [0, 1, 15_000, 29_999]) t.equal(await areNew(many[n] as string), false, `ID ${n}`);
  t.equal(await areNew(idAt(101)), false, 'never saved, but too early to know');
  t.equal(await areNew(idAt(100 + 2 * 29_999 - 1)), true, 'between two that are remembered');
});

t.test('a statement or a refused batch makes known rows unknown', async (t) => {
  const { newest, saving, lookups } = await newestWith(t);
  let n = 0;
  const looked = async (): Promise<number> => {
    lookups.length = 0;
    n += 1;
    await saving([idAt(n)], [`0${n}`], OWNER);
    return lookups.length;
  };
  t.equal(await looked(), 6);
  t.equal(await looked(), 0, 'tasks, keys and names are known');
  newest.forgetSavedBy('updateTasks');
  t.equal(await looked(), 0, 'it saves none');
  newest.forgetSavedBy('insertKeys');
  t.equal(await looked(), 4, 'keys, and names among them');
  newest.forgetSavedBy('insertTasks');
  t.equal(await looked(), 2);
  newest.forget();
  t.equal(await looked(), 6);
});
