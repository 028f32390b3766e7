/** Which driver a hub uses, and what is specific to a connection of `node:sqlite`. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { refuseOldSqlite } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
import { statementFor } from '../../../adapters/storage-knex/sqlite/sqlite-driver.ts';
import { nodeDriver } from '../../../adapters/storage-knex/sqlite/node-driver.ts';
import { SQLITE_STATEMENTS } from '../../../adapters/storage-knex/sqlite/statements.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { emptyFolder, otherDriver, testedDriver } from '../storage-places/sqlite-storage-place.ts';

const HAS_NODE_SQLITE = otherDriver?.name === 'node' || testedDriver.name === 'node';
const needsNodeSqlite = { skip: !HAS_NODE_SQLITE && `Node ${process.versions.node} has no node:sqlite` };
const WITHOUT_SQLITE3 = pathToFileURL(path.resolve(import.meta.dirname, '../../rig/without-sqlite3.mjs')).href;

/** Of a process that has only the given node options. */
const { NODE_OPTIONS: _, ...env } = process.env;

/** The driver that a process uses when `wanted` is chosen, or its error. */
function takenBy(wanted: string | undefined, ...nodeOptions: readonly string[]) {
  const driver = pathToFileURL(builtTree().compiled('adapters/storage-knex/sqlite/driver-choice.ts')).href;
  const program = `import { sqliteDriver } from ${JSON.stringify(driver)};
    const told = await sqliteDriver(${JSON.stringify(wanted)}).then(({ name }) => ({ name }), ({ code, message }) => ({ code, message }));
    console.log(JSON.stringify(told));`;
  const { stdout, stderr } = spawnSync(process.execPath, [...nodeOptions, '--input-type=module', '--eval', program], {
    encoding: 'utf8',
    env,
  });
  return { ...(JSON.parse(stdout) as { readonly name?: string; readonly code?: string; readonly message?: string }), stderr };
}

t.test('sqlite3 is used if it loads, otherwise node:sqlite, or an error that explains what to do', async (t) => {
  t.equal(takenBy(undefined).name, 'sqlite3');
  t.equal(takenBy('sqlite3').name, 'sqlite3');
  const none = takenBy(undefined, `--import=${WITHOUT_SQLITE3}`);
  const refused = takenBy('sqlite3', `--import=${WITHOUT_SQLITE3}`);
  t.equal(refused.code, 'AC_PACKAGE_MISSING');
  t.match(refused.message, 'its driver is "sqlite3", and the package sqlite3 cannot be loaded (Cannot find package \'sqlite3\')');
  t.match(refused.message, 'npm install sqlite3@6');
  if (HAS_NODE_SQLITE) {
    t.equal(none.name, 'node');
    t.equal(takenBy('node').name, 'node');
    return;
  }
  const node = `Node ${process.versions.node} has no node:sqlite that can be used`;
  for (const { code, message } of [none, takenBy('node')]) {
    t.equal(code, 'AC_PACKAGE_MISSING');
    t.match(message, node);
    t.match(message, 'Upgrade Node to 22.16 or later');
  }
  t.match(none.message, 'npm install sqlite3@6');
});

t.test('a library older than SQLite 3.51 gets the statements without jsonb_each', async (t) => {
  const text = SQLITE_STATEMENTS.insertTasks;
  t.match(text, 'jsonb_each(');
  t.equal(statementFor('3.51.0')(text), text);
  t.equal(statementFor('4.0.0')(text), text);
  const older = statementFor('3.50.4')(text);
  t.notMatch(older, 'jsonb_each');
  t.match(older, 'json_each(');
});

t.test('a library that is too old is refused', async (t) => {
  for (const version of ['3.49.0', '3.50.4', '3.53.4', '4.0.0'])
    t.doesNotThrow(() => refuseOldSqlite({ name: 'sqlite3', version }), version);
  for (const name of ['sqlite3', 'node'] as const)
    t.throws(() => refuseOldSqlite({ name, version: '3.48.1' }), {
      code: 'AC_PACKAGE_MISSING',
      message: /SQLite 3\.49 or later, found 3\.48\.1 in/,
    });
});

t.test('a statement that could not be prepared is prepared again', async (t) => {
  const { connection, close } = await testedDriver.open(path.join(await emptyFolder(t), 'x.db'), 'create');
  await t.rejects(connection.rows('SELECT n FROM later'), { code: 'SQLITE_ERROR' });
  await connection.change('CREATE TABLE later (n)');
  t.strictSame(await connection.rows('SELECT n FROM later'), []);
  await close();
});

t.test('a connection of node:sqlite', needsNodeSqlite, async (t) => {
  const file = path.join(await emptyFolder(t), 'a.db');
  const driver = nodeDriver();
  await t.rejects(driver.open(file, 'write'), { code: 'SQLITE_CANTOPEN' }, 'does not create a missing file');
  await t.rejects(driver.open(file, 'read'), { code: 'SQLITE_CANTOPEN' });
  const { connection, close } = await driver.open(file, 'create');
  t.teardown(close);
  await connection.change('CREATE TABLE a (n INTEGER PRIMARY KEY, s TEXT) STRICT');
  t.equal(await connection.change('INSERT INTO a VALUES (?1, ?2), (?3, ?2)', 1, 'x', 2), 2);
  t.strictSame(await connection.rows('SELECT n, s FROM a WHERE s = ? ORDER BY n', 'x'), [
    { n: 1, s: 'x' },
    { n: 2, s: 'x' },
  ]);
  await t.rejects(connection.change('INSERT INTO a VALUES (1, ?1)', null), {
    code: 'SQLITE_CONSTRAINT',
    message: 'SQLITE_CONSTRAINT: UNIQUE constraint failed: a.n',
  });

  const odd = 'a\0b';
  t.strictSame(await connection.rows('SELECT ?1 AS "od""d", length(?1) AS n, NULL AS none ORDER BY 1', odd), [{ 'od"d': odd, n: 1, none: null }]); // prettier-ignore
  t.strictSame(await connection.rows('WITH c AS (SELECT n FROM a) SELECT n, ? || n AS s FROM c ORDER BY n DESC', odd), [
    { n: 2, s: `${odd}2` },
    { n: 1, s: `${odd}1` },
  ]);

  const [wrong, pipelined] = await Promise.allSettled([connection.rows('SELECT wrong'), connection.rows('SELECT wrong')]);
  t.match(wrong, { status: 'rejected', reason: { code: 'SQLITE_ERROR' } });
  t.equal(pipelined.status, 'rejected', 'statements queued with one that cannot be prepared fail too');
  t.strictSame(await connection.rows('SELECT 1 AS one'), [{ one: 1 }], 'in order');

  // More than it keeps prepared, twice, issued together.
  const numbers = Array.from({ length: 300 }, (_, n) => n % 200);
  const answers = await Promise.all(numbers.map((n) => connection.rows(`SELECT ${n} AS n, ? AS given`, n)));
  t.strictSame(answers.flat(), numbers.map((n) => ({ n, given: n }))); // prettier-ignore
});

t.test('a process with only idle node:sqlite connections exits by itself, without output', needsNodeSqlite, async (t) => {
  const file = path.join(await emptyFolder(t), 'a.db');
  const compiled = pathToFileURL(builtTree().compiled('adapters/storage-knex/sqlite/node-driver.ts')).href;
  const program = `import { nodeDriver } from ${JSON.stringify(compiled)};
    const { connection } = await nodeDriver().open(${JSON.stringify(file)}, 'create');
    console.log(await connection.rows('SELECT 1 AS one'));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    env,
    timeout: 30_000,
  });
  t.equal(status, 0);
  t.match(stdout, '[ { one: 1 } ]');
  t.equal(stderr, '');
});
