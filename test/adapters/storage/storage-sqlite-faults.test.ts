/** What the SQLite storage answers when a lock, the disk or the file fails, and that it recovers afterwards. */
import { execFile } from 'node:child_process';
import { rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import type { Row, SavedRows, Transaction } from '../../../adapters/storage-knex/engine.ts';
import { eventRows } from '../../../adapters/storage-knex/rows/event-rows.ts';
import type { SqliteConnection } from '../../../adapters/storage-knex/sqlite/connection.ts';
import { NewestRows } from '../../../adapters/storage-knex/sqlite/newest-rows.ts';
import { sqliteEngine } from '../../../adapters/storage-knex/sqlite/engine.ts';
import { sqliteTransaction } from '../../../adapters/storage-knex/sqlite/transaction.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { aBody, anEvent, aTask, aTaskId, changes, inserting } from '../../product/contracts/fixtures.ts';
import { commit, failsWith } from '../../product/contracts/storage/storage-room.ts';
import { faultyStorage } from '../../faults/rig/faulty-storage.ts';
import { closedAfter, emptyFolder, otherProgram, sqliteStorage, testedDriver } from '../storage-places/sqlite-storage-place.ts';
import { NO_ROWS } from '../suites/no-rows.ts';

const run = promisify(execFile);

/** A store's clock that is always certain. */
const storeTime = { nowMs: () => Date.now(), removableMs: () => Date.now() };

/** Without a commit log, nothing is pending. */
const newestOn = (connection: SqliteConnection): NewestRows => new NewestRows(connection, () => Promise.resolve());

/** A connection that only fails its `failAt`-th statement with `code`; statements are recorded as received. */
function failingConnection(failAt: number, code: string) {
  const statements: string[] = [];
  const step = async <T>(sql: string, answer: T): Promise<T> => {
    statements.push(sql.trim().split(/\s+/).slice(0, 2).join(' '));
    if (statements.length === failAt) throw Object.assign(new Error(`${code}: made up`), { code });
    return answer;
  };
  const connection: SqliteConnection = {
    rows: (sql) => step<readonly Row[]>(sql, []),
    change: (sql) => step(sql, 1),
    finalize: async () => undefined,
  };
  return { connection, statements };
}

t.test('a failure of any statement of a transaction is handled correctly', async (t) => {
  const BROKEN = ['SQLITE_FULL', 'SQLITE_IOERR', 'SQLITE_CORRUPT', 'SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_NOTADB'];
  const work = async (transaction: Transaction): Promise<string> => {
    await transaction.rows('loadTasks', []);
    await transaction.change('insertTasks', []);
    return 'done';
  };
  // load, BEGIN, insert, record the batch, COMMIT
  const COMMIT = 5;
  for (const code of [...BROKEN, 'SQLITE_BUSY', 'SQLITE_CONSTRAINT'])
    for (let failAt = 1; failAt <= COMMIT; failAt += 1) {
      const { connection, statements } = failingConnection(failAt, code);
      const broken: unknown[] = [];
      const answer = sqliteTransaction(connection, {
        file: 'x.db',
        clock: storeTime,
        newest: newestOn(connection),
        batchId: 'b',
        work,
        markBroken: (why) => broken.push(why),
      });
      const isDisk = BROKEN.includes(code);
      const what = `${code} at statement ${failAt}`;
      if (isDisk) await failsWith(t, answer, failAt === COMMIT ? 'AC_COMMIT_UNKNOWN' : 'AC_STORE_UNAVAILABLE', what);
      else await failsWith(t, answer, code === 'SQLITE_BUSY' ? 'AC_STORE_RETRY' : 'AC_INTERNAL', what);
      t.equal(broken.length > 0, isDisk, `${what}: ${isDisk ? 'reopened' : 'the connection is still used'}`);
      const rolledBack = failAt > 2 && !(isDisk && failAt === COMMIT);
      t.equal(statements.at(-1) === 'ROLLBACK', rolledBack, `${what}: ${statements.join(', ')}`);
    }
  const { connection, statements } = failingConnection(0, '');
  t.equal(
    await sqliteTransaction(connection, {
      file: 'x.db',
      clock: storeTime,
      newest: newestOn(connection),
      batchId: 'b',
      work,
      markBroken: () => t.fail('no reason'),
    }),
    'done',
  );
  t.strictSame(
    statements,
    ['SELECT id,', 'BEGIN IMMEDIATE', 'INSERT INTO', 'INSERT INTO', 'COMMIT'],
    'the batch is recorded last before COMMIT',
  );
});

t.test('a failure of any statement of a batch saved at once is handled correctly', async (t) => {
  const rows: SavedRows = { ...NO_ROWS, insertEvents: eventRows([anEvent(), anEvent({ seq: 2 })]) };
  let done: readonly (number | null | undefined)[] = [];
  const work = async (transaction: Transaction) => {
    const last = await transaction.saveAndCommit?.(rows, [], true);
    done = [...done, last];
    return last;
  };
  const transacting = (connection: SqliteConnection, newest: NewestRows, broken: unknown[] = []) =>
    sqliteTransaction(connection, {
      file: 'x.db',
      clock: storeTime,
      newest,
      batchId: 'b',
      work,
      markBroken: (why) => broken.push(why),
    });
  for (const [code, failAt, expected] of [
    ['SQLITE_IOERR', 1, 'AC_STORE_UNAVAILABLE'],
    ['SQLITE_IOERR', 2, 'AC_COMMIT_UNKNOWN'],
    ['SQLITE_FULL', 2, 'AC_COMMIT_UNKNOWN'],
    ['SQLITE_BUSY', 2, 'AC_STORE_RETRY'],
    ['SQLITE_CONSTRAINT', 2, 'AC_INTERNAL'],
  ] as const) {
    const { connection, statements } = failingConnection(failAt, code);
    const newest = newestOn(connection);
    const broken: unknown[] = [];
    await failsWith(t, transacting(connection, newest, broken), expected, `${code} at statement ${failAt}`);
    t.equal(broken.length > 0, expected === 'AC_COMMIT_UNKNOWN' || expected === 'AC_STORE_UNAVAILABLE');
    await newest.nextEvents(0);
    t.equal(statements.at(-1), 'SELECT seq', 'the numbers are looked up again');
    t.notOk(statements.includes('ROLLBACK'), 'there is no transaction to roll back');
    const isDone = expected === 'AC_COMMIT_UNKNOWN';
    t.strictSame(done, isDone ? [0] : [], 'the work completes exactly where its changes may be committed');
    done = [];
  }
  const { connection, statements } = failingConnection(0, '');
  const newest = newestOn(connection);
  t.equal(await transacting(connection, newest), 0);
  t.equal(await transacting(connection, newest), 2);
  t.strictSame(statements, ['SELECT seq', 'INSERT INTO', 'INSERT INTO'], 'a commit is one statement');
});

t.test('work that throws while its first statement begins the transaction leaves no transaction open', async (t) => {
  const { connection, statements } = failingConnection(0, '');
  let answerBegin: () => void = () => undefined;
  const slow: SqliteConnection = {
    ...connection,
    change: async (sql, ...parameters) => {
      const changed = await connection.change(sql, ...parameters);
      if (sql.startsWith('BEGIN')) await new Promise<void>((resolve) => (answerBegin = resolve));
      return changed;
    },
  };
  const ended = sqliteTransaction(slow, {
    file: 'x.db',
    clock: storeTime,
    newest: newestOn(connection),
    batchId: 'b',
    work: async (transaction) => {
      void transaction.change('insertTasks', []);
      throw new Error('of its own');
    },
    markBroken: () => t.fail('no reason'),
  });
  const failed = t.rejects(ended, { message: 'of its own' });
  await new Promise(setImmediate);
  answerBegin();
  await failed;
  t.strictSame(statements, ['BEGIN IMMEDIATE', 'INSERT INTO', 'ROLLBACK']);
});

t.test('work that continues after a failed statement commits nothing', async (t) => {
  const { connection, statements } = failingConnection(2, 'SQLITE_FULL');
  const work = async (transaction: Transaction): Promise<string> => {
    const first = await transaction.change('insertTasks', []).catch((thrown: unknown) => thrown);
    t.ok(AgentcomError.is(first, 'AC_STORE_UNAVAILABLE'));
    await failsWith(t, transaction.change('saveAgents', []), 'AC_STORE_UNAVAILABLE', 'the next one is refused');
    return 'all is well';
  };
  const answer = sqliteTransaction(connection, {
    file: 'x.db',
    clock: storeTime,
    newest: newestOn(connection),
    batchId: 'b',
    work,
    markBroken: () => undefined,
  });
  await failsWith(t, answer, 'AC_STORE_UNAVAILABLE', 'the transaction fails');
  t.strictSame(statements, ['BEGIN IMMEDIATE', 'INSERT INTO', 'ROLLBACK']);
});

t.test('a failed ROLLBACK marks the connection as broken', async (t) => {
  const { connection } = failingConnection(3, 'SQLITE_ERROR');
  const broken: unknown[] = [];
  const mistake = new Error('a mistake of the work');
  const answer = sqliteTransaction(connection, {
    file: 'x.db',
    clock: storeTime,
    newest: newestOn(connection),
    batchId: 'b',
    work: async (transaction) => {
      await transaction.change('saveAgents', []);
      throw mistake;
    },
    markBroken: (why) => broken.push(why),
  });
  t.equal(await answer.catch((thrown: unknown) => thrown), mistake);
  t.equal(broken.length, 1);
});

t.test('R15: a storage that could not be reopened is reopened once the disk has recovered', async (t) => {
  // Before, closing the old connections a second time failed, so a disk that was still full at the first attempt stayed
  // full forever.
  const { statements, storage } = await faultyStorage(t);
  await commit(storage, inserting(aTask()));
  await storage.tasks.stats(); // SQLite commits it, and the next one itself.
  statements.fault = 'ioerr';
  statements.count.arm({ nth: 1, lasting: true });
  for (let tries = 1; tries <= 3; tries += 1) {
    const failed = await failsWith(t, commit(storage, inserting(aTask({ id: aTaskId(tries) }))), tries === 1 ? 'AC_COMMIT_UNKNOWN' : 'AC_STORE_UNAVAILABLE', `attempt ${tries}`); // prettier-ignore
    t.equal(failed?.details?.['sqlite'], 'SQLITE_IOERR', 'the hub learns why');
  }
  statements.count.disarm();
  await commit(storage, inserting(aTask({ id: aTaskId(9) })));
  t.equal((await storage.tasks.stats()).statuses.queued, 2);
});

t.test('R15: reads that wait while all connections are reopened are answered by the new connections', async (t) => {
  // Before, they were refused as an internal error, and sidecars that connected meanwhile were disconnected.
  const { statements, storage } = await faultyStorage(t);
  await commit(storage, inserting(aTask()));
  const answers: (string | undefined)[] = [];
  for (let nth = 1; nth <= 4; nth += 1) {
    statements.count.arm({ nth, lasting: false });
    const reads = Array.from({ length: 12 }, () =>
      storage.tasks.read(aTaskId(1)).then(
        () => 'read',
        (thrown: unknown) => (thrown as AgentcomError).code,
      ),
    );
    await Promise.allSettled([1, 2].map((n) => commit(storage, inserting(aTask({ id: aTaskId(nth * 10 + n) })))));
    answers.push(...(await Promise.all(reads)));
    statements.count.disarm();
  }
  const failed = answers.filter((answer) => answer !== 'read');
  t.ok(failed.length <= 4, `of 48 reads, only those that hit the fault failed: ${failed.join(', ')}`);
  t.strictSame(
    failed.filter((code) => code !== 'AC_STORE_UNAVAILABLE'),
    [],
  );
});

t.test('a read whose COMMIT fails leaves no connection inside a transaction', async (t) => {
  // Before, the connection returned to its pool inside a transaction, and every later read on it failed to begin.
  const { statements, storage } = await faultyStorage(t);
  let failed = 0;
  for (let nth = 1; ; nth += 1) {
    statements.fault = 'busy';
    statements.count.arm({ nth, lasting: false });
    const isReadable = await storage.tasks.read(aTaskId(1)).then(
      () => true,
      () => false,
    );
    const { isMet } = statements.count;
    statements.count.disarm();
    if (!isReadable) failed += 1;
    t.equal((await storage.tasks.stats()).statuses.queued, 0, `after its statement ${nth} failed, the next read works`);
    if (!isMet) break;
  }
  t.ok(failed >= 3, `${failed} reads failed: BEGIN, the reading and COMMIT`);
});

t.test('a lock of another program is a retryable error, and the retry works once it is released', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = closedAfter(t, sqliteStorage(file, { busyMs: 50 }));
  await storage.open();
  const program = await otherProgram(file);
  t.teardown(() => program.close());
  await program.all('BEGIN IMMEDIATE');
  const refused = await failsWith(t, commit(storage, inserting(aTask())), 'AC_STORE_RETRY', 'busy');
  t.match(refused?.message, 'Another program holds a lock');
  t.equal(await storage.healthy(), false);
  t.equal((await storage.tasks.stats()).statuses.queued, 0, 'reads continue');
  await program.all('ROLLBACK');
  await commit(storage, inserting(aTask()));
  t.equal((await storage.tasks.stats()).statuses.queued, 1);
});

t.test('a read that takes too long is interrupted, and the next one works', async (t) => {
  const clock = virtualClock();
  const engine = await sqliteEngine({
    driver: testedDriver,
    file: path.join(await emptyFolder(t), 'agentcom.db'),
    clock,
    log: silentLog,
  }).open();
  t.teardown(() => engine.close());
  let isOver = false;
  // This takes some seconds; node:sqlite continues it on a thread that is not reused, and the process does not end
  // before it.
  const long = 'WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 6000000) SELECT count(*) FROM c';
  const reading = engine.read((db) => db.raw(long)).finally(() => (isOver = true));
  const stopped = failsWith(t, reading, 'AC_STORE_UNAVAILABLE', 'stopped');
  // The statement runs on its own thread: time is advanced until it is seen to stop.
  while (!isOver) {
    clock.advance(1_000);
    await new Promise(setImmediate);
  }
  t.match((await stopped)?.message, 'exceeded its time limit');
  t.equal(clock.pending, 0, 'no timer is left');
  t.equal((await engine.read(async (db) => (await db('store').select('store_id')) as readonly Row[])).length, 1);
});

/** Mounts a small disk on a new folder for the duration of the test. */
async function smallDisk(t: Test, bytes: number): Promise<string> {
  const folder = await emptyFolder(t);
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder]);
  t.teardown(() => run('umount', ['-l', folder]));
  return folder;
}
const mayMount = await run('unshare', ['--mount', 'true']).then(
  () => true,
  () => false,
);

// The smaller one has no room for the commit log.
for (const bytes of [2_097_152, 8_388_608])
  t.test(
    `a full disk of ${bytes} bytes loses no commit, commits nothing else, and recovers`,
    { skip: mayMount ? false : 'no right to mount a small disk' },
    async (t) => {
      const folder = await smallDisk(t, bytes);
      const file = path.join(folder, 'agentcom.db');
      const messages: string[] = [];
      const storage = sqliteStorage(file, { log: { ...silentLog, error: (message) => messages.push(message) } });
      const { storeId } = await storage.open();
      await commit(storage, inserting(aTask()));
      const ballast = path.join(folder, 'ballast');
      const body = aBody({ description: 'x'.repeat(20_000) });
      const large = (n: number) => changes({ inserted: Array.from({ length: 20 }, (_, i) => ({ task: aTask({ id: aTaskId(100 * n + i) }), dueAtMs: null, body })) }); // prettier-ignore

      for (let round = 1; round <= 3; round += 1) {
        // It ends with an error, as intended: no room.
        await Promise.allSettled([run('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096', 'status=none'])]);
        const before = (await stat(ballast)).size;
        t.ok(before > 0, 'the disk is full');
        const failed = await storage.tasks.transact(`full-${round}`, (unit) => unit.save(large(round))).catch((thrown: unknown) => thrown);
        t.ok(AgentcomError.is(failed, 'AC_STORE_UNAVAILABLE') || AgentcomError.is(failed, 'AC_COMMIT_UNKNOWN'), String(failed));
        t.equal(messages.length, round, 'the failure was reported once');
        await rm(ballast);
        t.equal(await storage.tasks.committed(`full-${round}`), false, 'checked on a fresh connection');
        t.equal((await storage.tasks.stats()).statuses.queued, round, 'exactly what was committed before');
        await commit(storage, inserting(aTask({ id: aTaskId(5_000 + round) })));
      }
      await storage.close();
      await writeFile(ballast, '');
      t.equal((await storage.open()).storeId, storeId);
      t.equal((await storage.tasks.stats()).statuses.queued, 4);
      await storage.close();
    },
  );
