/** The doctor on a real Postgres: the same checks as for a file, on a snapshot next to a hub; and what replaces a backup there. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { inspectPostgres } from '../../adapters/storage-knex/postgres/inspection.ts';
import { settingsOf } from '../../adapters/storage-knex/postgres/options.ts';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import type { Storage } from '../../core/ports/storage.ts';
import { closedBefore, emptySchema, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { emptyFolder } from '../adapters/storage-places/sqlite-storage-place.ts';
import { aTask, aTaskId, inserting } from '../product/contracts/fixtures.ts';
import { commit, failsWith } from '../product/contracts/storage/storage-room.ts';
import { run, type Ran } from '../apps/cli/cli-world.ts';
import { fill, TASKS, UNREADABLE, type Answer } from '../apps/doctor/doctor-world.ts';

const server = await postgresServer();
t.teardown(() => server.end());

interface PostgresWorld {
  readonly schema: string;
  readonly storage: Storage;
  agentcom(...argv: readonly string[]): Promise<Ran>;
  findings(...options: readonly string[]): Promise<Answer>;
}

/** `url`: of the config. */
async function postgresWorld(t: Test, url = server.url): Promise<PostgresWorld> {
  const schema = emptySchema(t, server);
  const folder = await emptyFolder(t);
  await mkdir(path.join(folder, 'hub'), { mode: 0o700 });
  await writeFile(path.join(folder, 'hub', 'admin-token'), 'of-a-hub-that-ran-here', { mode: 0o600 });
  await writeFile(
    path.join(folder, 'agentcom.config.ts'),
    `import { postgres } from 'agentcom/storage'; import { ws } from 'agentcom/transport';
     export default { hub: { listen: { port: 0 }, storage: postgres(${JSON.stringify({ url, schema })}), transport: ws(), dataDir: 'hub' } };`,
  );
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await storage.open();
  await fill(storage);
  const agentcom = (...argv: readonly string[]): Promise<Ran> => run([...argv], { cwd: folder });
  return {
    schema,
    storage,
    agentcom,
    async findings(...options) {
      const { out, code, err } = await agentcom('--json', 'doctor', ...options);
      if (err !== '') throw new Error(err);
      return { ...(JSON.parse(out) as Answer), code };
    },
  };
}

t.test('I1 to I16: an undamaged store on Postgres is clean, with its hub running and without it', async (t) => {
  const world = await postgresWorld(t);
  const beside = await world.findings('--fsck');
  t.match(beside, { ok: true, code: 0 }, 'next to its hub');
  t.strictSame(
    beside.findings.map(({ check }) => check),
    ['not_durable'],
    'except that the test server does not sync',
  );
  await world.storage.close();
  const { code, out } = await world.agentcom('doctor', '--fsck');
  t.equal(code, 0, out);
  t.match(out, /6 tasks, 22 events, 3 entries of the audit log/);
  t.notMatch(out, new URL(server.url).password);
});

t.test('the doctor sees one snapshot: commits made meanwhile are invisible, and none waits for it', async (t) => {
  const { schema, storage } = await postgresWorld(t);
  const inspection = await inspectPostgres(settingsOf({ url: server.url, schema }), systemClock());
  t.teardown(() => inspection.close());
  t.equal((await inspection.tasks(null, 10)).found.length, 6);
  await commit(storage, inserting(aTask({ id: aTaskId(0xeee) })));
  const page = await inspection.tasks(null, 4);
  t.equal(page.found.length, 4);
  t.equal((await inspection.tasks(page.next, 4)).found.length, 2);
  const [settings] = await server.ask(
    "SELECT count(*)::integer AS n FROM pg_stat_activity WHERE application_name = 'agentcom look' AND state = 'idle in transaction'",
  );
  t.equal(settings?.['n'], 1);
});

t.test('a command that loses its connection does not say that a hub retries', async (t) => {
  const { schema } = await postgresWorld(t);
  const inspection = await inspectPostgres(settingsOf({ url: server.url, schema }), systemClock());
  t.teardown(() => inspection.close());
  await server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'agentcom look'");
  const failed = await failsWith(t, inspection.tasks(null, 10), 'AC_STORE_UNAVAILABLE', 'the connection ended');
  t.match(failed?.message, /; then run the command again\.$/);
});

const set = (task: string, field: string, value: string): string =>
  `UPDATE tasks SET state = jsonb_set(state::jsonb, '{${field}}', '${value}')::text WHERE id = '${task}'`;

const DAMAGES: readonly (readonly [what: string, check: string, taskId: string | null, damage: string])[] = [
  ['an event is missing', 'I14', TASKS.completed, `DELETE FROM task_events WHERE task_id = '${TASKS.completed}' AND seq = 4`],
  ['a generation that went back', 'I1', TASKS.takenBack, set(TASKS.takenBack, 'generation', '0')],
  ['a status that differs in its column', 'copies', TASKS.queued, `UPDATE tasks SET status = 'cancelled' WHERE id = '${TASKS.queued}'`],
  ['two assignments in one slot', 'I4', null, `UPDATE agents SET state = jsonb_set(state::jsonb, '{slots}', '0')::text WHERE id = 'a1'`],
  ['a body is missing', 'body', TASKS.queued, `DELETE FROM task_bodies WHERE task_id = '${TASKS.queued}'`],
  ['a result is missing', 'result', TASKS.completed, `DELETE FROM task_results WHERE task_id = '${TASKS.completed}'`],
  [
    'an idempotency key without its task',
    'I10',
    'task-00000000000000ff',
    `UPDATE idempotency_keys SET task_ids = '["task-00000000000000ff"]'`,
  ],
  ['a dependency row is missing', 'dependency', TASKS.blocked, 'DELETE FROM task_dependencies'],
  ['a deadline is missing from its column', 'due', TASKS.live, `UPDATE tasks SET due_at = NULL WHERE id = '${TASKS.live}'`],
  ['a state that is not JSON', 'unreadable', TASKS.queued, `UPDATE tasks SET state = '{' WHERE id = '${TASKS.queued}'`],
  ['a body without a task', 'orphan', 'task-00000000000000fd', `INSERT INTO task_bodies VALUES ('task-00000000000000fd', '{}')`],
  ['an entry of the audit log is edited', 'audit', null, `UPDATE audit_log SET actor_name = 'nobody' WHERE seq = 2`],
  ['wrong task counts', 'counts', null, `INSERT INTO task_counts VALUES ('queued', 0, 7)`],
  ['a table is missing', 'unreadable', null, 'DROP TABLE pending_stops'],
  ['a store written by a newer version', 'schema_newer', null, `INSERT INTO migrations (name) VALUES ('9999-from-the-future')`],
];

for (const [what, check, taskId, damage] of [...DAMAGES, ...UNREADABLE])
  t.test(`${check}: on Postgres ${what}: is reported with its remedy`, async (t) => {
    const world = await postgresWorld(t);
    await world.storage.close();
    await server.ask(`SET search_path = ${world.schema}; ${damage}`);
    const { ok, code, findings } = await world.findings('--fsck');
    t.notOk(ok);
    t.equal(code, 8);
    const found = findings.find((one) => one.check === check && (taskId === null || one.task_id === taskId));
    t.ok(found, `found ${findings.map((one) => `${one.check} ${one.task_id ?? ''}: ${one.found}`).join('; ')}`);
    t.ok((found?.hint.length ?? 0) > 30, 'the remedy says what to do');
  });

t.test('a server that accepts no writes is reported, and its store is read', async (t) => {
  const url = new URL(server.url);
  url.searchParams.set('options', '-c default_transaction_read_only=on');
  const world = await postgresWorld(t, url.href);
  await world.storage.close();
  const { ok, code, findings } = await world.findings('--fsck');
  t.notOk(ok);
  t.equal(code, 8);
  const read = findings.filter(({ check }) => check !== 'not_durable');
  t.match(read, [{ check: 'read_only', severity: 'error', found: /accepts no writes/, hint: /^Set storage\.url to the primary/ }]);
  t.match((await world.agentcom('doctor', '--fsck')).out, '6 tasks, 22 events');
});

t.test('a missing server or store is reported', async (t) => {
  const world = await postgresWorld(t);
  await world.storage.close();
  await server.ask(`DROP SCHEMA ${world.schema} CASCADE`);
  const { ok, findings } = await world.findings('--fsck');
  t.notOk(ok);
  t.match(
    findings.filter(({ check }) => check !== 'not_durable'),
    [{ check: 'storage', found: /there is no store in it$/, hint: /^Start the hub once/ }],
  );
});

t.test('backups are made by the server’s own tools; a restored store gets a new id, but not while a hub runs', async (t) => {
  const world = await postgresWorld(t);
  const [before] = await server.ask(`SELECT store_id FROM ${world.schema}.store`);
  t.match((await world.agentcom('backup', 'x.db')).err, new RegExp(`pg_dump .*--schema=${world.schema}.*AC_USAGE`));
  t.match(
    (await world.agentcom('restore', 'x.db')).err,
    new RegExp(`ALTER SCHEMA "${world.schema}" RENAME TO "${world.schema}_before"'.*pg_restore (?!.*--(clean|schema)).*AC_USAGE`),
  );
  t.match((await world.agentcom('restore')).err, /AC_STORAGE_LOCKED/);
  await world.storage.close();
  const { code, out } = await world.agentcom('restore');
  t.equal(code, 0, out);
  t.match(out, /6 tasks, up to event 22/);
  const [after] = await server.ask(`SELECT store_id FROM ${world.schema}.store`);
  t.not(after?.['store_id'], before?.['store_id']);
  t.equal((await world.storage.open()).storeId, after?.['store_id']);
});
