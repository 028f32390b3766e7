/**
 * The number of tasks of each status and priority is exact after any save, and so is everything that belongs to a
 * task: nothing is left of a removed one.
 */
import path from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { Engine, OpenEngine } from '../../../adapters/storage-knex/engine.ts';
import { knexStorage } from '../../../adapters/storage-knex/knex-storage.ts';
import { lighterSaves } from '../../../adapters/storage-knex/migrations/0017-lighter-saves.ts';
import { postgresEngine } from '../../../adapters/storage-knex/postgres/engine.ts';
import { inspectPostgres } from '../../../adapters/storage-knex/postgres/inspection.ts';
import { sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { inspectSqlite } from '../../../adapters/storage-knex/sqlite/inspection.ts';
import { ROWS_IN_STATEMENT } from '../../../adapters/storage-knex/statements.ts';
import type { Status, Task } from '../../../core/domain/task/task.ts';
import type { EarlyTransaction } from '../../../core/ports/timing/turns.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { StoreDamage } from '../../../core/ports/store-inspection.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import {
  A_MOMENT_MS,
  aKey,
  anAgentId,
  anAssignedTask,
  anEvent,
  aTask,
  aTaskId,
  changes,
  inserting,
  updating,
} from '../../product/contracts/fixtures.ts';
import { commit } from '../../product/contracts/storage/storage-room.ts';
import { emptySchema, engineDeps } from '../storage-places/postgres-storage-place.ts';
import { postgresServer } from '../storage-places/postgres-server.ts';
import { emptyFolder, outside, sqliteStorage, testedDriver } from '../storage-places/sqlite-storage-place.ts';

/** An open storage, the findings of `agentcom doctor --fsck` in it, and the tasks whose place was looked up to be counted. */
interface Counted {
  readonly storage: Storage;
  readonly lookedUp: string[];
  /** Fails unless all of its tasks are counted, and nothing belongs to a task that does not exist. */
  exact(message: string): Promise<void>;
}

type Place = (t: Test) => Promise<Counted>;

async function counted(t: Test, engine: Engine, damage: () => Promise<readonly StoreDamage[]>): Promise<Counted> {
  const lookedUp: string[] = [];
  const open = async (): Promise<OpenEngine> => {
    const opened = await engine.open();
    const write: OpenEngine['write'] = (batchId, work, early) =>
      opened.write(
        batchId,
        (transaction) => {
          const { counting } = transaction;
          if (counting === null) return work(transaction);
          const rows: typeof counting.rows = (name, ids) => (lookedUp.push(...(ids as string[])), counting.rows(name, ids));
          return work({ ...transaction, counting: { ...counting, rows } });
        },
        early,
      );
    return { ...opened, write };
  };
  const storage = knexStorage({ engine: { ...engine, open }, clock: systemClock(), log: silentLog });
  await storage.open();
  t.teardown(() => storage.close());
  return { storage, lookedUp, exact: async (message) => void t.strictSame(await damage(), [], message) };
}

const onSqlite: Place = async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  return counted(t, sqliteEngine({ driver: testedDriver, file, clock: systemClock(), log: silentLog }), () => damageIn(file));
};

async function damageIn(file: string): Promise<readonly StoreDamage[]> {
  const looked = await inspectSqlite(testedDriver, file);
  try {
    return await looked.whole();
  } finally {
    await looked.close();
  }
}

const server = await postgresServer(['-c', 'fsync=off']);
t.teardown(() => server.end());
const onPostgres: Place = async (t) => {
  const deps = engineDeps({ url: server.url, schema: emptySchema(t, server) });
  return counted(t, postgresEngine(deps), async () => {
    const looked = await inspectPostgres(deps.settings, deps.clock);
    try {
      return await looked.whole();
    } finally {
      await looked.close();
    }
  });
};

const unnoticed = (): EarlyTransaction => ({ waiting: () => undefined, saving: () => undefined });
const a1 = anAgentId();
const ended = (n: number, status: Status = 'completed'): Task => aTask({ id: aTaskId(n), status });
const queued = (n: number, over: Partial<Task> = {}): Task => aTask({ id: aTaskId(n), ...over });
const assigned = (n: number): Task => anAssignedTask(a1, { id: aTaskId(n) });
const both = (inserted: Changes, updated: Changes): Changes => ({ ...inserted, updated: updated.updated });

/** A batch that may begin early. It loads nothing, like one that is decided on cached state. */
const soon = ({ tasks }: Storage, batchId: string, saved: Changes): Promise<unknown> =>
  tasks.transact(batchId, (unit) => unit.save(saved, true), unnoticed());

const stats = async ({ tasks }: Storage): Promise<Partial<Record<Status, number>>> =>
  Object.fromEntries(Object.entries((await tasks.stats()).statuses).filter(([, n]) => n !== 0));

for (const [name, place] of [
  ['sqlite', onSqlite],
  ['postgres', onPostgres],
] as const) {
  // prettier-ignore
  t.test(`${name}: overlapping batches are counted without reading what the previous one saved`, async (t) => {
    const { storage, lookedUp, exact } = await place(t);
    await Promise.all([
      soon(storage, 'b1', inserting(queued(1), queued(2), queued(3, { priority: 'urgent' }))),
      soon(storage, 'b2', both(inserting(queued(4)), updating(assigned(1), assigned(3)))),
      soon(storage, 'b3', updating(ended(1), assigned(2), queued(3))),
      soon(storage, 'b4', updating(ended(2, 'dead_letter'), assigned(4), assigned(3))),
    ]);
    await exact('after all');
    t.strictSame(await stats(storage), { completed: 1, dead_letter: 1, assigned: 2 });
    t.strictSame(lookedUp, []);
    await commit(storage, updating(queued(2)));
    await exact('of one that has ended, and is not cached');
    t.strictSame(lookedUp, name === 'sqlite' ? [aTaskId(2)] : [], 'its old status is looked up');
  });

  t.test(`${name}: a batch that was not committed is not counted, nor are transactions based on it`, async (t) => {
    const { storage, exact } = await place(t);
    await commit(storage, { ...inserting(queued(1), queued(9)), keys: [aKey({ taskIds: [aTaskId(9)] })] });
    const [first, second] = await Promise.allSettled([
      // Its key belongs to another task, which is found out only when it is saved.
      soon(storage, 'b1', { ...both(inserting(queued(2)), updating(assigned(1))), keys: [aKey({ taskIds: [aTaskId(2)] })] }),
      soon(storage, 'b2', updating(ended(1))),
    ]);
    await exact('after both');
    if (name === 'sqlite') t.strictSame([first.status, second.status], ['rejected', 'rejected']);
    await soon(storage, 'b3', both(inserting(queued(2)), updating(assigned(1))));
    await soon(storage, 'b4', updating(ended(1)));
    await exact('and again');
    t.strictSame(await stats(storage), { completed: 1, queued: 2 });
  });

  t.test(`${name}: a repeated batch counts only what is new in it`, async (t) => {
    const { storage, exact } = await place(t);
    const batch = { ...inserting(queued(1), queued(2)), events: [anEvent(), anEvent({ taskId: aTaskId(2) })] };
    await commit(storage, batch);
    await commit(storage, batch);
    await exact('the same');
    await commit(storage, inserting(queued(2), queued(3)));
    await exact('another one with an existing one');
    await commit(storage, updating(assigned(1)));
    await commit(storage, both(batch, updating(assigned(2))));
    await exact('after one has continued: it stays as it is');
    await commit(storage, updating(ended(1)));
    await exact('and continues from there');
    t.strictSame(await stats(storage), { completed: 1, assigned: 1, queued: 1 });
  });

  t.test(`${name}: a batch too large for one statement is counted`, async (t) => {
    const { storage, exact } = await place(t);
    const all = Array.from({ length: ROWS_IN_STATEMENT + 1 }, (_, at) => at + 1);
    await commit(storage, inserting(...all.map((n) => queued(n, n % 2 === 0 ? {} : { priority: 'low' }))));
    await exact('new ones');
    await commit(storage, updating(...all.map((n) => (n % 3 === 0 ? ended(n) : assigned(n)))));
    await exact('changed ones');
    t.strictSame(await stats(storage), { completed: 667, assigned: 1_334 });
  });

  t.test(`${name}: a task that changes twice in a batch, or is new in it, counts in its final state`, async (t) => {
    const { storage, exact } = await place(t);
    await commit(storage, inserting(queued(1)));
    await commit(storage, updating(assigned(1), queued(1), ended(1)));
    await exact('changed twice');
    await commit(storage, both(inserting(queued(2)), updating(assigned(2), ended(2))));
    await exact('new and changed');
    await storage.tasks.transact('two saves', async (unit) => {
      await unit.load({ tasks: [aTaskId(1)] });
      await unit.save(both(inserting(queued(3)), updating(queued(1))));
      await unit.save(updating(assigned(1), assigned(3)), true);
    });
    await exact('in two steps of one transaction');
    await commit(storage, updating(queued(3)));
    await exact('and continues from there');
    t.strictSame(await stats(storage), { completed: 1, assigned: 1, queued: 1 });
  });

  t.test(`${name}: a changed task that was never inserted is not counted, and fails its batch`, async (t) => {
    const { storage, exact } = await place(t);
    await t.rejects(commit(storage, both(inserting(queued(1)), updating(assigned(2)))), { code: 'AC_INTERNAL' });
    await exact('after it');
  });

  t.test(`${name}: a removed task is no longer counted, and its body and result are removed with it`, async (t) => {
    const { storage, exact } = await place(t);
    await commit(storage, {
      ...inserting(ended(1), ended(2), queued(3)),
      results: [1, 2].map((n) => ({ taskId: aTaskId(n), json: '{}' })),
    });
    const old = { tombstonesBeforeMs: 0, keysBeforeMs: 0, nowMs: A_MOMENT_MS, limit: 1 };
    await storage.tasks.transact('old', (unit) => unit.remove({ ...old, endedBeforeMs: A_MOMENT_MS, deadBeforeMs: A_MOMENT_MS }));
    await exact('nothing is left of it');
    t.strictSame(await stats(storage), { completed: 1, queued: 1 });
  });

  t.test(`${name}: all tasks are counted under any mix of saves, overlaps and failures`, async (t) => {
    const { storage, exact } = await place(t);
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    await commit(storage, { ...inserting(queued(1)), keys: [aKey({ taskIds: [aTaskId(1)] })] });
    let tasks = 1;
    const batch = (): Changes => {
      const known = tasks;
      const fresh = Array.from({ length: random(4) }, () => queued((tasks += 1)));
      // Some of a failed batch were never inserted.
      const changed = fresh.slice(random(4)).map((task) => ({ ...task, status: 'assigned' as const, assignedTo: a1 }));
      const others = Array.from({ length: random(3) }, () => [queued, assigned, ended][random(3)]?.(1 + random(known)) ?? queued(1));
      const key = random(5) === 0 ? [aKey({ taskIds: [aTaskId(tasks)] })] : [];
      return changes({ ...both(inserting(...fresh), updating(...changed, ...others)), keys: key });
    };
    for (let round = 0; round < 40; round += 1)
      await Promise.allSettled(Array.from({ length: 1 + random(4) }, (_, nth) => soon(storage, `r${round}-${nth}`, batch())));
    await exact('after all');
    t.ok(Object.values(await stats(storage)).reduce((sum, n) => sum + n, 0) > 20);
  });
}

t.test('a store from before saves were lighter is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const before = sqliteStorage(file);
  await before.open();
  await commit(before, { ...inserting(queued(1), ended(2)), results: [{ taskId: aTaskId(2), json: '{}' }] });
  await before.close();
  const old = (table: string, column: string): readonly string[] => [
    `ALTER TABLE ${table} RENAME TO new_one`,
    `CREATE TABLE ${table} (task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE, ${column} TEXT NOT NULL) STRICT`,
    `INSERT INTO ${table} SELECT * FROM new_one`,
    'DROP TABLE new_one',
  ];
  await outside(
    file,
    'DROP TRIGGER tasks_removed',
    'ALTER TABLE task_events DROP COLUMN earlier',
    ...old('task_bodies', 'body'),
    ...old('task_results', 'json'),
    'CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks BEGIN UPDATE task_counts SET tasks = tasks + 1; END',
    'CREATE TRIGGER tasks_counted_over AFTER UPDATE ON tasks BEGIN UPDATE task_counts SET tasks = tasks + 1; END',
    `DELETE FROM migrations WHERE name = '${lighterSaves.name}'`,
  );
  t.equal((await outside(file, 'PRAGMA foreign_key_list(task_results)')).length, 1);
  const after = sqliteStorage(file);
  await after.open();
  await commit(after, both(inserting(queued(3)), updating(ended(1))));
  t.equal((await after.tasks.read(aTaskId(2)))?.result, '{}');
  await after.close();
  for (const table of ['task_bodies', 'task_results']) t.strictSame(await outside(file, `PRAGMA foreign_key_list(${table})`), [], table);
  t.strictSame(await outside(file, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  t.strictSame(await damageIn(file), []);
});
