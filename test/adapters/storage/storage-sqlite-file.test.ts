/** How the SQLite storage treats its file, its folder and its lock. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, rm, rmdir, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { tokenUse } from '../../../adapters/storage-knex/migrations/0010-token-use.ts';
import { noIndexByAge } from '../../../adapters/storage-knex/migrations/0020-no-index-by-age.ts';
import { SQLITE_STATEMENTS } from '../../../adapters/storage-knex/sqlite/statements.ts';
import { aKey, anEvent, aTask, aTaskId, changes, inserting } from '../../product/contracts/fixtures.ts';
import { commit, failsWith } from '../../product/contracts/storage/storage-room.ts';
import {
  closedAfter,
  emptyFolder,
  otherDriver,
  otherProgram,
  outside,
  sqliteStorage,
  testedDriver,
} from '../storage-places/sqlite-storage-place.ts';
import { boundedHistoryStep } from '../suites/bounded-history-step.ts';
import { rejectedStep } from '../suites/rejected-step.ts';
import { tokenUseStep } from '../suites/token-use-step.ts';
import { usageStep } from '../suites/usage-step.ts';
import { builtTree } from '../../rig/built-tree.ts';

const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8);

/** Another hub's process over the same file; resolves once it has committed. */
async function hubProcess(t: Test, file: string, driver = testedDriver) {
  const child = spawn(process.execPath, [builtTree().compiled('test/adapters/storage-places/sqlite-hub-process.ts'), file], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, AGENTCOM_TEST_SQLITE_DRIVER: driver.name },
  });
  const gone = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await gone;
  });
  const [reported] = (await Promise.race([once(child.stdout, 'data'), gone])) as [unknown];
  t.equal(String(reported), 'committed\n', 'the other hub has committed');
  return {
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

t.test('the commits that a killed hub acknowledged are stored, and its lock is free at once', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const other = await hubProcess(t, file);
  const storage = closedAfter(t, sqliteStorage(file));
  const refused = await failsWith(t, storage.open(), 'AC_STORAGE_LOCKED', 'while the other hub is alive');
  t.match(refused?.message, 'hub.lock');
  await other.kill();
  await storage.open();
  t.strictSame((await storage.tasks.read(aTaskId(1)))?.task, aTask());
});

t.test(
  'a hub locks out a hub on the other driver, which finds all of its commits once it is killed',
  { skip: otherDriver === undefined && 'this Node has one driver' },
  async (t) => {
    for (const [mine, theirs] of [
      [testedDriver, otherDriver],
      [otherDriver, testedDriver],
    ] as const) {
      if (mine === undefined || theirs === undefined) continue;
      const file = path.join(await emptyFolder(t), 'agentcom.db');
      const other = await hubProcess(t, file, theirs);
      const storage = closedAfter(t, sqliteStorage(file, { driver: mine }));
      await failsWith(t, storage.open(), 'AC_STORAGE_LOCKED', `${mine.name} while one of ${theirs.name} lives`);
      await other.kill();
      await storage.open();
      t.strictSame((await storage.tasks.read(aTaskId(1)))?.task, aTask());
    }
  },
);

t.test('a symlink to the database is the same database', async (t) => {
  const folder = await emptyFolder(t);
  const [file, link] = [path.join(folder, 'real', 'agentcom.db'), path.join(folder, 'elsewhere', 'link.db')];
  await closedAfter(t, sqliteStorage(file)).open();
  await mkdir(path.dirname(link));
  await symlink(file, link);
  await failsWith(t, closedAfter(t, sqliteStorage(link)).open(), 'AC_STORAGE_LOCKED', 'by its other path');
});

t.test('more kinds of reads than prepared statements work, and close leaves no statement behind', async (t) => {
  const storage = closedAfter(t, sqliteStorage(path.join(await emptyFolder(t), 'agentcom.db')));
  await storage.open();
  const ids = Array.from({ length: 150 }, (_, n) => aTaskId(n + 1));
  await commit(storage, inserting(...ids.map((id) => aTask({ id }))));
  for (let round = 1; round <= 2; round += 1)
    for (let count = 1; count <= ids.length; count += 1) {
      const found = await storage.tasks.peek(ids.slice(0, count));
      if (found.length !== count) t.fail(`${found.length} of ${count} were found`);
    }
  const several = await Promise.all(Array.from({ length: 20 }, (_, n) => storage.tasks.peek(ids.slice(0, (n % 5) + 1))));
  t.strictSame(
    several.map(({ length }) => length),
    Array.from({ length: 20 }, (_, n) => (n % 5) + 1),
    'at the same time, on several connections',
  );
  // A statement that is not finalized keeps its connection open, and closing fails.
  await storage.close();
  await storage.open();
  t.equal((await storage.tasks.peek(ids)).length, ids.length);
});

t.test('file names with characters that are special in a URI work', async (t) => {
  const file = path.join(await emptyFolder(t), 'a b?mode=memory#x%20 ü', "d'b.sqlite");
  const storage = closedAfter(t, sqliteStorage(file));
  await storage.open();
  await commit(storage, inserting(aTask()));
  t.equal((await storage.tasks.stats()).statuses.queued, 1, 'readers read the same file');
  t.ok((await stat(file)).isFile());
});

t.test(
  'files and folders are accessible to this user only',
  { skip: process.platform === 'win32' && 'Windows has no modes' },
  async (t) => {
    const folder = await emptyFolder(t);
    const file = path.join(folder, 'made', 'deep', 'agentcom.db');
    const storage = closedAfter(t, sqliteStorage(file));
    await storage.open();
    await commit(storage, inserting(aTask()));
    t.equal(await modeOf(path.join(folder, 'made')), '700');
    t.equal(await modeOf(path.dirname(file)), '700');
    t.strictSame((await readdir(path.dirname(file))).toSorted(), [
      'agentcom.db',
      'agentcom.db-commits',
      'agentcom.db-shm',
      'agentcom.db-wal',
      'hub.lock',
    ]);
    for (const name of await readdir(path.dirname(file))) t.equal(await modeOf(path.join(path.dirname(file), name)), '600', name);

    await storage.close();
    await chmod(file, 0o640);
    const refused = await failsWith(t, storage.open(), 'AC_DATA_DIR', 'refuses files that others can read');
    t.match(refused?.message, `chmod 600 "${file}"`);
    await chmod(file, 0o600);
    await storage.open();
  },
);

t.test('an unwritable folder is named in the error, with what to do', async (t) => {
  const folder = path.join(await emptyFolder(t), 'closed');
  await mkdir(folder, { mode: 0o500 });
  // Root may write anywhere: become the user "nobody" for the attempt.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chmod(path.dirname(folder), 0o755).then(() => process.seteuid?.(65_534));
  try {
    const refused = await failsWith(t, sqliteStorage(path.join(folder, 'agentcom.db')).open(), 'AC_STORAGE_OPEN', 'refused');
    t.match(refused?.message, `file "${path.join(folder, 'agentcom.db')}"`);
    t.match(refused?.message, 'Let this user write to');
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

t.test('a migration that fails half-way changes nothing, and succeeds later', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const first = sqliteStorage(file);
  await first.open();
  await first.close();
  // As before the first schema, with an obstacle for a late step of it.
  const tables = (await outside(file, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")).map((row) =>
    String(row['name']),
  );
  await outside(file, ...tables.map((table) => `DROP TABLE ${table}`), 'CREATE TABLE batches (in_the_way)');
  const storage = closedAfter(t, sqliteStorage(file));
  const refused = await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', 'refused');
  t.match(refused?.message, 'batches');
  const left = await outside(file, "SELECT name FROM sqlite_master WHERE name IN ('tasks', 'store', 'task_events')");
  t.strictSame(left, [], 'nothing is left of the earlier steps');
  await outside(file, 'DROP TABLE batches');
  await storage.open();
  await commit(storage, inserting(aTask()));
});

t.test('R22: a store is backed up before it is migrated, and is not migrated if the backup fails', async (t) => {
  const folder = await emptyFolder(t);
  const file = path.join(folder, 'agentcom.db');
  const copy = `${file}.before-${tokenUse.name}`;
  const first = sqliteStorage(file);
  await first.open();
  await commit(first, inserting(aTask()));
  await first.close();
  const noBackup = (name: string): boolean => !name.includes('before');
  t.ok((await readdir(folder)).every(noBackup), 'a new store needs none');
  const older = [
    ...['expires_at', 'last_used_at'].map((column) => `ALTER TABLE tokens DROP COLUMN ${column}`),
    `DELETE FROM migrations WHERE name = '${tokenUse.name}'`,
  ];
  await outside(file, ...older);
  const steps = async (of: string): Promise<number> =>
    (await outside(of, `SELECT name FROM migrations WHERE name = '${tokenUse.name}'`)).length;
  await mkdir(copy);
  await t.rejects(closedAfter(t, sqliteStorage(file)).open(), { code: 'AC_STORE_UNAVAILABLE' });
  t.equal(await steps(file), 0, 'unchanged');
  await rmdir(copy);
  const next = sqliteStorage(file);
  await next.open();
  await next.close();
  t.strictSame([await steps(file), await steps(copy), await modeOf(copy)], [1, 0, '600']);
  t.equal((await outside(copy, 'SELECT id FROM tasks')).length, 1);
  await rm(copy);
  const again = sqliteStorage(file);
  await again.open();
  await again.close();
  t.ok((await readdir(folder)).every(noBackup), 'nor does one that is up to date');
  await outside(file, `DELETE FROM migrations WHERE name = '${noIndexByAge.name}'`);
  const unchanged = sqliteStorage(file);
  await unchanged.open();
  await unchanged.close();
  t.equal((await outside(file, `SELECT name FROM migrations WHERE name = '${noIndexByAge.name}'`)).length, 1);
  t.ok((await readdir(folder)).every(noBackup), 'nor before a step that is for another database');
});

t.test('a migration resumes after a kill that left the migrator locked', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = closedAfter(t, sqliteStorage(file));
  await storage.open();
  await storage.close();
  await outside(file, 'UPDATE migrations_lock SET is_locked = 1');
  await storage.open();
  t.equal(await storage.healthy(), true);
});

t.test('frequent statements use their indexes and never scan a whole table', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = closedAfter(t, sqliteStorage(file));
  await storage.open();
  const program = await otherProgram(file);
  t.teardown(() => program.close());
  const wanted = {
    loadTasks: 'sqlite_autoindex_tasks_1',
    waitingRequirements: 'tasks_claimable',
    claimable: 'tasks_claimable',
    waitingBehind: 'tasks_claimable',
    due: 'tasks_due',
    dependents: 'PRIMARY KEY (depends_on=? AND task_id>?)',
    liveTasks: 'tasks_live',
    activeAgents: 'agents_connected',
    dueAssignees: 'tasks_due',
    pendingStops: 'PRIMARY KEY',
    updateTasks: 'sqlite_autoindex_tasks_1',
    clearStops: 'PRIMARY KEY',
    findEvents: 'sqlite_autoindex_task_events_1',
    loadKeys: 'sqlite_autoindex_idempotency_keys_1',
    loadTombstones: 'sqlite_autoindex_tombstones_1',
    removable: 'tasks_ended',
    removeEvents: 'sqlite_autoindex_task_events_1',
    removeTasks: 'sqlite_autoindex_tasks_1',
    removeTombstones: 'tombstones_by_age',
    removeKeys: 'idempotency_keys_by_age',
    noteTokensUsed: 'sqlite_autoindex_tokens_1',
  } as const;
  for (const [name, index] of Object.entries(wanted) as [keyof typeof wanted, string][]) {
    const steps = (await program.all(`EXPLAIN QUERY PLAN ${SQLITE_STATEMENTS[name]}`)).map((row) => String(row['detail']));
    t.ok(steps.some((step) => step.includes(index)), `${name} uses ${index}: ${steps.join(' | ')}`); // prettier-ignore
    // A walk over an index that holds only active rows is intended.
    const walks = steps.filter((step) => /^SCAN (tasks|t|c|d|e|k|task_\w+|idempotency_keys)\b/.test(step) && !step.includes('tasks_live'));
    t.strictSame(walks, [], `${name} scans no table`);
    t.strictSame(steps.filter((step) => step.includes('tasks_by_')), [], `${name} does not use the list indexes, which hold every task`); // prettier-ignore
  }
});

t.test('retains the newest batches and forgets old ones', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = closedAfter(t, sqliteStorage(file));
  await storage.open();
  await storage.tasks.transact('the first', (unit) => unit.save(changes({ keys: [aKey({ key: 'first' })] })));
  const numbers = 'WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500) SELECT';
  await outside(file, `INSERT INTO batches (batch_id) ${numbers} 'batch ' || n FROM c`);
  await storage.tasks.transact('the last', (unit) => unit.save(changes({ keys: [aKey({ key: 'last' })] })));
  t.equal(await storage.tasks.committed('the first'), false);
  t.equal(await storage.tasks.committed('batch 499'), true);
  t.equal(await storage.tasks.committed('the last'), true);
  t.strictSame(await outside(file, 'SELECT count(*) AS kept FROM batches'), [{ kept: 64 }]);
});

t.test('a store from before usage was recorded per attempt is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  await usageStep(t, { storage: () => closedAfter(t, sqliteStorage(file)), ask: (sql) => outside(file, sql) });
});

t.test('R12: a store from before rejected tasks waited separately is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  await rejectedStep(t, { storage: () => closedAfter(t, sqliteStorage(file)), ask: (sql) => outside(file, sql) });
});

t.test('a store from before tokens could expire is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  await tokenUseStep(t, { storage: () => closedAfter(t, sqliteStorage(file)), ask: (sql) => outside(file, sql) });
});

t.test('the clock never falls behind the newest event of a killed hub, and an older store is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const clock = virtualClock();
  const first = sqliteStorage(file, { time: clock });
  await first.open();
  clock.advance(50_000); // The clock mark is written once a minute.
  const atMs = first.tasks.nowMs();
  await commit(first, { ...inserting(aTask()), events: [anEvent({ atMs })] });
  await first.tasks.stats(); // Since then, SQLite has it.
  const killed = `${file}.killed`;
  await outside(file, `VACUUM INTO '${killed}'`);
  clock.advance(3_600_000);
  await first.tasks.transact('an hour later', async () => undefined);
  await first.close();
  await chmod(killed, 0o600);

  const behind = { nowMs: () => clock.nowMs() - 86_400_000, monotonicMs: () => clock.monotonicMs() };
  const second = closedAfter(t, sqliteStorage(killed, { time: behind }));
  await second.open();
  t.equal(second.tasks.nowMs(), atMs);
  t.equal(second.tasks.lastUsedMs(), atMs);
  await second.close();

  // As an older version left it.
  for (const column of ['clock_mark', 'clock_offset', 'removals_from']) await outside(killed, `ALTER TABLE store DROP COLUMN ${column}`);
  await outside(killed, "DELETE FROM migrations WHERE name = '0007-store-clock'");
  const third = closedAfter(t, sqliteStorage(killed, { time: behind }));
  await third.open();
  t.equal(third.tasks.nowMs(), atMs, 'its newest event is its clock mark');
  await third.close();
  t.match(await outside(killed, 'SELECT clock_mark FROM store'), [{ clock_mark: atMs }]);

  // What the passing hour wrote, although no batch changed it.
  t.match(await outside(file, 'SELECT clock_mark FROM store'), [{ clock_mark: atMs + 3_600_000 }]);
});

t.test('R4: a store from before histories were bounded is migrated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  await boundedHistoryStep(t, { storage: () => closedAfter(t, sqliteStorage(file)), ask: (sql) => outside(file, sql) });
});
