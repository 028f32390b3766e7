/**
 * A hub with exclusive use of a Postgres store: another one joins at once, cached data is then dropped, and a stalled
 * one is fenced off.
 */
import pg from 'pg';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { lockKey } from '../../adapters/storage-knex/postgres/schema.ts';
import type { Task } from '../../core/domain/task/task.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { Storage } from '../../core/ports/storage.ts';
import { aTask, aTaskId, anEvent, inserting, updating } from '../product/contracts/fixtures.ts';
import { commit, failsWith } from '../product/contracts/storage/storage-room.ts';
import { closedBefore, emptySchema, postgresStorage, type EngineOptions } from '../adapters/storage-places/postgres-storage-place.ts';
import { programs, postgresServer } from '../adapters/storage-places/postgres-server.ts';

const server = await postgresServer();
t.teardown(() => server.end());

const storageOn = (t: Test, schema: string, over: EngineOptions = {}, lockTimeoutMs = 60_000): Storage =>
  closedBefore(t, postgresStorage({ url: server.url, schema, lockTimeoutMs, statementTimeoutMs: lockTimeoutMs + 1 }, over));

const isExclusive = (storage: Storage): Promise<boolean> => storage.tasks.transact('look', async (unit) => unit.isExclusive);
const loaded = (storage: Storage): Promise<Task | undefined> =>
  storage.tasks.transact('load', async (unit) => (await unit.load({ tasks: [aTaskId(1)] })).tasks[0]);
const retried = (retryCount: number) => updating(aTask({ retryCount }));

/** A clock on which time can be advanced. */
function clockAhead() {
  const clock = systemClock();
  let aheadMs = 0;
  return {
    clock: { ...clock, nowMs: () => clock.nowMs() + aheadMs, monotonicMs: () => clock.monotonicMs() + aheadMs },
    pass: (ms: number) => void (aheadMs += ms),
  };
}

/** Takes these locks of a schema on a separate connection, like a hub or a move that does nothing more. The process of the server that holds them. */
async function holding(t: Test, schema: string, locks: readonly Parameters<typeof lockKey>[1][]): Promise<number> {
  const client = new pg.Client({ connectionString: server.url });
  // The server may end it.
  client.on('error', () => undefined);
  await client.connect();
  t.teardown(() => client.end());
  for (const lock of locks) await client.query(`SELECT pg_advisory_lock(${lockKey(schema, lock)})`);
  return (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;
}

t.test('a single hub has the store to itself until another joins, which waits for no timer', async (t) => {
  const schema = emptySchema(t, server);
  const { clock, pass } = clockAhead();
  const one = storageOn(t, schema, { clock });
  await one.open();
  t.equal(await isExclusive(one), true);
  await commit(one, { ...inserting(aTask()), events: [anEvent()] });
  t.equal((await loaded(one))?.retryCount, 0, 'cached');

  const other = storageOn(t, schema);
  const startedMs = performance.now();
  await other.open();
  t.ok(performance.now() - startedMs < 30_000, 'it did not wait until the first was fenced off');
  t.same([await isExclusive(one), await isExclusive(other)], [false, false]);

  await commit(other, { ...retried(1), events: [anEvent({ seq: 2 })] });
  t.equal((await loaded(one))?.retryCount, 1, "the first sees the other's write");
  await commit(one, { ...retried(2), events: [anEvent({ seq: 3 })] });
  t.equal((await loaded(other))?.retryCount, 2);

  await other.close();
  t.equal(await isExclusive(one), false, 'not checked yet');
  pass(60_000);
  t.equal(await isExclusive(one), true, 'alone again');
  t.equal((await loaded(one))?.retryCount, 2);
  await commit(one, { ...retried(3), events: [anEvent({ seq: 4 })] });
  const { events } = await one.events.after(0, {}, 10);
  t.strictSame(events.map(({ id, seq }) => [id, seq]), [[1, 1], [2, 2], [3, 3], [4, 4]]); // prettier-ignore
});

t.test('another hub joins while batches build on uncommitted ones', async (t) => {
  const schema = emptySchema(t, server);
  const one = storageOn(t, schema);
  await one.open();
  await commit(one, inserting(aTask()));
  const increment = (storage: Storage, n: number): Promise<void> =>
    storage.tasks.transact(
      `increment-${n}`,
      async (unit) => {
        const { tasks } = await unit.load({ tasks: [aTaskId(1)] });
        const task = tasks[0] as Task;
        await unit.save(updating({ ...task, retryCount: task.retryCount + 1 }), true);
      },
      { waiting: () => undefined, saving: () => undefined },
    );
  const increments = Array.from({ length: 200 }, (_, n) => increment(one, n));
  const other = storageOn(t, schema);
  await other.open();
  increments.push(...Array.from({ length: 50 }, (_, n) => increment(other, 200 + n)));
  const ended = await Promise.allSettled(increments);
  t.same(ended.filter(({ status }) => status === 'rejected'), []); // prettier-ignore
  t.equal((await loaded(other))?.retryCount, 250);
});

t.test('a stalled hub is fenced off', async (t) => {
  const schema = emptySchema(t, server);
  const one = storageOn(t, schema);
  await one.open();
  await one.close();
  await holding(t, schema, ['hub', 'only hub']);
  const other = storageOn(t, schema, {}, 500);
  await other.open();
  await commit(other, inserting(aTask()));
  t.equal(await isExclusive(other), true);
});

t.test('a move is not fenced off', async (t) => {
  const schema = emptySchema(t, server);
  const one = storageOn(t, schema);
  await one.open();
  await one.close();
  await holding(t, schema, ['hub']);
  const refused = await failsWith(t, storageOn(t, schema, { hubLockWithinMs: 500 }).open(), 'AC_STORAGE_LOCKED', 'refused');
  t.match(refused?.message, 'it is being moved or restored');
});

t.test('a process of the server that does not end is named', { skip: server.power === null }, async (t) => {
  const schema = emptySchema(t, server);
  const one = storageOn(t, schema);
  await one.open();
  await one.close();
  const pid = await holding(t, schema, ['hub', 'only hub']);
  // As while it waits for a disk that hangs.
  process.kill(pid, 'SIGSTOP');
  try {
    const refused = await failsWith(t, storageOn(t, schema, { hubLockWithinMs: 500 }, 500).open(), 'AC_STORAGE_LOCKED', 'refused');
    t.match(refused?.message, `process ${pid} of the server holds it for a hub`);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const other = storageOn(t, schema);
  await other.open();
  await commit(other, inserting(aTask()));
});

t.test("a hub's cache is not used after its connection has ended, even if nothing is read or saved", async (t) => {
  const schema = emptySchema(t, server);
  const one = storageOn(t, schema);
  await one.open();
  await commit(one, inserting(aTask()));
  t.equal((await loaded(one))?.retryCount, 0);
  const program = await server.session();
  t.teardown(() => program.end());
  let answers = 0;
  // Like a hub that stalled while another took over: its connection has ended, and it does not know yet.
  const late = one.tasks.transact('late', async (unit) => {
    const { tasks } = await unit.load({ tasks: [aTaskId(1)] });
    await program.ask(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND pid <> pg_backend_pid()`,
    );
    await program.ask(`UPDATE ${schema}.tasks SET state = replace(state, '}', ',"retryCount":7}')`);
    answers += 1;
    return tasks[0]?.retryCount;
  });
  await failsWith(t, late, 'AC_STORE_UNAVAILABLE', 'the data it was based on may be stale');
  t.equal(answers, 1);
  t.equal((await loaded(one))?.retryCount, 7);
});

t.test('for a user without the right to temporary functions, the store works as if shared with other hubs', async (t) => {
  const database = `test_${Date.now()}`;
  await server.ask(`CREATE DATABASE ${database}`);
  t.teardown(async () => {
    await server.ask(`DROP DATABASE ${database} WITH (FORCE)`);
    await server.ask(`DROP ROLE IF EXISTS ${database}`);
  });
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  const inside = programs(url.href);
  await inside.ask(`REVOKE TEMP ON DATABASE ${database} FROM PUBLIC`);
  await inside.ask(`CREATE ROLE ${database} LOGIN PASSWORD 'secret'`);
  await inside.ask(`CREATE SCHEMA agentcom AUTHORIZATION ${database}`);
  url.username = database;
  url.password = 'secret';
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
  const storage = postgresStorage({ url: url.href }, { log });
  try {
    await storage.open();
    t.equal(await isExclusive(storage), false);
    await commit(storage, inserting(aTask()));
    t.equal((await loaded(storage))?.retryCount, 0);
    t.ok(warnings.includes('this hub uses the store as if there were others, which is slower'));
  } finally {
    await storage.close();
  }
});
