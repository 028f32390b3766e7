/** What the Postgres storage answers when a lock, the connection or the server fails, and that it recovers afterwards. */
import t from 'tap';
import type { ErrorCode } from '../../core/errors/codes.ts';
import type { Row } from '../../adapters/storage-knex/engine.ts';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { postgres } from '../../adapters/storage-knex/postgres.ts';
import { knexStorage } from '../../adapters/storage-knex/knex-storage.ts';
import { postgresEngine } from '../../adapters/storage-knex/postgres/engine.ts';
import { silentLog } from '../../core/ports/log.ts';
import { aTask, aTaskId, anEvent, changes, inserting, updating } from '../product/contracts/fixtures.ts';
import { commit, failsWith } from '../product/contracts/storage/storage-room.ts';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { commitProxy } from '../adapters/storage/commit-proxy.ts';
import { closedBefore, emptySchema, engineDeps, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';

const server = await postgresServer();
t.teardown(() => server.end());

const submit = (n: number) => ({ ...inserting(aTask({ id: aTaskId(n) })), events: [anEvent({ taskId: aTaskId(n) })] });

t.test("the server's time never goes back from one transaction to the next, known or received", async (t) => {
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema: emptySchema(t, server) }));
  await storage.open();
  const serverMs = async (): Promise<number> => Number((await server.ask('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms'))[0]?.['ms']); // prettier-ignore
  let before = -Infinity;
  for (let n = 1; n <= 100; n += 1) {
    const nowMs = await storage.tasks.transact(`at-${n}`, async (unit) => {
      await unit.save(submit(n));
      return unit.nowMs;
    });
    if (nowMs < before) t.fail(`${nowMs} comes after ${before}`);
    before = nowMs;
  }
  const afterMs = await serverMs();
  t.ok(before <= afterMs && afterMs - before < 1_000, `the last of them, ${before}, is the server's, ${afterMs}`);
});

t.test('work that continues after a failed statement commits nothing', async (t) => {
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema: emptySchema(t, server) }));
  await storage.open();
  const wrong = { ...aTask(), createdAtMs: 0.5 };
  const failed = storage.tasks.transact('b', async (unit) => {
    await unit.save(inserting(aTask({ id: aTaskId(2) })));
    await failsWith(t, unit.save(inserting(wrong)), 'AC_INTERNAL', 'refused by the server');
    await failsWith(t, unit.save(inserting(aTask())), 'AC_INTERNAL', 'the next one is refused too');
    return 'all is well';
  });
  await failsWith(t, failed, 'AC_INTERNAL', 'the transaction fails');
  t.strictSame(await storage.tasks.list({ limit: 10 }), []);
  await commit(storage, submit(1));
  t.equal((await storage.tasks.stats()).statuses.queued, 1, 'the next one succeeds');
});

t.test('when the server ends a connection within a transaction, nothing of it remains, and the next one works', async (t) => {
  const messages: string[] = [];
  const log = { ...silentLog, error: (message: string) => messages.push(message) };
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema: emptySchema(t, server) }, { log }));
  await storage.open();
  const END = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND state LIKE 'idle%'`;
  const ended = storage.tasks.transact('ended', async (unit) => {
    await unit.save(submit(1));
    await server.ask(END);
    await server.until(`SELECT count(*) = 0 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub'`);
    await unit.save(submit(2));
  });
  await failsWith(t, ended, 'AC_STORE_UNAVAILABLE', 'amid the work');
  t.equal(await storage.tasks.committed('ended'), false);
  await commit(storage, submit(3));
  t.strictSame((await storage.tasks.list({ limit: 10 })).map(({ task }) => task.id), [aTaskId(3)]); // prettier-ignore
  await server.ask(END);
  await server.until(`SELECT count(*) = 0 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub'`);
  await commit(storage, submit(4));
  t.equal((await storage.tasks.stats()).statuses.queued, 2, 'a connection that ended in between is noticed before use');
  t.equal(messages.length, 2, 'each loss is logged');
});

/** Alone, it saves a batch as one statement; with another hub, in a transaction of several. */
for (const isAlone of [true, false])
  t.test(`a hub ${isAlone ? 'alone' : 'beside another'} says once that the store has gone back in time`, async (t) => {
    const schema = emptySchema(t, server);
    const errors: string[] = [];
    const log = {
      ...silentLog,
      error: (message: string, fields: object = {}) => void (/back in time/.test(message) && errors.push(JSON.stringify(fields))),
    };
    if (!isAlone) await closedBefore(t, postgresStorage({ url: server.url, schema })).open();
    const storage = closedBefore(t, postgresStorage({ url: server.url, schema }, { log }));
    await storage.open();
    const save = (n: number) => storage.tasks.transact(`batch-${n}`, (unit) => unit.save(submit(n), true));
    const reconnect = async (n: number): Promise<void> => {
      await server.ask(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`);
      await server.until(`SELECT count(*) = 0 AS answer FROM pg_locks WHERE locktype = 'advisory'`);
      await save(n);
    };
    await save(1);
    await save(2);
    await reconnect(3);
    t.strictSame(errors, [], 'not after a mere reconnect');
    // As in the copy of a moment before.
    await server.ask(`BEGIN; DELETE FROM ${schema}.task_events WHERE id > 1; UPDATE ${schema}.event_numbers SET last_id = 1; COMMIT`);
    await reconnect(4);
    t.equal(errors.length, 1);
    t.match(errors[0], /"expected_event":3,"found_event":1/);
    await reconnect(5);
    t.equal(errors.length, 1);
  });

/** A batch in single statements with a COMMIT, or saved as one statement. */
for (const [how, isLast] of [
  ['at COMMIT', false],
  ['as one statement is saved', true],
] as const)
  t.test(`a connection cut ${how}: the outcome of the commit is determined`, async (t) => {
    const proxy = await commitProxy(t, server.url);
    const storage = closedBefore(t, postgresStorage({ url: proxy.url, schema: emptySchema(t, server) }));
    await storage.open();
    await commit(storage, changes({}));
    const unknown = (batchId: string, n: number) =>
      failsWith(
        t,
        storage.tasks.transact(batchId, (unit) => unit.save(submit(n), isLast)),
        'AC_COMMIT_UNKNOWN',
        'not known',
      );

    await t.test('before the server received it', async (t) => {
      const caught = proxy.catchCommit();
      const failed = unknown('before', 1);
      const commitOnItsWay = await caught;
      commitOnItsWay.cutServer();
      commitOnItsWay.cutClient();
      await failed;
      t.equal(await storage.tasks.committed('before'), false);
      t.strictSame(await storage.tasks.peek([aTaskId(1)]), []);
    });

    await t.test('after the server received it, before it could answer', async (t) => {
      const caught = proxy.catchCommit();
      const failed = unknown('after', 2);
      const commitOnItsWay = await caught;
      await commitOnItsWay.deliver();
      commitOnItsWay.cutClient();
      await failed;
      t.equal(await storage.tasks.committed('after'), true);
      t.strictSame(await storage.tasks.peek([aTaskId(2)]), [aTask({ id: aTaskId(2) })]);
    });

    await t.test('while the server may still receive it: no answer before that is decided', async (t) => {
      const caught = proxy.catchCommit();
      const failed = unknown('late', 3);
      const commitOnItsWay = await caught;
      commitOnItsWay.cutClient();
      await failed;
      const pending = storage.tasks.committed('late');
      if (isLast) {
        // Nothing of it is at the server: it is ensured that it never will be.
        t.equal(await pending, false);
        commitOnItsWay.send();
        await commit(storage, submit(5));
        t.strictSame(await storage.tasks.peek([aTaskId(3)]), [], 'it came too late');
      } else {
        await server.until(
          `SELECT count(*) = 1 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND wait_event_type = 'Lock'`,
        );
        await commitOnItsWay.deliver();
        commitOnItsWay.cutServer();
        t.equal(await pending, true, 'the table alone would have said no');
      }
    });
    await commit(storage, submit(4));
    t.equal((await storage.tasks.stats()).statuses.queued, 3);
  });

t.test('a batch whose transaction never ends does not stay unanswered forever', async (t) => {
  const proxy = await commitProxy(t, server.url);
  const storage = closedBefore(
    t,
    postgresStorage({ url: proxy.url, schema: emptySchema(t, server), lockTimeoutMs: 50, idleInTransactionMs: 500 }),
  );
  await storage.open();
  const caught = proxy.catchCommit();
  const unknown = failsWith(
    t,
    storage.tasks.transact('lost', (unit) => unit.save(submit(1))),
    'AC_COMMIT_UNKNOWN',
    'not known',
  );
  (await caught).cutClient();
  await unknown;
  const refused = await failsWith(t, storage.tasks.committed('lost'), 'AC_STORE_UNAVAILABLE', 'not yet');
  t.match(refused?.message, 'has not ended');
  await server.until(
    `SELECT count(*) = 0 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND state LIKE 'idle in transaction%'`,
  );
  t.equal(await storage.tasks.committed('lost'), false, 'once the server gave up on it');
  await commit(storage, submit(2));
});

t.test('an unresponsive server is abandoned', async (t) => {
  const proxy = await commitProxy(t, server.url);
  const options = {
    url: proxy.url,
    schema: emptySchema(t, server),
    statementTimeoutMs: 100,
    lockTimeoutMs: 100,
    readTimeoutMs: 100,
    connectWithinMs: 1_000,
  };
  const storage = closedBefore(t, postgresStorage(options, { answerMarginMs: 200 }));
  await storage.open();
  proxy.fallSilent();
  await failsWith(t, commit(storage, submit(1)), 'AC_STORE_UNAVAILABLE', 'a commit');
  await failsWith(t, storage.tasks.stats(), 'AC_STORE_UNAVAILABLE', 'a read');
  await failsWith(t, commit(storage, submit(1)), 'AC_STORE_UNAVAILABLE', 'a new connection');
  t.equal(await storage.healthy(), false);
});

t.test(
  'a storage whose disk is full is not healthy, although a commit that needs no space works, until 30 s after the last that failed',
  async (t) => {
    const clock = virtualClock();
    const schema = emptySchema(t, server);
    const storage = closedBefore(
      t,
      knexStorage({ engine: postgresEngine(engineDeps({ url: server.url, schema })), clock, log: silentLog }),
    );
    await storage.open();
    const full =
      "CREATE FUNCTION $.no_space() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''full'' USING ERRCODE = ''53100''; END'";
    for (const sql of [full, 'CREATE TRIGGER no_space BEFORE INSERT ON $.tasks EXECUTE FUNCTION $.no_space()'])
      await server.ask(sql.replaceAll('$', schema));
    t.equal(await storage.healthy(), true);
    await failsWith(t, commit(storage, submit(1)), 'AC_STORE_UNAVAILABLE', 'a commit that needs space');
    t.equal(await storage.healthy(), false);
    clock.advance(29_999);
    t.equal(await storage.healthy(), false, 'no other commit was tried');
    clock.advance(1);
    t.equal(await storage.healthy(), true, 'it may have space again');
    await failsWith(t, commit(storage, submit(1)), 'AC_STORE_UNAVAILABLE', 'a later commit');
    t.equal(await storage.healthy(), false);
  },
);

t.test('a query that takes too long is stopped', async (t) => {
  const options = { url: server.url, schema: emptySchema(t, server), readTimeoutMs: 50, lockTimeoutMs: 50 };
  const engine = await postgresEngine(engineDeps(options)).open();
  t.teardown(() => engine.close());
  const slow = await failsWith(
    t,
    engine.read((db) => db.raw('SELECT pg_sleep(60)')),
    'AC_STORE_UNAVAILABLE',
    'a read',
  );
  t.match(slow?.message, 'exceeded its time limit');
  t.equal((await engine.read(async (db) => (await db('store').select('store_id')) as readonly Row[])).length, 1, 'the next one works');
  const mistake = new TypeError('an internal mistake');
  t.equal(
    await engine.read(() => Promise.reject(mistake)).catch((thrown: unknown) => thrown),
    mistake,
    'is not mistaken for a server fault',
  );
});

t.test("another program's lock asks for a repeat, which succeeds once the lock is gone", async (t) => {
  const schema = emptySchema(t, server);
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema, lockTimeoutMs: 50 }));
  await storage.open();
  await commit(storage, submit(1));
  const save = () => commit(storage, updating(aTask()));
  const program = await server.session();
  await program.ask(`BEGIN; SELECT FROM ${schema}.tasks FOR UPDATE`);
  const refused = await failsWith(t, save(), 'AC_STORE_RETRY', 'locked');
  t.match(refused?.message, '55P03');
  t.equal((await storage.tasks.stats()).statuses.queued, 1, 'reads continue');
  await program.end();
  await save();
});

t.test('a recreated database is not taken for the one that was opened', async (t) => {
  const schema = emptySchema(t, server);
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await storage.open();
  await server.ask(`UPDATE ${schema}.store SET store_id = 'store-of-another'`);
  await server.ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'agentcom hub'`);
  await server.until(`SELECT count(*) = 0 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub'`);
  const refused = await failsWith(t, commit(storage, submit(1)), 'AC_STORE_UNAVAILABLE', 'refused');
  t.match(refused?.message, 'store-of-another');
  await server.ask(`DROP SCHEMA ${schema} CASCADE`);
  await failsWith(t, commit(storage, submit(1)), 'AC_STORE_UNAVAILABLE', 'gone altogether');
});

t.test('a server that does not persist its commits is logged as a warning', async (t) => {
  const messages: string[] = [];
  const log = { ...silentLog, warn: (message: string) => messages.push(message) };
  const url = new URL(server.url);
  url.searchParams.set('options', '-c synchronous_commit=off');
  await closedBefore(t, postgresStorage({ url: url.href, schema: emptySchema(t, server) }, { log })).open();
  t.match(
    messages.find((line) => line.includes('synchronous_commit')),
    /acknowledged may be gone/,
  );
});

t.test('the doctor reports a server that does not persist its commits', async (t) => {
  const schema = emptySchema(t, server);
  // The test server runs without fsync, which is reported too.
  const checked = async (url: string) =>
    ((await postgres({ url, schema }).check?.({ clock: systemClock() })) ?? []).filter(({ what }) => !what.startsWith('fsync '));
  t.strictSame(await checked(server.url), []);
  const careless = new URL(server.url);
  careless.searchParams.set('options', '-c synchronous_commit=off');
  t.match(await checked(careless.href), [{ check: 'not_durable', what: /^synchronous_commit is off for database/ }]);
  const nobody = new URL(server.url);
  nobody.port = '1';
  await failsWith(t, checked(nobody.href), 'AC_STORAGE_OPEN', 'no server');
});

t.test('a server is stopped, crashed and started', { skip: server.power === null && 'the server is not ours to stop' }, async (t) => {
  const { power } = server;
  if (power === null) return;
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema: emptySchema(t, server) }));
  const { storeId } = await storage.open();
  const committed = new Set<number>();
  let n = 0;
  for (const end of [() => power.stop(), () => power.crash()]) {
    let isUp = true;
    const unknown: { readonly batchId: string; readonly n: number }[] = [];
    const busy = async (): Promise<void> => {
      while (isUp) {
        n += 1;
        const [mine, batchId] = [n, `batch-${n}`];
        await storage.tasks
          .transact(batchId, (unit) => unit.save(submit(mine)))
          .then(
            () => committed.add(mine),
            (thrown: { readonly code?: ErrorCode }) => {
              if (thrown.code === 'AC_COMMIT_UNKNOWN') unknown.push({ batchId, n: mine });
              else t.equal(thrown.code, 'AC_STORE_UNAVAILABLE', 'a batch that failed');
            },
          );
      }
    };
    const working = Promise.all([busy(), busy(), busy()]);
    while (committed.size < 20) await new Promise(setImmediate);
    await end();
    isUp = false;
    await working;
    await failsWith(t, commit(storage, submit(100_000)), 'AC_STORE_UNAVAILABLE', 'a commit while it is down');
    await failsWith(t, storage.tasks.stats(), 'AC_STORE_UNAVAILABLE', 'a read while it is down');
    await failsWith(t, storage.tasks.committed('batch-1'), 'AC_STORE_UNAVAILABLE', 'nor are commit outcomes known');
    t.equal(await storage.healthy(), false);
    await power.start();
    for (const { batchId, n: mine } of unknown) if (await storage.tasks.committed(batchId)) committed.add(mine);
    n += 1;
    await commit(storage, submit(n));
    committed.add(n);
    const found = await storage.tasks.peek(Array.from({ length: n }, (_, at) => aTaskId(at + 1)));
    t.strictSame(found.map(({ id }) => id).toSorted(), [...committed].map(aTaskId).toSorted(), 'exactly what was reported as committed'); // prettier-ignore
    t.equal((await storage.tasks.stats()).statuses.queued, committed.size, 'and counted');
  }
  const events = (await storage.events.after(0, {}, 100_000)).events;
  t.equal(events.length, committed.size);
  await storage.close();
  t.equal((await storage.open()).storeId, storeId);
});

t.test('limits that the role has for its sessions end neither the connections of a hub nor its transactions', async (t) => {
  const problems: string[] = [];
  const log = { ...silentLog, warn: (message: string) => problems.push(message), error: (message: string) => problems.push(message) };
  const url = new URL(server.url);
  const limits = ['idle_session_timeout', 'transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout'];
  url.searchParams.set('options', limits.map((name) => `-c ${name}=200`).join(' '));
  const storage = closedBefore(t, postgresStorage({ url: url.href, schema: emptySchema(t, server) }, { log }));
  await storage.open();
  t.teardown(storage.notifier.listen(() => undefined));
  const hub = `FROM pg_stat_activity WHERE application_name LIKE 'agentcom hub%'`;
  await server.until(`SELECT count(*) >= 4 AS answer ${hub}`);
  await storage.tasks.transact('slow', async (unit) => {
    await unit.save(submit(1));
    await server.until(`SELECT count(*) < 4 OR max(state_change) < clock_timestamp() - interval '600 ms' AS answer ${hub}`);
    await unit.save(submit(2));
  });
  t.equal((await server.ask(`SELECT count(*)::int AS connections ${hub}`))[0]?.['connections'], 4);
  t.strictSame(
    problems.filter((message) => !/fsync/.test(message)),
    [],
  );
});
