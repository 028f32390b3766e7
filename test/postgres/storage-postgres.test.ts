/** Postgres fulfils the storage contract on a real server. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Knex } from 'knex';
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import type { OpenEngine } from '../../adapters/storage-knex/engine.ts';
import { knexStorage } from '../../adapters/storage-knex/knex-storage.ts';
import { postgres } from '../../adapters/storage-knex/postgres.ts';
import { postgresEngine } from '../../adapters/storage-knex/postgres/engine.ts';
import type { PostgresOptions } from '../../adapters/storage-knex/postgres/options.ts';
import type { Row } from '../../adapters/storage-knex/rows/row.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { TaskQuery } from '../../core/ports/task-store.ts';
import { anAgentId, aTask, inserting } from '../product/contracts/fixtures.ts';
import { clusterOf } from '../product/contracts/storage/cluster-of.ts';
import type { Teardown } from '../product/contracts/contract-case.ts';
import { commit, type StoragePlace } from '../product/contracts/storage/storage-room.ts';
import { storesContract, wholeStorageContract } from '../product/contracts/storage/storage.contract.ts';
import {
  closedBefore,
  emptySchema,
  engineDeps,
  madeDatabases,
  postgresStorage,
  postgresSubject,
} from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { boundedHistoryStep } from '../adapters/suites/bounded-history-step.ts';
import { rejectedStep } from '../adapters/suites/rejected-step.ts';
import { tokenUseStep } from '../adapters/suites/token-use-step.ts';
import { usageStep } from '../adapters/suites/usage-step.ts';

const server = await postgresServer();
const databases = await madeDatabases(server);
t.teardown(async () => {
  await databases.end();
  await server.end();
});

const subject = postgresSubject(
  () => server,
  async (t) => {
    const changed = (change: (url: URL) => void): string => {
      const url = new URL(server.url);
      change(url);
      return url.href;
    };
    const callers: Socket[] = [];
    const silent = createServer((caller) => callers.push(caller));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    t.teardown(() => {
      for (const caller of callers) caller.destroy();
      silent.close();
    });
    const silentPort = String((silent.address() as AddressInfo).port);
    const taken = emptySchema(t, server);
    await server.ask(`CREATE SCHEMA ${taken}`);
    await server.ask(`CREATE TABLE ${taken}.tasks (id integer)`);
    const cases: readonly { readonly why: string; readonly options: PostgresOptions; readonly names: readonly string[] }[] = [
      {
        why: 'nobody listens',
        options: { url: changed((url) => (url.port = '1')) },
        names: ['127.0.0.1:1', 'Check that Postgres is running'],
      },
      { why: 'nobody answers', options: { url: changed((url) => ((url.hostname = '127.0.0.1'), (url.port = silentPort))), connectWithinMs: 100 }, names: [silentPort] }, // prettier-ignore
      {
        why: 'the database is not there',
        options: { url: changed((url) => (url.pathname = '/nowhere')) },
        names: ['"nowhere"', 'createdb'],
      },
      {
        why: 'the user is not there',
        options: { url: changed((url) => (url.username = 'nobody')) },
        names: ['Correct the user and password'],
      },
      {
        why: 'the schema is that of another program',
        options: { url: server.url, schema: taken },
        names: [taken, 'tasks', 'storage.schema'],
      },
    ];
    return cases.map(({ why, options, names }) => ({
      why,
      names: ['Cannot open storage "postgres"', ...names],
      storage: closedBefore(t, postgresStorage(options)),
    }));
  },
);

wholeStorageContract('postgres', subject, t);
storesContract('postgres', { ...subject, place: madePlace }, t);
storesContract('postgres next to another hub', { ...subject, place: besideAnother }, t);

/** Another hub keeps the storage from exclusive use of the store. */
async function besideAnother(t: Teardown): Promise<StoragePlace> {
  const url = await databases.copy(t);
  const other = closedBefore(t, postgresStorage({ url }));
  return {
    async storage(clock) {
      await other.open();
      return closedBefore(t, postgresStorage({ url }, { clock }));
    },
  };
}

async function madePlace(t: Teardown): Promise<StoragePlace> {
  const url = await databases.copy(t);
  return { storage: (clock) => closedBefore(t, postgresStorage({ url }, { clock })) };
}

t.test('postgres() reports what is wrong with its options, and does not connect until opened', async (t) => {
  const url = 'postgres://somebody:secret@db.example/agentcom?sslmode=require&password=secret';
  const wrong = (options: unknown) => postgres(options as PostgresOptions).problems().map(({ path }) => path); // prettier-ignore
  t.strictSame(wrong({ url }), []);
  t.strictSame(wrong({ url: 'postgresql:///agentcom?host=/var/run/postgresql', schema: 'a_1', poolMax: 2, readTimeoutMs: undefined }), []);
  t.strictSame(wrong({ url: 'postgres:///100%25?host=/run&port=5433' }), []);
  for (const options of [
    {},
    { url: '' },
    { url: 7 },
    { url: 'mysql://a' },
    { url: 'postgres://a b' },
    { url: 'postgres://a:b:c@' },
    { url: 'postgres://a/100%' },
    { url: 'postgres:///a?host=/run&port=abc' },
    { url: 'postgres:///a?host=/run&port=65536' },
    undefined,
    null,
  ])
    t.strictSame(wrong(options), ['url'], JSON.stringify(options));
  t.strictSame(postgres(url as never).problems(), [
    { path: '', message: `expected an object with its options, found a text of ${url.length} characters` },
  ]);
  for (const schema of ['', 'A', 'pg_x', 'a-b', 'a'.repeat(64), 'a; DROP', 7])
    t.strictSame(wrong({ url, schema }), ['schema'], String(schema));
  t.strictSame(wrong({ url, poolMax: 1, statementTimeoutMs: 0, lockTimeoutMs: 1.5, pool: 3 }), [
    'pool',
    'poolMax',
    'statementTimeoutMs',
    'lockTimeoutMs',
  ]);
  t.strictSame(wrong({ url, lockTimeoutMs: 20_000 }), ['lockTimeoutMs'], 'a wait for a lock is part of a statement');
  const received = JSON.stringify([
    postgres({ url }),
    postgres({ url: 'postgres://secret' } as never).problems(),
    postgres({ url: ['secret'] } as never),
  ]);
  t.notMatch(received, 'somebody:secret', 'the password appears nowhere');
  t.notMatch(JSON.stringify(postgres({ url })), 'secret', 'nor anything after the address');

  const choice = postgres({ url: server.url, schema: emptySchema(t, server) });
  t.match(choice, { port: 'storage', name: 'postgres', capabilities: { durable: true } });
  const storage = closedBefore(t, await choice.create({ dataDir: '/nowhere', clock: systemClock(), log: silentLog }));
  t.equal(await storage.healthy(), false, 'not connected yet');
  await storage.open();
  t.equal(await storage.healthy(), true);
});

t.test('a schema may be named like a word of SQL', async (t) => {
  for (const schema of ['default', 'user']) {
    t.teardown(async () => void (await server.ask(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`)));
    const storage = closedBefore(t, postgresStorage({ url: server.url, schema }));
    await storage.open();
    // Once it has begun to listen, anything may have changed before.
    await new Promise<void>((resolve) => t.teardown(storage.notifier.listen(() => resolve())));
    await commit(storage, inserting(aTask()));
    const [found] = await server.ask(`SELECT count(*)::integer AS tasks FROM "${schema}".tasks`);
    t.equal(found?.['tasks'], 1, schema);
  }
});

t.test('a store from before usage was stored per attempt is migrated', async (t) => {
  const schema = emptySchema(t, server);
  const storage = () => closedBefore(t, postgresStorage({ url: server.url, schema }));
  await usageStep(t, { storage, ask: (sql) => server.ask(sql.replace(/\b(tasks|agents|migrations)\b/, `${schema}.$1`)) });
});

t.test('R4: a store from before histories were bounded is migrated', async (t) => {
  const schema = emptySchema(t, server);
  const storage = () => closedBefore(t, postgresStorage({ url: server.url, schema }));
  const ask = (sql: string) => server.ask(sql.replace(/\b(task_events|task_kept_results|removed_events|migrations)\b/, `${schema}.$1`));
  await boundedHistoryStep(t, { storage, ask });
});

t.test('R15: when the server clock stays ahead, all hubs follow it in one step, and all leases move with it', async (t) => {
  const schema = emptySchema(t, server);
  const right = systemClock();
  const state = { passedMs: 0 };
  const monotonicMs = (): number => right.monotonicMs() + state.passedMs;
  const clock = { ...right, nowMs: () => right.nowMs() + state.passedMs, monotonicMs };
  const first = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await first.open();
  await first.close();
  // As two hubs left it that did not trust the clock of the server, which was an hour ahead.
  await server.ask(`UPDATE ${schema}.store SET clock_mark = clock_mark - 3600000, clock_offset = -3600000`);
  const hub = () => closedBefore(t, postgresStorage({ url: server.url, schema }, { clock }));
  const [one, other] = [hub(), hub()];
  await one.open();
  await other.open();
  const begins = await one.tasks.transact('before', async (unit) => {
    await clusterOf(unit).renewLease('hub-1', 15_000);
    return unit.nowMs;
  });
  t.ok(right.nowMs() - begins > 3_500_000, 'an hour behind the server');
  t.equal(await one.tasks.transact('in doubt', async (unit) => unit.removableMs), null);
  state.passedMs = 301_000;
  const after = await one.tasks.transact('after', async (unit) => unit.nowMs);
  t.ok(after - begins >= 3_600_000 + 300_000 && after - begins < 3_600_000 + 360_000, `${after - begins} ms later`);
  const [lease] = (await server.ask(`SELECT lease_until FROM ${schema}.hubs`)) as readonly { readonly lease_until: unknown }[];
  const prolongedMs = Number(lease?.lease_until) - begins - 15_000;
  t.ok(Math.abs(prolongedMs - 3_600_000) < 1_000, `prolonged once, by the hour: ${prolongedMs} ms`);
  const seen = await other.tasks.transact('seen', async (unit) => unit.nowMs);
  t.ok(seen >= after && seen - after < 30_000, 'by the other hub too');
  const [again] = (await server.ask(`SELECT lease_until FROM ${schema}.hubs`)) as readonly { readonly lease_until: unknown }[];
  t.equal(again?.lease_until, lease?.lease_until, 'and not again');
});

t.test('R12: a store from before rejected tasks waited separately is migrated', async (t) => {
  const schema = emptySchema(t, server);
  const storage = () => closedBefore(t, postgresStorage({ url: server.url, schema }));
  await rejectedStep(t, { storage, ask: (sql) => server.ask(sql.replace(/\b(tasks|migrations)\b/, `${schema}.$1`)) });
});

t.test('a store from before tokens expired is migrated', async (t) => {
  const schema = emptySchema(t, server);
  const storage = () => closedBefore(t, postgresStorage({ url: server.url, schema }));
  await tokenUseStep(t, { storage, ask: (sql) => server.ask(sql.replace(/\b(tokens|migrations)\b/, `${schema}.$1`)) });
});

/** The index of each list. Assigned tasks are few, and may be sorted. */
const LISTS: readonly (readonly [Omit<TaskQuery, 'limit'>, RegExp])[] = [
  [{}, /tasks_by_status_and_lane|tasks_live/],
  [{ sinceMs: 1 }, /tasks_by_status_and_lane|tasks_live/],
  [{ status: 'queued' }, /tasks_by_status_and_lane/],
  [{ status: 'completed', priority: 'low' }, /tasks_by_status_and_lane/],
  [{ priority: 'low' }, /tasks_by_status_and_lane|tasks_live/],
  [{ submittedBy: 'tok-1' }, /tasks_of_submitter|tasks_live/],
  [{ submittedBy: 'tok-1', status: 'dead_letter', sinceMs: 1 }, /tasks_of_submitter/],
  [{ assignedTo: anAgentId('a1') }, /tasks_by_assignee|tasks_live/],
];

t.test('R20: a list walks an index in order, even if the server has no statistics on the number of tasks yet', async (t) => {
  const deps = engineDeps({ url: server.url, schema: emptySchema(t, server) });
  const engine = postgresEngine(deps);
  const plans: string[] = [];
  const open = async (): Promise<OpenEngine> => {
    const opened = await engine.open();
    const read: OpenEngine['read'] = (work, isSingleStatement) =>
      opened.read(async (db) => {
        const requests: { readonly sql: string; readonly bindings: readonly Knex.Value[] }[] = [];
        const note = (query: (typeof requests)[number]): unknown => requests.push(query);
        db.on('query', note);
        const answer = await work(db).finally(() => db.removeListener('query', note));
        for (const { sql, bindings } of requests) {
          const { rows } = (await db.raw(`EXPLAIN ${sql.replaceAll(/\$\d+/g, '?')}`, [...bindings])) as { readonly rows: readonly Row[] };
          plans.push(...rows.map((row) => String(row['QUERY PLAN'])));
        }
        return answer;
      }, isSingleStatement);
    return { ...opened, read };
  };
  const storage = closedBefore(t, knexStorage({ engine: { ...engine, open }, clock: deps.clock, log: silentLog }));
  await storage.open();
  for (const [query, wanted] of LISTS) {
    plans.length = 0;
    await storage.tasks.list({ ...query, limit: 50 });
    const steps = plans.filter((step) => step.includes('  (cost'));
    const named = JSON.stringify(query);
    // Those of the page, whose rows are then read by their ID.
    const walks = steps.filter((step) => / on tasks(_\d+)? /.test(step) && !/ on tasks t /.test(step));
    t.ok(walks.length > 0, named);
    for (const walk of walks) {
      t.match(walk, /Index (Only )?Scan /, `${named}: ${walk}`);
      t.match(walk, wanted, `${named}: ${walk}`);
    }
    const sorted = steps.filter((step, at) => / Sort /.test(` ${steps[at - 1] ?? ''}`) && walks.includes(step));
    t.strictSame(sorted.filter((walk) => !walk.includes('tasks_live')), [], `${named}: no walk is sorted`); // prettier-ignore
  }
});
