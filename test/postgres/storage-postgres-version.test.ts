/** Versions: a server that is too old or a pooler in between, and older hubs. A server is recognised by its version, whatever else it does not know. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { isLock, lockKey } from '../../adapters/storage-knex/postgres/schema.ts';
import { aTask, aTaskId, inserting } from '../product/contracts/fixtures.ts';
import { commit, failsWith } from '../product/contracts/storage/storage-room.ts';
import { closedBefore, emptySchema, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { transactionPooler } from './transaction-pooler.ts';

const server = await postgresServer();
t.teardown(() => server.end());

/** As 10 and 12 answered: their versions, and settings that they do not know. Of the same length, so that frames stay complete. */
const THEN = [
  { version: '100020', knowsJit: false },
  { version: '120022', knowsJit: true },
];

/** The server's address, through a proxy that makes it look like that version. */
async function aged(t: Test, { version, knowsJit }: (typeof THEN)[number]): Promise<string> {
  const [row] = await server.ask(`SELECT current_setting('server_version_num') AS now`);
  const now = String(row?.['now']);
  t.equal(now.length, version.length, 'versions have the same length');
  const sockets = new Set<Socket>();
  const changed = (chunk: Buffer, from: string, to: string): Buffer => Buffer.from(chunk.toString('latin1').replaceAll(from, to), 'latin1');
  const proxy = createServer((client) => {
    const target = new URL(server.url);
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // How the hub closes the connection does not matter here.
      socket.on('error', () => socket.destroy());
    }
    client.on('data', (chunk: Buffer) => upstream.write(knowsJit ? chunk : changed(chunk, 'jit = off', 'jet = off')));
    upstream.on('data', (chunk: Buffer) => client.write(changed(chunk, now, version)));
    client.on('end', () => upstream.end());
    upstream.on('end', () => client.end());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const url = new URL(server.url);
  url.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return url.href;
}

for (const then of THEN) {
  t.test(`version ${then.version} is refused by its number, with what to do`, async (t) => {
    const storage = postgresStorage({ url: await aged(t, then), schema: emptySchema(t, server) });
    closedBefore(t, storage);
    const refused = await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', 'refused');
    t.match(
      refused?.message,
      /the server is Postgres \S+.*, expected 13 or later\. Upgrade it \(pg_upgrade\), or name another in storage\.url\.$/,
    );
  });
}

t.test('a pooler in transaction mode is refused, with what to do', async (t) => {
  const storage = closedBefore(t, postgresStorage({ url: await transactionPooler(t, server.url), schema: emptySchema(t, server) }));
  const refused = await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', 'refused');
  t.match(refused?.message, /two connections share one session of the server\. Run the pooler \(such as PgBouncer\) in session mode, or /);
});

t.test('a user who may not use the store is refused, with what to do', async (t) => {
  const schema = emptySchema(t, server);
  const storage = postgresStorage({ url: server.url, schema });
  await storage.open();
  await storage.close();
  const url = Object.assign(new URL(server.url), { username: `of_${schema}`, password: 'secret' });
  await server.ask(`CREATE ROLE ${url.username} LOGIN PASSWORD 'secret'`);
  t.teardown(async () => void (await server.ask(`DROP OWNED BY ${url.username}; DROP ROLE ${url.username}`)));
  const refused = async (why: string, what: RegExp): Promise<void> => {
    const other = closedBefore(t, postgresStorage({ url: url.href, schema }));
    const { message = '' } = (await failsWith(t, other.open(), 'AC_STORAGE_OPEN', why)) ?? {};
    t.match(message, what);
    t.match(message, /make it the owner of the schema that storage\.schema names and of the tables in it\.$/);
  };
  await refused('no rights', /relation "migrations" does not exist/);
  await server.ask(`GRANT USAGE ON SCHEMA ${schema} TO ${url.username}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${url.username}`);
  await refused('rights to read', /permission denied for table store/);
});

/** As an older version left it: it had not taken this step. Postgres does not mind taking this one again. */
const before = (schema: string, step: string): Promise<unknown> => server.ask(`DELETE FROM ${schema}.migrations WHERE name = '${step}'`);
const stepsOf = async (schema: string): Promise<readonly unknown[]> =>
  (await server.ask(`SELECT name FROM ${schema}.migrations ORDER BY name`)).map(({ name }) => name);

const disconnectHubs = async (schema: string): Promise<void> => {
  await server.ask(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE ${isLock(schema, 'hub')}`);
  await server.until(`SELECT count(*) = 0 AS answer FROM pg_locks WHERE ${isLock(schema, 'hub')}`);
};

t.test('the schema is not migrated while an older hub is connected: it is named, and nothing is changed', async (t) => {
  const schema = emptySchema(t, server);
  const older = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await older.open();
  await before(schema, '0014-rejected-apart');
  const steps = await stepsOf(schema);
  const newer = closedBefore(t, postgresStorage({ url: server.url, schema }));
  const refused = await failsWith(t, newer.open(), 'AC_STORAGE_LOCKED', 'refused');
  t.match(
    refused?.message,
    /hubs of an older version use it, .*: one at \S.*, connected since 2\S+ \S+ UTC \(server process \d+\)\. Nothing was changed\. Stop them/,
  );
  t.strictSame(await stepsOf(schema), steps);
  const waiting = newer.open();
  await older.close();
  await waiting;
  t.ok((await stepsOf(schema)).includes('0014-rejected-apart'), 'once the older one has stopped');
});

t.test('a step that older hubs can live with is taken beside them', async (t) => {
  const schema = emptySchema(t, server);
  const older = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await older.open();
  await before(schema, '0016-fewer-batches');
  await closedBefore(t, postgresStorage({ url: server.url, schema })).open();
  t.ok((await stepsOf(schema)).includes('0016-fewer-batches'));
});

t.test('R22: an older hub that was disconnected during a migration waits for its end, and writes nothing more', async (t) => {
  const schema = emptySchema(t, server);
  const older = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await older.open();
  await commit(older, inserting(aTask()));
  const newer = await server.session();
  await newer.ask(`BEGIN; SELECT pg_advisory_xact_lock(${lockKey(schema, 'migrations')})`);
  await newer.ask(`INSERT INTO ${schema}.migrations (name) VALUES ('9999-from-the-future')`);
  await disconnectHubs(schema);
  const written = failsWith(t, commit(older, inserting(aTask({ id: aTaskId(2) }))), 'AC_STORE_UNAVAILABLE', 'refused');
  await server.until(`SELECT count(*) = 1 AS answer FROM pg_locks WHERE NOT granted AND ${isLock(schema, 'migrations')}`);
  await newer.ask('COMMIT');
  t.match((await written)?.message, /changed by a newer version .* \(it has 9999-from-the-future\)\. Start this hub with that version\.$/);
  await newer.end();
  t.equal((await server.ask(`SELECT count(*)::int AS tasks FROM ${schema}.tasks`))[0]?.['tasks'], 1);
});

t.test('a migration may take longer than a statement of a commit, and so may waiting for that of another hub', async (t) => {
  const schema = emptySchema(t, server);
  const options = { url: server.url, schema, statementTimeoutMs: 300, lockTimeoutMs: 300 };
  const older = postgresStorage(options);
  await older.open();
  await older.close();
  await before(schema, '0014-rejected-apart');
  for (const [held, wait] of [
    [`LOCK TABLE ${schema}.tasks`, 'relation'],
    [`SELECT pg_advisory_xact_lock(${lockKey(schema, 'migrations')})`, 'advisory'],
  ] as const) {
    const other = await server.session();
    await other.ask(`BEGIN; ${held}`);
    const storage = closedBefore(t, postgresStorage(options, { answerMarginMs: 0 }));
    const opened = storage.open();
    await server.until(`SELECT count(*) = 1 AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND wait_event = '${wait}'
      AND state_change < clock_timestamp() - interval '600 ms'`);
    await other.ask('COMMIT');
    await t.resolves(opened, held);
    await other.end();
    await storage.close();
  }
  t.ok((await stepsOf(schema)).includes('0014-rejected-apart'));
});

t.test('R22: an older hub that lost its connection goes on beside a newer one that took only steps which it can live with', async (t) => {
  const schema = emptySchema(t, server);
  const older = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await older.open();
  await commit(older, inserting(aTask()));
  // As a store of the version before this one, whose table of steps did not say it yet.
  await server.ask(`ALTER TABLE ${schema}.migrations DROP COLUMN beside_older_hubs`);
  await before(schema, '0016-fewer-batches');
  await closedBefore(t, postgresStorage({ url: server.url, schema })).open();
  // To the older hub, this step is unknown; what it may do follows from what the newer hub stored with it.
  await server.ask(`UPDATE ${schema}.migrations SET name = '9999-from-the-future' WHERE name = '0016-fewer-batches'`);
  await disconnectHubs(schema);
  await commit(older, inserting(aTask({ id: aTaskId(2) })));
  await server.ask(`INSERT INTO ${schema}.migrations (name) VALUES ('9999-another')`);
  await disconnectHubs(schema);
  const refused = await failsWith(t, commit(older, inserting(aTask({ id: aTaskId(3) }))), 'AC_STORE_UNAVAILABLE', 'refused');
  t.match(refused?.message, /\(it has 9999-another\)/, 'only the step that it cannot live with is named');
});

t.test('new hubs that start together on the store of an older version all start', async (t) => {
  const schema = emptySchema(t, server);
  const older = postgresStorage({ url: server.url, schema });
  await older.open();
  await older.close();
  await before(schema, '0014-rejected-apart');
  const started = [1, 2, 3].map(() => closedBefore(t, postgresStorage({ url: server.url, schema })).open());
  await t.resolves(Promise.all(started));
});
