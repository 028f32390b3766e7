/** The commit log beside the SQLite database: batches that are saved together, and halves of the log that are overwritten in turn. */
import { copyFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { commitLogOf } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import { CommitLog } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log.ts';
import type { SqliteConnection } from '../../../adapters/storage-knex/sqlite/connection.ts';
import { SAVE_AT_ONCE, saveBatch as saveStatementOf } from '../../../adapters/storage-knex/sqlite/save.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { A_MOMENT_MS, aBody, aGeneration, anAgentId, anEvent, aTask, aTaskId, changes } from '../../product/contracts/fixtures.ts';
import { failsWith } from '../../product/contracts/storage/storage-room.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { seededRandom } from '../../product/twins/ids-seeded/seeded-random.ts';
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
} from '../storage-places/logged-store.ts';
import { outside, testedDriver } from '../storage-places/sqlite-storage-place.ts';
import { NO_ROWS } from '../suites/no-rows.ts';
import { gate } from '../../rig/gate.ts';

const BATCHES_IN_TRANSACTION = 16;
const WAITS_MS = 300;
const SAVED_AFTER_MS = 20;

/** The n-th batch that SQLite cannot refuse. */
const certain = (n: number): number => 2 * n;

t.test('R1: batches that SQLite cannot refuse are saved together, of any size, and each is there after a kill', async (t) => {
  const { file, storage, clock, acknowledged } = await loggedStore(t, 1);
  for (let n = 1; n <= 2 * BATCHES_IN_TRANSACTION + 2; n += 1) {
    await saveBatch(storage, acknowledged, certain(n));
    if (n % BATCHES_IN_TRANSACTION === 0) clock.advance(COMMITTED_AFTER_MS);
    await hasAfterKill(t, file, acknowledged, `${n} batches`);
  }
  await hasExactly(t, storage, acknowledged, 'read beside them');
  for (const [nth, length] of [10, 9_000, 9_000, 9_000, 10, 300_000, 10, 900_000, 10, 10].entries())
    await saveBatch(storage, acknowledged, certain(100 + nth), 'x'.repeat(length));
  await hasAfterKill(t, file, acknowledged, 'large ones');
  clock.advance(COMMITTED_AFTER_MS);
  await saveBatch(storage, acknowledged, certain(200));
  await hasExactly(t, storage, acknowledged, 'the hub itself');
});

t.test('R1: a database that has none of the batches of both halves gets them all; without one of them it is refused', async (t) => {
  const { file, storage, clock, acknowledged } = await loggedStore(t, 1);
  const saveUpTo = async (from: number, to: number, into: Acknowledged): Promise<void> => {
    for (let n = from; n <= to; n += 1) {
      await saveBatch(storage, into, certain(n));
      if (n % BATCHES_IN_TRANSACTION === 0) clock.advance(COMMITTED_AFTER_MS);
    }
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

/** A commit log whose writing connection awaits `before` ahead of each statement, on a store that is not open. */
async function logOver(t: Test, before: (sql: string) => unknown) {
  const { file, storage } = await loggedStore(t, 1);
  await storage.close();
  const { connection, close } = await testedDriver.open(file, 'write');
  for (const statement of SAVE_AT_ONCE) await connection.change(statement);
  const writer: SqliteConnection = {
    ...connection,
    async change(sql, ...values) {
      await before(sql);
      return connection.change(sql, ...values);
    },
  };
  const [row] = await connection.rows('SELECT store_id FROM store');
  const clock = virtualClock();
  const log = await CommitLog.create({ writer, database: file, storeId: String(row?.['store_id']), clock });
  const save = (n: number, more = ''): Promise<void> => log.save(saveStatementOf(`batch-${n}${more}`, NO_ROWS, []), 0, true);
  return { file, connection, close, clock, log, save };
}

t.test('R1: no half of the log is overwritten before SQLite has committed its batches', async (t) => {
  const { opened: mayCommit, open: commit } = gate();
  const { file, close, clock, log, save } = await logOver(t, (sql) => (sql === 'COMMIT' ? mayCommit : undefined));
  const inBoth = 2 * BATCHES_IN_TRANSACTION;
  for (let n = 1; n <= inBoth; n += 1) {
    await save(n);
    if (n % BATCHES_IN_TRANSACTION === 0) clock.advance(COMMITTED_AFTER_MS);
  }
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

t.test('what is changed while a batch finds out whether another program holds the lock stays changed', async (t) => {
  let changed: Promise<void> | undefined;
  const { connection, close, log, save } = await logOver(t, (sql) => {
    if (sql === 'BEGIN IMMEDIATE') changed ??= log.change('UPDATE store SET clock_mark = ?1', 42);
  });
  await save(1);
  await changed;
  await log.close();
  t.strictSame(await connection.rows('SELECT clock_mark FROM store'), [{ clock_mark: 42 }]);
  await close();
});

t.test('however many batches are saved together, a few statements do it', async (t) => {
  // Before, each number of batches had a statement of its own, which SQLite kept prepared.
  const statements = new Set<string>();
  const { file, close, log, save } = await logOver(t, (sql) => statements.add(sql));
  let saved = 0;
  for (let together = 1; together <= 20; together += 1) {
    for (let nth = 1; nth <= together; nth += 1) await save((saved += 1));
    await log.flush();
  }
  await log.close();
  await close();
  const sizes = [...statements].filter((sql) => sql.startsWith('INSERT')).map((sql) => sql.split('), (').length);
  t.strictSame(sizes, [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20]);
  t.strictSame(await outside(file, 'SELECT max(place) AS n FROM batches'), [{ n: 1 + saved }]);
});

t.test('batches that SQLite cannot refuse are saved 20 ms after the first, unless they are few', async (t) => {
  const sizes: number[] = [];
  let onInsert = (): void => undefined;
  const { close, clock, log, save } = await logOver(t, (sql) => {
    if (!sql.startsWith('INSERT')) return;
    sizes.push(sql.split('), (').length);
    onInsert();
  });
  let saved = 0;
  /** Two of them are enough. */
  const saveLarge = (): Promise<void> => save((saved += 1), 'x'.repeat(9_000));
  await saveLarge();
  await saveLarge();
  clock.advance(SAVED_AFTER_MS);
  const inserted = new Promise<void>((resolve) => (onInsert = resolve));
  await saveLarge();
  await inserted;
  t.strictSame(sizes, [3]);
  await saveLarge();
  await saveLarge();
  await log.executed();
  t.strictSame(sizes, [3, 2], 'the next ones have their own time, and a read does not wait for it');
  await save((saved += 1));
  clock.advance(SAVED_AFTER_MS);
  await save((saved += 1));
  clock.advance(SAVED_AFTER_MS);
  await save((saved += 1));
  await log.close();
  t.strictSame(sizes, [3, 2, 3], 'a few do not begin a transaction early, which would keep other programs from writing');
  await close();
});

/** Batches that insert tasks and change them again and again: assigned, returned, completed. `many`: one inserts more than fit into one row. */
function randomBatches(seed: string, many: boolean): readonly Changes[] {
  const random = seededRandom(seed);
  const below = (limit: number): number => random() % limit;
  const tasks: Task[] = [];
  return Array.from({ length: 40 }, (_, nth) => {
    const inserted = Array.from({ length: many && nth === 9 ? 150 : below(4) }, () =>
      aTask({ id: aTaskId(tasks.push(aTask())), eventSeq: 1 }),
    );
    for (const task of inserted) tasks[Number.parseInt(task.id.slice('task-'.length), 16) - 1] = task;
    const changed = new Set(Array.from({ length: tasks.length === 0 ? 0 : below(8) }, () => below(tasks.length)));
    const updated = [...changed].map((place) => {
      const before = tasks[place] as Task;
      const eventSeq = before.eventSeq + 1;
      // `submittedBy` is in a column that no change writes.
      const assigned = { status: 'assigned', assignedTo: anAgentId('a1'), generation: aGeneration(before.generation + 1) } as const;
      const next = { ...before, eventSeq, updatedAtMs: A_MOMENT_MS + nth, submittedBy: `tok-${nth}`, ...(before.status === 'queued' ? assigned : { status: below(2) === 0 ? 'queued' : 'completed', assignedTo: null } as const) }; // prettier-ignore
      return (tasks[place] = next);
    });
    return changes({
      inserted: inserted.map((task) => ({ task, dueAtMs: A_MOMENT_MS + below(9), body: aBody() })),
      updated: updated.map((task) => ({ task, dueAtMs: below(2) === 0 ? null : A_MOMENT_MS + below(9) })),
      events: [
        ...inserted.map(({ id }) => anEvent({ taskId: id })),
        ...updated.map(({ id, eventSeq }) => anEvent({ taskId: id, seq: eventSeq, event: 'assigned' })),
      ],
    });
  });
}

const TABLES = [
  'SELECT * FROM tasks ORDER BY id',
  'SELECT * FROM task_events ORDER BY id',
  'SELECT * FROM task_counts ORDER BY status, lane',
];

t.test('R1: batches that are saved together leave what they leave one by one, and so does the log after a kill', async (t) => {
  const save = (storage: Storage, batch: Changes, nth: number): Promise<unknown> =>
    storage.tasks.transact(`batch ${nth}`, (unit) => unit.save(batch, true));
  for (const [seed, many] of [
    ['a', false],
    ['b', false],
    ['c', false],
    ['d', true],
  ] as const) {
    // prettier-ignore
    const [file, alone] = [await newFile(t), await newFile(t)];
    const [together, oneByOne] = [await opened(t, file), await opened(t, alone)];
    const copies: [string, number][] = [];
    const batches = randomBatches(seed, many);
    for (const [nth, batch] of batches.entries()) {
      await save(together.storage, batch, nth);
      await save(oneByOne.storage, batch, nth);
      // It reads, for which SQLite has to commit what it has.
      await oneByOne.storage.tasks.list({ limit: 1 });
      if (nth === 7 || nth === 25 || nth === 39) copies.push([await killed(t, file), nth]);
    }
    await together.storage.close();
    await oneByOne.storage.close();
    for (const table of TABLES) t.strictSame(await outside(file, table), await outside(alone, table), `${seed}: ${table}`);
    for (const [copy, nth] of copies) {
      const { storage } = await opened(t, copy);
      for (const [later, batch] of batches.entries()) if (later > nth) await save(storage, batch, later);
      await storage.close();
      for (const table of TABLES)
        t.strictSame(await outside(copy, table), await outside(alone, table), `${seed}, killed after ${nth}: ${table}`);
    }
  }
});
