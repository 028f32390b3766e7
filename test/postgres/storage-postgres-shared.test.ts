/** The Postgres storage opened by several: nothing is lost, duplicated, skipped or visible too early. */
import pg from 'pg';
import t, { type Test } from 'tap';
import type { OpenEngine } from '../../adapters/storage-knex/engine.ts';
import { connectWriter } from '../../adapters/storage-knex/postgres/connections.ts';
import { postgresEngine } from '../../adapters/storage-knex/postgres/engine.ts';
import { POSTGRES_INSPECTION } from '../../adapters/storage-knex/postgres/inspection.ts';
import { given, GIVEN_COLUMNS, type GivenName } from '../../adapters/storage-knex/postgres/given-columns.ts';
import { parametersOf } from '../../adapters/storage-knex/postgres/binary-parameters.ts';
import { POSTGRES_STATEMENTS } from '../../adapters/storage-knex/postgres/statements.ts';
import type { StoredEvent } from '../../core/domain/task/event.ts';
import type { Task } from '../../core/domain/task/task.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Storage } from '../../core/ports/storage.ts';
import { ANY_CHANGE, type ChangeHint } from '../../core/ports/hub-notifier.ts';
import {
  A_MOMENT_MS,
  aKey,
  aMail,
  aStop,
  aTask,
  aTaskId,
  aToken,
  anAgent,
  anAgentId,
  anAssignedTask,
  anEvent,
  changes,
  inserting,
  updating,
} from '../product/contracts/fixtures.ts';
import { clusterOf } from '../product/contracts/storage/cluster-of.ts';
import { commit, failsWith } from '../product/contracts/storage/storage-room.ts';
import { closedBefore, emptySchema, engineDeps, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { gate } from '../rig/gate.ts';

const server = await postgresServer(['-c', 'fsync=off', '-c', 'deadlock_timeout=50ms']);
t.teardown(() => server.end());

/** Two open storages over one empty schema. */
async function two(t: Test, schema = emptySchema(t, server)): Promise<readonly [Storage, Storage]> {
  const options = { url: server.url, schema };
  const both = [postgresStorage(options), postgresStorage(options)] as const;
  for (const storage of both) await closedBefore(t, storage).open();
  return both;
}

/** Resolves once a hub's connection waits for another's lock. */
const someoneWaits = (): Promise<void> =>
  server.until(`SELECT count(*) > 0 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND wait_event_type = 'Lock'`);

t.test('hubs that open an empty database at the same time create one schema', async (t) => {
  const schema = emptySchema(t, server);
  const opening = Array.from({ length: 6 }, () => postgresEngine(engineDeps({ url: server.url, schema })).open());
  const engines: readonly OpenEngine[] = await Promise.all(opening);
  for (const engine of engines) t.teardown(() => engine.close());
  t.equal(new Set(engines.map(({ storeId }) => storeId)).size, 1, 'one store');
  const [taken] = await server.ask(`SELECT count(*)::integer AS steps, count(DISTINCT name)::integer AS names FROM ${schema}.migrations`);
  t.equal(taken?.['steps'], taken?.['names']);
});

t.test('a failing migration step rolls back the steps before it', async (t) => {
  const schema = emptySchema(t, server);
  await server.ask(`CREATE SCHEMA ${schema}`);
  await server.ask(`CREATE TABLE ${schema}.tombstones (in_the_way integer)`);
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', 'refused');
  t.strictSame(await server.ask(`SELECT tablename FROM pg_tables WHERE schemaname = $1`, [schema]), [{ tablename: 'tombstones' }]);
  await server.ask(`DROP TABLE ${schema}.tombstones`);
  await storage.open();
  await commit(storage, inserting(aTask()));
});

t.test('a row loaded by one hub waits for it, and no change is lost', async (t) => {
  const both = await two(t);
  await commit(both[0], inserting(aTask()));
  const increments = Array.from({ length: 20 }, (_, n) =>
    both[n % 2 === 0 ? 0 : 1].tasks.transact(`increment-${n}`, async (unit) => {
      const { tasks } = await unit.load({ tasks: [aTaskId(1)], agents: [], keys: [] });
      const task = tasks[0] as Task;
      await unit.save(updating({ ...task, retryCount: task.retryCount + 1 }));
    }),
  );
  await Promise.all(increments);
  t.equal((await both[1].tasks.peek([aTaskId(1)]))[0]?.retryCount, 20);
});

t.test('an unused idempotency key is used by one submit only', async (t) => {
  const both = await two(t);
  const made = await Promise.all(
    Array.from({ length: 12 }, (_, n) =>
      both[n % 2 === 0 ? 0 : 1].tasks.transact(`submit-${n}`, async (unit) => {
        const { keys } = await unit.load({ tasks: [], agents: [], keys: [aKey()] });
        if (keys.length > 0) return 'repeat';
        await unit.save({ ...inserting(aTask({ id: aTaskId(n) })), keys: [aKey({ taskIds: [aTaskId(n)] })] });
        return 'made';
      }),
    ),
  );
  t.equal(made.filter((answer) => answer === 'made').length, 1);
  t.equal((await both[0].tasks.stats()).statuses.queued, 1);
});

t.test('an agent is enrolled only once', async (t) => {
  const both = await two(t);
  const tokens = Array.from({ length: 8 }, (_, n) => aToken({ id: `tok-${n}`, hash: String(n).padStart(64, '0') }));
  const answers = await Promise.all(tokens.map((token, n) => both[n % 2 === 0 ? 0 : 1].agents.addToken(token, { unlessTaken: true })));
  t.equal(answers.filter((answer) => answer === 'added').length, 1);
});

t.test('tasks claimed by one hub are skipped by the other, without waiting', async (t) => {
  const [one, other] = await two(t);
  const tasks = Array.from({ length: 6 }, (_, n) => aTask({ id: aTaskId(n), eligibleAtMs: A_MOMENT_MS + n }));
  await commit(one, inserting(...tasks));
  const filter = { requirementKeys: ['[null]'], nowMs: A_MOMENT_MS + 9, limitPerLane: 3 };
  const ids = await one.tasks.transact('one', async (unit) => {
    const mine = await unit.claimable(filter);
    const theirs = await other.tasks.transact('other', (inner) => inner.claimable(filter));
    return [mine, theirs].map((found) => found.map(({ id }) => id));
  });
  t.strictSame(ids, [tasks.slice(0, 3), tasks.slice(3)].map((found) => found.map(({ id }) => id))); // prettier-ignore
});

t.test('of two transactions that deadlock one is asked to repeat, and both get through', async (t) => {
  const [one, other] = await two(t);
  await commit(one, inserting(aTask(), aTask({ id: aTaskId(2) })));
  const [first, second] = [gate(), gate()];
  const retried: string[] = [];
  const crossing = async (storage: Storage, name: string, ids: readonly [number, number], mine: () => void, theirs: Promise<void>) => {
    for (;;)
      try {
        return await storage.tasks.transact(name, async (unit) => {
          for (const [place, n] of ids.entries()) {
            const { tasks } = await unit.load({ tasks: [aTaskId(n)], agents: [], keys: [] });
            const task = tasks[0] as Task;
            await unit.save(updating({ ...task, retryCount: task.retryCount + 1 }));
            if (place === 0) mine();
            await theirs;
          }
        });
      } catch (thrown) {
        if (!AgentcomError.is(thrown, 'AC_STORE_RETRY')) throw thrown;
        retried.push(name);
      }
  };
  await Promise.all([crossing(one, 'one', [1, 2], first.open, second.opened), crossing(other, 'other', [2, 1], second.open, first.opened)]);
  t.ok(retried.length >= 1, `one of them at least: ${retried.length}`);
  t.equal((one.deadlocks?.() ?? 0) + (other.deadlocks?.() ?? 0), retried.length, 'and each is counted');
  const counts = (await one.tasks.peek([aTaskId(1), aTaskId(2)])).map(({ retryCount }) => retryCount);
  t.strictSame(counts, [2, 2], 'each once');
});

t.test('an event is not shown while one with a lower number may still be committed', async (t) => {
  const [one, other] = await two(t);
  const event = (n: number) => changes({ events: [anEvent({ taskId: aTaskId(n) })] });
  const read: StoredEvent[] = [];
  const readOn = async (): Promise<void> => void read.push(...(await one.events.after(read.at(-1)?.id ?? 0, {}, 100)).events);
  let committing: Promise<unknown> = Promise.resolve();
  await one.tasks.transact('first', async (unit) => {
    await unit.save(event(1));
    committing = commit(other, event(2));
    await someoneWaits();
    await readOn();
    t.strictSame(read, [], 'neither the numbered event nor the one waiting for its number');
  });
  await committing;
  await readOn();
  t.strictSame(read.map(({ id, taskId }) => [id, taskId]), [[1, aTaskId(1)], [2, aTaskId(2)]]); // prettier-ignore
});

t.test('a reader skips and repeats no event while several hubs commit, and the numbers have no gaps', async (t) => {
  const both = await two(t);
  const COMMITS = 40;
  const commits = Array.from({ length: COMMITS }, (_, n) =>
    commit(both[n % 2] as Storage, changes({ events: [1, 2, 3].map((seq) => anEvent({ taskId: aTaskId(n), seq })) })),
  );
  const failing = both[0].tasks.transact('fails', async (unit) => {
    await unit.save(changes({ events: [anEvent({ taskId: aTaskId(99) })] }));
    throw new Error('meant');
  });
  const read: StoredEvent[] = [];
  const follow = async (): Promise<void> => {
    while (read.length < COMMITS * 3) read.push(...(await both[1].events.after(read.at(-1)?.id ?? 0, {}, 7)).events);
  };
  await Promise.all([follow(), t.rejects(failing, { message: 'meant' }), ...commits]);
  t.strictSame(
    read.map(({ id }) => id),
    Array.from({ length: COMMITS * 3 }, (_, n) => n + 1),
  );
});

t.test('the counts stay correct, and their rows few, while several hubs commit', async (t) => {
  const options = { url: server.url, schema: emptySchema(t, server) };
  const both = [1, 2].map(() => closedBefore(t, postgresStorage(options)));
  for (const storage of both) await storage.open();
  const COMMITS = 200;
  await Promise.all(Array.from({ length: COMMITS }, (_, n) => commit(both[n % 2] as Storage, inserting(aTask({ id: aTaskId(n) })))));
  await commit(both[0] as Storage, updating(aTask({ id: aTaskId(1), status: 'completed' })));
  for (const storage of both) t.match((await storage.tasks.stats()).statuses, { queued: COMMITS - 1, completed: 1 });
  const [kept] = await server.ask(`SELECT count(*)::integer AS parts FROM ${options.schema}.task_counts`);
  t.ok(
    (kept?.['parts'] as number) <= 2 * 64 + 4,
    `${String(kept?.['parts'])} parts of the counts are stored: what both added since they last summed up`,
  );
});

t.test('a renewal waits for an expiry, and an expiry skips a renewal', async (t) => {
  const [one, other] = await two(t);
  const renewed = (storage: Storage, hubId: string, leaseMs: number) =>
    storage.tasks.transact('renew', (unit) => clusterOf(unit).renewLease(hubId, leaseMs));
  await renewed(one, 'hub-1', 0);
  let renewing: Promise<string> = Promise.resolve('');
  await one.tasks.transact('expire', async (unit) => {
    t.match(await clusterOf(unit).expireHubs(), { expired: [{ hubId: 'hub-1' }] });
    renewing = renewed(other, 'hub-1', 60_000);
    await someoneWaits();
  });
  t.equal(await renewing, 'made', 'and learns that it had expired');
  await renewed(one, 'hub-1', 0);
  await one.tasks.transact('renew', async (unit) => {
    t.equal(await clusterOf(unit).renewLease('hub-1', 60_000), 'renewed');
    const hubs = await other.tasks.transact('expire', (inner) => clusterOf(inner).expireHubs());
    t.strictSame(hubs, { living: ['hub-1'], expired: [] }, 'although its lease looks expired from here');
  });
});

t.test('a duty is held by one hub at a time, and the other does not wait', async (t) => {
  const [one, other] = await two(t);
  await one.tasks.transact('one', async (unit) => {
    t.equal(await clusterOf(unit).tryTakeDuty('sweep'), true);
    t.equal(await other.tasks.transact('other', (inner) => clusterOf(inner).tryTakeDuty('sweep')), false);
    t.equal(await clusterOf(unit).tryTakeDuty('sweep'), true, 'still');
  });
  t.equal(await other.tasks.transact('other', (unit) => clusterOf(unit).tryTakeDuty('sweep')), true);
});

t.test('a transaction that writes nothing records no batch', async (t) => {
  const options = { url: server.url, schema: emptySchema(t, server) };
  const storage = closedBefore(t, postgresStorage(options));
  await storage.open();
  await commit(storage, { ...inserting(anAssignedTask(anAgentId())), agents: [anAgent()] });
  await storage.tasks.transact('look', async (unit) => {
    await unit.load({ tasks: [aTaskId(1)], holders: [anAgentId()], keys: [aKey()] });
    await clusterOf(unit).takeMail('hub-1', 10);
    await unit.save(changes({ stopsCleared: [aStop()] }));
  });
  t.equal(await storage.tasks.committed('look'), false);
  await storage.tasks.transact('renewal', (unit) => clusterOf(unit).renewLease('hub-1', 60_000));
  t.equal(await storage.tasks.committed('renewal'), true);
  await commit(storage, changes({ mail: [aMail()] }));
  await storage.tasks.transact('taking', (unit) => clusterOf(unit).takeMail('hub-1', 10));
  t.equal(await storage.tasks.committed('taking'), true, 'taking mail is a write too');
  t.strictSame(await storage.tasks.transact('again', (unit) => clusterOf(unit).takeMail('hub-1', 10)), []);
});

t.test('notifications resume after a lost connection, and missed ones are covered by polling', async (t) => {
  const schema = emptySchema(t, server);
  const [one, other] = await two(t, schema);
  const hints: ChangeHint[] = [];
  let wake = (): void => undefined;
  const next = async (): Promise<ChangeHint> => {
    while (hints.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return hints.shift() as ChangeHint;
  };
  t.teardown(one.notifier.listen(() => undefined));
  const end = other.notifier.listen((hint) => {
    hints.push(hint);
    wake();
  });
  t.teardown(end);
  t.equal(await next(), ANY_CHANGE, 'at the beginning');
  await server.ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'agentcom hub notifier'`);
  t.equal(await next(), ANY_CHANGE, 'after the loss');
  const hint: ChangeHint = { events: false, work: true, agents: [] };
  one.notifier.notify(hint);
  let last = await next();
  while (last === ANY_CHANGE) last = await next();
  t.strictSame(last, hint, 'also a notification sent while there was no connection');
  for (const text of ['', 'null', '{"from":1}', '[]', '{"from":"x","events":true,"work":1}']) {
    await server.ask(`SELECT pg_notify($1, $2)`, [schema, text]);
    t.equal(await next(), ANY_CHANGE, `a word of a stranger: ${text}`);
  }
  end();
  await server.until(`SELECT count(*) = 1 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub notifier'`);
});

t.test('a hub that is alone sends no notifications until another one listens', async (t) => {
  const schema = emptySchema(t, server);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  t.teardown(() => client.end());
  const received = new Set<string>();
  let wake = (): void => undefined;
  client.on('notification', ({ payload = '' }) => {
    const { agents } = JSON.parse(payload) as ChangeHint;
    for (const agent of agents ?? []) received.add(agent);
    wake();
  });
  await client.query(`LISTEN ${schema}`);
  // Their own application name in the URL does not hide them from each other.
  const url = new URL(server.url);
  url.searchParams.set('application_name', 'mine');
  const named = () => closedBefore(t, postgresStorage({ url: url.href, schema }));
  const [one, other] = [named(), named()];
  for (const hub of [one, other]) await hub.open();
  const about = (agentId: string): ChangeHint => ({ events: true, work: false, agents: [anAgentId(agentId)] });
  t.teardown(one.notifier.listen(() => undefined));
  one.notifier.notify(about('alone'));
  // It has asked, and has its answer.
  await server.until(
    `SELECT count(*) = 1 AS answer FROM pg_stat_activity WHERE query LIKE 'SELECT pg_notify($1, $2) FROM%' AND state = 'idle'`,
  );
  t.teardown(other.notifier.listen(() => undefined));
  // A notification sent before it listens is lost: it polls first.
  await server.until(`SELECT count(*) = 2 AS answer FROM pg_stat_activity WHERE query LIKE 'SELECT pg_notify($1, $2)%' AND state = 'idle'`);
  one.notifier.notify(about('together'));
  while (!received.has(anAgentId('together'))) await new Promise<void>((resolve) => (wake = resolve));
  t.notOk(received.has(anAgentId('alone')), 'no hub was listening');
});

t.test('rows passed to a statement arrive unchanged, including long ones and empty lists', async (t) => {
  const deps = engineDeps({ url: server.url, schema: emptySchema(t, server) });
  const writer = await connectWriter(deps.settings, 5_000, deps.clock);
  t.teardown(() => writer.close());
  const arrives = async (rows: readonly object[], expected: readonly object[] = rows) =>
    t.strictSame(await writer.rows(`SELECT * FROM ${given('insertKeys')}`, parametersOf('insertKeys', rows), 'keys'), expected);
  const key = { owner: 'a', key: 'k', digest: 'd', taskIds: '[]', createdAtMs: Number.MAX_SAFE_INTEGER };
  await arrives([]);
  await arrives([key, { ...key, owner: '', key: 'ä漢😀"\\{},', digest: null, createdAtMs: -1 }]);
  // Longer than the buffer that columns are written into, and what is written next.
  await arrives([{ ...key, digest: '漢'.repeat(100_000), key: 'x'.repeat(70_000) }, key]);
  await arrives([key]);
  await arrives([{ ...key, key: 'a\u0000\u0001b' }]);
  await arrives([{ ...key, key: 'a\ud800b' }], [{ ...key, key: 'a\ufffdb' }]);
  const tasks = ['task-1', 'task-2'];
  await arrives([{ ...key, taskIds: tasks }], [{ ...key, taskIds: JSON.stringify(tasks) }]);
  t.throws(() => parametersOf('insertKeys', [{ ...key, createdAtMs: 0.5 }]), { code: 'AC_INTERNAL' });
});

t.test('the hot statements use their indexes and never scan a whole table, whatever the plan', async (t) => {
  const deps = engineDeps({ url: server.url, schema: emptySchema(t, server) });
  const engine = await postgresEngine(deps).open();
  await engine.close();
  const writer = await connectWriter(deps.settings, 5_000, deps.clock);
  t.teardown(() => writer.close());
  // One plan for whatever parameter, made while every table is empty: as bad as it gets.
  await writer.change('SET plan_cache_mode = force_generic_plan');
  const wanted = {
    loadTasks: 'tasks_pkey',
    waitingRequirements: 'tasks_claimable',
    claimable: 'tasks_claimable',
    waitingBehind: 'tasks_claimable',
    due: 'tasks_due',
    dependents: 'task_dependencies_pkey',
    liveTasks: 'tasks_live',
    activeAgents: 'agents_connected',
    dueAssignees: 'tasks_due',
    loadAllTasks: 'tasks_pkey',
    readTasks: 'tasks_pkey',
    pendingStops: 'pending_stops_pkey',
    updateTasks: 'tasks_pkey',
    clearStops: 'pending_stops_pkey',
    insertEvents: 'task_events_task_id_seq_key',
    findEvents: 'task_events_task_id_seq_key',
    loadKeys: 'idempotency_keys_pkey',
    loadBodies: 'task_bodies_pkey',
    removable: 'tasks_ended',
  } as const;
  for (const [name, index] of Object.entries(wanted) as [keyof typeof wanted, string][]) {
    await writer.change(`PREPARE one AS ${POSTGRES_STATEMENTS[name]}`);
    const given = name in GIVEN_COLUMNS ? Object.keys(GIVEN_COLUMNS[name as GivenName]).map(() => `'{}'`) : [`'[]'`];
    const plan = (await writer.rows(`EXPLAIN EXECUTE one (${given.join(', ')})`)).map((row) => String(row['QUERY PLAN']));
    await writer.change('DEALLOCATE one');
    t.ok(plan.some((step) => step.includes(`using ${index} on`)), `${name} uses ${index}:\n${plan.join('\n')}`); // prettier-ignore
    t.strictSame(plan.filter((step) => /Seq Scan on (?!event_numbers)|Hash Join|Merge Join/.test(step)), [], `${name} walks over no table`); // prettier-ignore
    const whole = plan.filter((step, at) => /Index (Only )?Scan using (tasks|task_events|idempotency_keys|task_bodies)_pkey/.test(step) && !/Index Cond/.test(plan[at + 1] ?? '')); // prettier-ignore
    t.strictSame(whole, [], `${name} walks over no whole index`);
    t.strictSame(plan.filter((step) => step.includes('tasks_by_')), [], `${name} stays off the indexes of lists`); // prettier-ignore
  }
});

t.test('rows without a task are found by a join: a scan of all tasks per row takes hours in a large store', async (t) => {
  const deps = engineDeps({ url: server.url, schema: emptySchema(t, server) });
  const engine = await postgresEngine(deps).open();
  await engine.close();
  const writer = await connectWriter(deps.settings, 5_000, deps.clock);
  t.teardown(() => writer.close());
  const plan = (await writer.rows(`EXPLAIN ${POSTGRES_INSPECTION.orphans}`)).map((row) => String(row['QUERY PLAN'])).join('\n');
  t.equal(plan.match(/Anti Join/g)?.length, 4, plan);
  t.notMatch(plan, 'SubPlan');
});
