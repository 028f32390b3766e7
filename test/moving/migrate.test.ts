/** A whole store moved between real databases by the command that users run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { STAYING, tablesToCopy } from '../../adapters/storage-knex/move/stored-table.ts';
import { placeAt } from '../../adapters/storage-knex/move/places.ts';
import { sqliteEngine } from '../../adapters/storage-knex/sqlite/engine.ts';
import { STATUSES } from '../../core/domain/task/task.ts';
import { silentLog } from '../../core/ports/log.ts';
import { emptySchema, closedBefore, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { closedAfter, emptyFolder, outside, sqliteStorage, testedDriver } from '../adapters/storage-places/sqlite-storage-place.ts';
import { run, type Ran } from '../apps/cli/cli-world.ts';
import { anEvent, aTask, aTaskId, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit, failsWith } from '../product/contracts/storage/storage-room.ts';
import { builtTree } from '../rig/built-tree.ts';
import { plainDump } from './plain-dump.ts';
import { fillStore } from './store-of-everything.ts';

const TASKS = 2_000;

const server = await postgresServer();
t.teardown(() => server.end());
const folder = await emptyFolder(t);
const full = path.join(folder, 'full.db');
await fillStore(sqliteEngine({ driver: testedDriver, file: full, clock: systemClock(), log: silentLog }), TASKS);

const ofSchema = (schema: string): string => `${server.url}?schema=${schema}`;
const migrate = (from: string, to: string, ...more: readonly string[]): Promise<Ran> =>
  run(['--json', 'migrate', '--from', from, '--to', to, ...more], { cwd: folder, env: { DATABASE_URL: server.url } });

async function refused(t: Test, ran: Promise<Ran>, code: string, says: RegExp): Promise<void> {
  const { err } = await ran;
  t.match(err, new RegExp(`"error":"${code}"`), code);
  t.match(err, says);
  for (const secret of passwords) t.notOk(err.includes(secret), 'no password');
}
const { password } = new URL(server.url);
const passwords = [password, decodeURIComponent(password)].filter((text) => text !== '');

t.test('there and back: the same dumps, the same store id, and a hub that continues with the next number', async (t) => {
  const schema = emptySchema(t, server);
  const before = await plainDump(full);
  const there = await migrate('sqlite:full.db', ofSchema(schema));
  t.equal(there.code, 0, there.err);
  t.strictSame(await plainDump(full), before, 'the source is unchanged');
  const back = await migrate(`postgres:${ofSchema(schema)}`, 'sqlite:back/agentcom.db');
  t.equal(back.code, 0, back.err);
  t.strictSame(await plainDump(path.join(folder, 'back', 'agentcom.db')), before);
  const [one, other] = [JSON.parse(there.out), JSON.parse(back.out)];
  t.strictSame(one.parts, other.parts, 'the same summary both ways');
  for (const text of [there.out, there.err, back.out, back.err])
    for (const secret of passwords) t.notOk(text.includes(secret), 'no password');

  const [moved, original] = [
    closedBefore(t, postgresStorage({ url: server.url, schema })),
    closedAfter(t, sqliteStorage(path.join(folder, 'back/agentcom.db'))),
  ];
  t.strictSame(await moved.open(), await original.open(), 'the same store, continued');
  t.equal((await moved.open()).storeId, one.store_id);
  t.strictSame(await moved.tasks.stats(), await original.tasks.stats());
  const next = changes({ ...inserting(aTask({ id: aTaskId(0xffff) })), events: [anEvent({ taskId: aTaskId(0xffff), seq: 1 })] });
  t.strictSame(
    (await commit(moved, next)).map(({ id }) => id),
    (await commit(original, next)).map(({ id }) => id),
  );
});

t.test('from one file to another, and from one schema to another', async (t) => {
  const [one, two] = [emptySchema(t, server), emptySchema(t, server)];
  t.equal((await migrate('sqlite:full.db', 'sqlite:copy/a.db')).code, 0);
  t.equal((await migrate('sqlite:copy/a.db', ofSchema(one))).code, 0);
  t.equal((await migrate(ofSchema(one), ofSchema(two))).code, 0);
  t.equal((await migrate(ofSchema(two), 'sqlite:copied/a.db')).code, 0);
  t.strictSame(await plainDump(path.join(folder, 'copied/a.db')), await plainDump(full));
});

t.test('every table of both schemas is copied or listed as not copied, and no copied one is empty here', async (t) => {
  const schema = emptySchema(t, server);
  await migrate('sqlite:full.db', ofSchema(schema));
  const deps = { cwd: folder, env: {}, clock: systemClock(), log: silentLog };
  const [from, to] = [
    await (await placeAt('--from', 'sqlite:full.db', deps)).source(),
    await (await placeAt('--to', ofSchema(schema), deps)).source(),
  ];
  t.teardown(() => Promise.all([from.close(), to.close()]));
  const copied = tablesToCopy(await from.tables(), await to.tables());
  for (const { name } of [...(await from.tables()), ...(await to.tables())])
    t.ok(name in STAYING || copied.some((table) => table.name === name), `${name} is listed`);
  for (const { name } of copied)
    t.ok((await from.rows(`SELECT 1 FROM ${name} LIMIT 1`)).length > 0, `${name} has rows: fill it in store-of-everything.ts`);
  const statuses = await from.rows('SELECT DISTINCT status FROM tasks');
  t.strictSame(statuses.map(({ status }) => status).sort(), [...STATUSES].sort(), 'the store has tasks in every state');
  const [of] = await outside(full, "SELECT count(*) AS tables FROM sqlite_master WHERE type = 'table'");
  t.equal((await from.tables()).length, of?.['tables']);
  const [there] = await server.ask('SELECT count(*)::integer AS tables FROM pg_tables WHERE schemaname = $1', [schema]);
  t.equal((await to.tables()).length, there?.['tables']);
});

t.test('a running hub on either side refuses a move', async (t) => {
  const schema = emptySchema(t, server);
  const [onFile, onServer] = [sqliteStorage(full), postgresStorage({ url: server.url, schema })];
  t.teardown(() => Promise.all([onFile.close(), onServer.close()]));
  await onFile.open();
  const inUse = /full\.db\\" or another store in its folder is in use by another hub, `agentcom migrate` or `agentcom restore`/;
  await refused(t, migrate('sqlite:full.db', ofSchema(emptySchema(t, server))), 'AC_STORAGE_LOCKED', inUse);
  await onFile.close();
  await onServer.open();
  await refused(t, migrate('sqlite:full.db', ofSchema(schema)), 'AC_STORAGE_LOCKED', /hubs use it/);
  await refused(t, migrate(ofSchema(schema), 'sqlite:none/a.db'), 'AC_STORAGE_LOCKED', /hubs use it/);
});

t.test('any hub sharing a store refuses a move too, until its lease has expired', async (t) => {
  const [schema, file] = [emptySchema(t, server), path.join(await emptyFolder(t), 'from.db')];
  t.equal((await migrate('sqlite:full.db', ofSchema(schema))).code, 0);
  const lease = (ms: number): string =>
    `INSERT INTO ${schema}.hubs (hub_id, lease_until)
     SELECT 'hub-1', greatest(clock_mark, extract(epoch FROM clock_timestamp()) * 1000) + ${ms} FROM ${schema}.store
     ON CONFLICT (hub_id) DO UPDATE SET lease_until = excluded.lease_until`;
  await server.ask(`CREATE TABLE IF NOT EXISTS ${schema}.hubs (hub_id text PRIMARY KEY, lease_until bigint NOT NULL)`);
  await server.ask(lease(60_000));
  await refused(t, migrate(ofSchema(schema), `sqlite:${file}`), 'AC_STORAGE_LOCKED', /hub-1/);
  await server.ask(lease(-1));
  t.equal((await migrate(ofSchema(schema), `sqlite:${file}`)).code, 0);
});

t.test('a target that is not empty is refused and left alone', async (t) => {
  const schema = emptySchema(t, server);
  const storage = closedBefore(t, postgresStorage({ url: server.url, schema }));
  await storage.open();
  await commit(storage, inserting(aTask()));
  await storage.close();
  await refused(t, migrate('sqlite:full.db', ofSchema(schema), '--empty-target'), 'AC_TARGET_EXISTS', /tasks|task_bodies/);
  await storage.open();
  t.ok(await storage.tasks.read(aTask().id));
  const file = path.join(await emptyFolder(t), 'other.db');
  const other = closedAfter(t, sqliteStorage(file));
  await other.open();
  await commit(other, inserting(aTask()));
  await other.close();
  const before = await plainDump(file);
  await refused(t, migrate('sqlite:full.db', `sqlite:${file}`, '--empty-target'), 'AC_TARGET_EXISTS', /not empty/);
  t.strictSame(await plainDump(file), before);
});

t.test('a store of another version is refused', async (t) => {
  const [schema, file] = [emptySchema(t, server), path.join(await emptyFolder(t), 'other.db')];
  await migrate('sqlite:full.db', `sqlite:${file}`);
  await outside(file, "DELETE FROM migrations WHERE name LIKE '0002%'");
  await refused(t, migrate(`sqlite:${file}`, ofSchema(schema)), 'AC_SCHEMA_OLD', /Start the hub of this version on it once/);
  await outside(file, "INSERT INTO migrations (name, batch) VALUES ('0002-tombstones', 1), ('9999-from-the-future', 2)");
  await refused(t, migrate(`sqlite:${file}`, ofSchema(schema)), 'AC_SCHEMA_UNKNOWN', /9999-from-the-future/);
  await refused(t, migrate('sqlite:nowhere/a.db', ofSchema(schema)), 'AC_STORAGE_OPEN', /no such file/);
  await refused(t, migrate(ofSchema(schema), 'sqlite:none/a.db'), 'AC_STORAGE_OPEN', /no store in it/);
});

for (const [what, target] of [
  ['a Postgres', (t: Test) => Promise.resolve(ofSchema(emptySchema(t, server)))],
  ['an SQLite', async (t: Test) => `sqlite:${path.join(await emptyFolder(t), 'target.db')}`],
] as const)
  t.test(`after a kill halfway, ${what} target is refused by hubs and by the next move, unless it may be emptied`, async (t) => {
    const to = await target(t);
    await killedAmid(to);
    const half = to.startsWith('sqlite:')
      ? closedAfter(t, sqliteStorage(to.slice('sqlite:'.length)))
      : closedBefore(
          t,
          postgresStorage({ url: server.url, schema: new URL(to).searchParams.get('schema') ?? '' }, { hubLockWithinMs: 10_000 }),
        );
    await failsWith(t, half.open(), 'AC_MOVE_UNFINISHED', 'a hub does not open it');
    await refused(t, migrate('sqlite:full.db', to), 'AC_MOVE_UNFINISHED', /--empty-target/);
    await refused(t, migrate(to, 'sqlite:none/a.db'), 'AC_MOVE_UNFINISHED', /only a part of a store/);
    const again = await migrate('sqlite:full.db', to, '--empty-target');
    t.equal(again.code, 0, again.err);
    const back = `back-${what.slice(-4)}/a.db`;
    t.equal((await migrate(to, `sqlite:${back}`)).code, 0);
    t.strictSame(await plainDump(path.join(folder, back)), await plainDump(full));
    await half.open();
  });

/** The real command, ended with SIGKILL when it reports that it copies. */
async function killedAmid(to: string): Promise<void> {
  const child = spawn(process.execPath, [builtTree().bin, 'migrate', '--from', 'sqlite:full.db', '--to', to], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  for await (const line of createInterface({ input: child.stderr })) if (line.startsWith('copying')) child.kill('SIGKILL');
  const [, signal] = await ended;
  if (signal !== 'SIGKILL') throw new Error('it had ended before it was killed');
}

t.test('a damaged store is not copied, and the error points to the doctor', async (t) => {
  const [schema, file] = [emptySchema(t, server), path.join(await emptyFolder(t), 'damaged.db')];
  await migrate('sqlite:full.db', `sqlite:${file}`);
  await outside(file, "INSERT INTO task_dependencies VALUES ('task-00000000000000fc', 'task-00000000000000fd')");
  await refused(t, migrate(`sqlite:${file}`, ofSchema(schema)), 'AC_COPY_DIFFERS', /task_dependencies.*doctor --fsck/);
  await failsWith(
    t,
    closedBefore(t, postgresStorage({ url: server.url, schema })).open(),
    'AC_MOVE_UNFINISHED',
    'no hub opens the partial copy',
  );
});

t.test('a wrong address is reported without its secrets', async (t) => {
  await refused(t, migrate('mysql:x', 'sqlite:none/a.db'), 'AC_USAGE', /sqlite:FILE/);
  await refused(t, migrate('sqlite:', 'sqlite:none/a.db'), 'AC_USAGE', /no file name/);
  await refused(t, migrate('sqlite:full.db', 'env:NOT_SET'), 'AC_USAGE', /NOT_SET/);
  await refused(t, migrate('sqlite:full.db', 'sqlite:./other.db'), 'AC_USAGE', /both need folder/);
  for (const address of [`postgres://u:${password}@[/db`, `${server.url}?schema=pg_mine`, `postgres://u:${password}@127.0.0.1:1/db`])
    await refused(t, migrate('sqlite:full.db', address), address.includes(':1/') ? 'AC_STORAGE_OPEN' : 'AC_USAGE', /./);
});

t.test('a move shows what is copied, its progress, and the checksums of both sides', async (t) => {
  const { code, out, err } = await run(['migrate', '--from', 'sqlite:full.db', '--to', 'sqlite:told/a.db'], {
    cwd: folder,
    tty: true,
    columns: 60,
  });
  t.equal(code, 0);
  t.match(err, /copying \d+ of \d+ rows, \d+ %/);
  t.match(err, /comparing \d+ of \d+ rows, 100 %/);
  t.match(out, /tasks +\d+ +[0-9a-f]{64}/);
  t.match(out, /Start no hub on the old store/);
});
