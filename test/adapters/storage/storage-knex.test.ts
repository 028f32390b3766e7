/** What the SQL stores depend on, whichever database it is. */
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import knex, { type Knex } from 'knex';
import type { Database } from 'sqlite3';
import t from 'tap';
import { acquire, evict, keepPrepared, KNEX_VERSION, readersOn, release } from '../../../adapters/storage-knex/knex-readers.ts';
import { POSTGRES_STATEMENTS } from '../../../adapters/storage-knex/postgres/statements.ts';
import { taskColumns, taskIn } from '../../../adapters/storage-knex/rows/rows.ts';
import { parameterOf } from '../../../adapters/storage-knex/sqlite/parameters.ts';
import { SQLITE_STATEMENTS } from '../../../adapters/storage-knex/sqlite/statements.ts';
import { isWrite, type ClusterStatementName, type StatementName } from '../../../adapters/storage-knex/statements.ts';
import { change } from '../../../core/domain/transitions/change.ts';
import { aTask, anAgentId } from '../../product/contracts/fixtures.ts';

t.test('each statement is marked as writing if its SQL writes', async (t) => {
  for (const [database, texts] of Object.entries({ SQLite: SQLITE_STATEMENTS, Postgres: POSTGRES_STATEMENTS })) {
    for (const [name, text] of Object.entries(texts) as [StatementName | ClusterStatementName, string][])
      t.equal(isWrite(name), /\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b/.test(text), `${database}: ${name}`);
  }
});

t.test('a stored state omits common values, and is read back completely', async (t) => {
  const stored = (task: ReturnType<typeof aTask>) => JSON.stringify(taskColumns({ task, dueAtMs: null }).state);
  const rowOf = (task: ReturnType<typeof aTask>, state: string) => {
    const { id, assignedTo, submittedBy, createdAt } = taskColumns({ task, dueAtMs: null });
    return { id, assigned_to: assignedTo, submitted_by: submittedBy, created_at: createdAt, state };
  };
  const plain = aTask({ priority: 'normal', round: 1, requirement: { capabilities: [], assignTo: null } });
  t.notMatch(stored(plain), /"(priority|round|requirement|dependsOn|parked)"/);
  t.notMatch(stored(plain), /"(id|assignedTo|submittedBy|createdAtMs)"/, 'nor values that the row has in columns');
  const special = aTask({ priority: 'urgent', round: 2, requirement: { capabilities: [], assignTo: anAgentId('a1') } });
  for (const task of [plain, special, aTask({ requirement: { capabilities: ['code'], assignTo: null } })])
    t.strictSame(taskIn(rowOf(task, stored(task))), task);
  for (const task of [plain, special, aTask({ status: 'assigned', assignedTo: anAgentId('a1') })])
    t.strictSame(taskIn(rowOf(task, JSON.stringify(task))), task, 'as an older version stored it');
});

t.test('in V8, tasks read from storage have the same hidden class as new ones', async (t) => {
  const { task: made } = change(aTask(), { status: 'cancelled' }, 1, []);
  const { state, ...columns } = taskColumns({ task: made, dueAtMs: null });
  const row = { id: columns.id, assigned_to: null, submitted_by: columns.submittedBy, created_at: columns.createdAt };
  setFlagsFromString('--allow-natives-syntax');
  const haveSameShape = runInThisContext('(one, other) => %HaveSameMap(one, other)') as (one: object, other: object) => boolean;
  t.ok(haveSameShape(made, made), 'compiled while the flag is set');
  setFlagsFromString('--no-allow-natives-syntax');
  for (const fields of [state, {}, { lastError: 'a field between others' }])
    t.ok(haveSameShape(taskIn({ ...row, state: JSON.stringify({ ...state, ...fields }) }), made), JSON.stringify(fields));
  t.notOk(haveSameShape({ ...made, more: 1 }, made));
});

t.test('a state that is empty or not an object is not a plain task', async (t) => {
  const columns = { id: aTask().id, assigned_to: null, submitted_by: 'admin', created_at: 1 };
  for (const state of ['{}', 'null', '[]', '1', '"queued"'])
    t.throws(() => taskIn({ ...columns, state }), { code: 'AC_STORE_DAMAGED', message: new RegExp(columns.id) }, state);
});

t.test('no field of a task is lost: each uncommon value is in the state or in a column', async (t) => {
  const plain = aTask({ priority: 'normal', round: 1, requirement: { capabilities: [], assignTo: null } });
  const others: Readonly<Record<string, unknown>> = {
    priority: 'urgent',
    requirement: { capabilities: ['code'], assignTo: null },
    parked: true,
  };
  for (const [name, value] of Object.entries(plain)) {
    const other = others[name] ?? (typeof value === 'number' ? 987_654_321 : Array.isArray(value) ? ['one'] : { other: true });
    const { state, ...columns } = taskColumns({ task: { ...plain, [name]: other }, dueAtMs: null });
    t.ok(JSON.stringify([state, columns]).includes(JSON.stringify(other)), `${name}: ${JSON.stringify(other)}`);
  }
});

t.test('SQLite returns rows of frequent statements as arrays, others as objects', async (t) => {
  const body = { description: 'x' };
  t.equal(parameterOf('insertBodies', [{ body, taskId: 'task-1' }]), JSON.stringify([['task-1', body]]));
  t.match(SQLITE_STATEMENTS.insertBodies, /\(task_id, body\)\s+SELECT value ->> '\$\[0\]', value ->> '\$\[1\]' FROM/);
  t.equal(parameterOf('insertAgents', [{ id: 'a1' }]), '[{"id":"a1"}]');
});

t.test('Knex still has the inner members that knex-readers.ts touches', async (t) => {
  const require = createRequire(import.meta.url);
  const { version } = require('knex/package.json') as { readonly version: string };
  const { dependencies } = require('../../../package.json') as { readonly dependencies: Readonly<Record<string, string>> };
  t.equal(dependencies['knex'], KNEX_VERSION, 'package.json pins Knex to the version that knex-readers.ts was written for');
  const gone = (what: string): string => `Knex ${version} ${what}: fix adapters/storage-knex/knex-readers.ts, written for ${KNEX_VERSION}`;
  const config: Knex.Config = { client: 'sqlite3', useNullAsDefault: true };
  const pool = knex({ ...config, connection: { filename: ':memory:' }, pool: { min: 0, max: 1 }, log: { warn: () => undefined } });
  t.teardown(() => pool.destroy());

  const first = await acquire<Database>(pool).catch((thrown: unknown) => t.fail(gone(`lends no connection (${String(thrown)})`)));
  if (typeof first !== 'object') return;
  await release(pool, first);
  const again = await acquire<Database>(pool);
  t.equal(again, first, gone('does not lend a connection again that was released'));

  keepPrepared(again);
  let prepared = 0;
  const prepare = again.prepare.bind(again) as (...parts: unknown[]) => never;
  Object.assign(again, { prepare: (...parts: unknown[]) => ((prepared += 1), prepare(...parts)) });
  const { on } = readersOn(knex, pool, config);
  for (const n of [1, 2]) t.strictSame(await on(again).select(on(again).raw('? AS n', [n])), [{ n }], gone('asks no `connectionPool`'));
  t.equal(prepared, 1, gone('does not run a SELECT by `all` of the connection'));

  evict(again, 'it is in a transaction');
  await release(pool, again);
  const next = await acquire<Database>(pool);
  t.not(next, again, gone('lends a connection again that has `__knex__disposed`'));
  await release(pool, next);
});
