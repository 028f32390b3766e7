/**
 * The order in which a transaction on Postgres sends its statements, and what happens when one fails: on a connection
 * that only records them.
 */
import t from 'tap';
import type { Row, Transaction } from '../../adapters/storage-knex/engine.ts';
import type { TransactionStart, PostgresConnection } from '../../adapters/storage-knex/postgres/connection.ts';
import { postgresTransaction, type PostgresWrite } from '../../adapters/storage-knex/postgres/transaction.ts';
import type { ErrorCode } from '../../core/errors/codes.ts';
import { failsWith } from '../product/contracts/storage/storage-room.ts';
import { anAgentId, aTaskId } from '../product/contracts/fixtures.ts';
import { NO_ROWS } from '../adapters/suites/no-rows.ts';
import { gate } from '../rig/gate.ts';

type Fault = { readonly code?: string; readonly severity?: string };

/** A store's clock that stands still. */
const at = (nowMs: number) => ({ nowMs: () => nowMs, removableMs: () => nowMs });
const unheard = { clock: at(0), isClockKnown: () => false };

/** A connection that only fails its `failAt`-th statement; statements are recorded as received. */
function failingConnection(failAt: number, fault: Fault) {
  const statements: string[] = [];
  const step = async <T>(sql: string, answer: T): Promise<T> => {
    statements.push(sql.trim().split(/\s+/).slice(0, 2).join(' '));
    if (statements.length === failAt) throw Object.assign(new Error('made up'), fault);
    return answer;
  };
  const connection: PostgresConnection = {
    rows: (sql) => step<readonly Row[]>(sql, []),
    change: (sql) => step(sql, 1),
    begin: () => step('BEGIN ISOLATION', { serverMs: 0, markMs: null }),
    readClock: () => step('SELECT clock', { serverMs: 0, markMs: null }),
    listen: () => step('LISTEN', undefined),
    patiently: (work) => work(),
    commit: () => step('COMMIT', undefined),
    isLost: false,
    backend: { pid: 0, startedAt: '' },
    close: async () => undefined,
  };
  return { connection, statements };
}

/** A connection whose newest BEGIN is answered when the test says so, with the time 7 or an error. */
function slowConnection() {
  const { connection, statements } = failingConnection(0, {});
  let settle: { readonly resolve: (begun: TransactionStart) => void; readonly reject: (failure: Error) => void };
  const slow: PostgresConnection = {
    ...connection,
    begin: () =>
      new Promise<TransactionStart>((resolve, reject) => {
        statements.push('BEGIN');
        settle = { resolve, reject };
      }),
  };
  return {
    slow,
    statements,
    begins: () => settle.resolve({ serverMs: 7, markMs: null }),
    failsToBegin: (failure: Error) => settle.reject(failure),
  };
}

t.test('each statement of a transaction fails in turn', async (t) => {
  const ERROR = 'ERROR';
  const away: ErrorCode = 'AC_STORE_UNAVAILABLE';
  const faults: readonly { readonly fault: Fault; readonly code: ErrorCode; readonly lost: boolean }[] = [
    ...['40001', '40P01', '55P03', '23505'].map((code) => ({
      fault: { code, severity: ERROR },
      code: 'AC_STORE_RETRY' as const,
      lost: false,
    })),
    ...['53100', '53200', '58030', '57014', '25006', '42501', '42P01', 'XX001'].map((code) => ({ fault: { code, severity: ERROR }, code: away, lost: false })), // prettier-ignore
    ...['57P01', '57P02', '25P03', '08006'].map((code) => ({ fault: { code, severity: 'FATAL' }, code: away, lost: true })),
    { fault: { code: 'ECONNRESET' }, code: away, lost: true },
    { fault: {}, code: away, lost: true },
    { fault: { code: '22P02', severity: ERROR }, code: 'AC_INTERNAL', lost: false },
  ];
  const work = async (transaction: Transaction): Promise<string> => {
    await transaction.rows('loadTasks', []);
    await transaction.change('insertTasks', []);
    return 'done';
  };
  // BEGIN, load, insert, record the batch, COMMIT
  const COMMIT = 5;
  for (const { fault, code, lost } of faults)
    for (let failAt = 1; failAt <= COMMIT; failAt += 1) {
      const { connection, statements } = failingConnection(failAt, fault);
      const broken: unknown[] = [];
      const answer = postgresTransaction(connection, {
        place: 'x',
        batchId: 'b',
        work,
        markBroken: (why) => broken.push(why),
        ...unheard,
        begun: () => undefined,
      });
      const what = `${JSON.stringify(fault)} at statement ${failAt}`;
      await failsWith(t, answer, lost && failAt === COMMIT ? 'AC_COMMIT_UNKNOWN' : code, what);
      t.equal(broken.length > 0, lost, `${what}: ${lost ? 'another connection is made' : 'the connection is still used'}`);
      t.equal(statements.at(-1) === 'ROLLBACK', failAt < COMMIT, `${what}: ${statements.join(', ')}`);
    }
  const { connection, statements } = failingConnection(0, {});
  t.equal(
    await postgresTransaction(connection, {
      place: 'x',
      batchId: 'b',
      work,
      markBroken: () => t.fail('no reason'),
      ...unheard,
      begun: () => undefined,
    }),
    'done',
  );
  t.strictSame(statements, ['BEGIN ISOLATION', 'SELECT id,', 'INSERT INTO', 'WITH old', 'COMMIT'], 'the batch is the last before COMMIT');
});

t.test('a transaction that wrote nothing ends without a COMMIT, which would wait for the disk', async (t) => {
  const ended = async (changed: number, work: (transaction: Transaction) => Promise<unknown>): Promise<readonly string[]> => {
    const { connection, statements } = failingConnection(0, {});
    const unchanging = { ...connection, change: async (sql: string) => Math.min(changed, await connection.change(sql)) };
    await postgresTransaction(unchanging, {
      place: 'x',
      batchId: 'b',
      work,
      markBroken: () => t.fail('no reason'),
      ...unheard,
      begun: () => undefined,
    });
    return statements.slice(-2);
  };
  t.strictSame(await ended(0, async () => 'nothing'), ['BEGIN ISOLATION', 'ROLLBACK']);
  t.strictSame(await ended(0, (transaction) => transaction.rows('loadTasks', [])), ['SELECT id,', 'ROLLBACK']);
  t.strictSame(await ended(0, (transaction) => transaction.change('clearStops', [])), ['DELETE FROM', 'ROLLBACK']);
  t.strictSame(await ended(1, (transaction) => transaction.change('clearStops', [])), ['WITH old', 'COMMIT']);
});

t.test('reads are sent behind an unanswered BEGIN, and writes wait for it', async (t) => {
  const { slow, statements, begins, failsToBegin } = slowConnection();
  const run = (begun: (begun: TransactionStart) => void = () => undefined) =>
    postgresTransaction(slow, {
      place: 'x',
      batchId: 'b',
      work: async (transaction) => {
        await transaction.rows('loadTasks', []);
        const requests = [
          transaction.change('insertTasks', []),
          transaction.rows('loadAgents', []),
          transaction.change('insertBodies', []),
        ];
        await Promise.all<unknown>(requests);
        return transaction.nowMs;
      },
      markBroken: () => 'reported by the failure too',
      clock: at(5),
      isClockKnown: () => true,
      begun,
    });
  const messages: number[] = [];
  const well = run(({ serverMs }) => messages.push(serverMs));
  await new Promise(setImmediate);
  t.strictSame(statements.splice(0), ['BEGIN', 'SELECT id,'], 'the first write waits, and so does everything after it');
  begins();
  t.equal(await well, 5, 'with the time known before');
  t.strictSame(messages, [7]);
  t.strictSame(statements.splice(0), ['INSERT INTO', 'SELECT state,', 'INSERT INTO', 'WITH old', 'COMMIT'], 'in their order');

  const failed = run();
  await new Promise(setImmediate);
  failsToBegin(Object.assign(new Error('made up'), { code: '57014', severity: 'ERROR' }));
  await failsWith(t, failed, 'AC_STORE_UNAVAILABLE', 'the BEGIN failed');
  t.strictSame(statements, ['BEGIN', 'SELECT id,', 'ROLLBACK'], 'nothing was written outside of a transaction');
});

t.test('if the work fails while one of its statements still waits, that statement is no longer sent', async (t) => {
  const { slow, statements, begins } = slowConnection();
  let pending: Promise<unknown> = Promise.resolve();
  const ended = postgresTransaction(slow, {
    place: 'x',
    batchId: 'b',
    work: async (transaction) => {
      pending = failsWith(t, transaction.change('insertTasks', []), 'AC_INTERNAL', 'the statement is refused');
      throw new Error('of its own');
    },
    markBroken: () => t.fail('no reason'),
    clock: at(5),
    isClockKnown: () => true,
    begun: () => undefined,
  });
  const failed = t.rejects(ended, { message: 'of its own' });
  await new Promise(setImmediate);
  begins();
  await Promise.all([failed, pending]);
  t.strictSame(statements, ['BEGIN', 'ROLLBACK']);
});

t.test('R2: next to other hubs, a batch is saved by one statement with its COMMIT right behind', async (t) => {
  const run = (connection: PostgresConnection, more: Partial<PostgresWrite<unknown>> = {}, rows = NO_ROWS) =>
    postgresTransaction(connection, {
      place: 'x',
      batchId: 'b',
      work: async (transaction) => {
        await transaction.rows('loadTasks', []);
        return transaction.saveAndCommit?.(rows, [], true);
      },
      markBroken: () => undefined,
      clock: at(5),
      isClockKnown: () => true,
      begun: () => undefined,
      savesAtOnce: true,
      ...more,
    });
  const all = ['BEGIN ISOLATION', 'SELECT id,', 'SELECT pg_temp.save_batch($1::text,', 'COMMIT'];
  const { connection, statements } = failingConnection(0, {});
  const before: number[] = [];
  const slowly: PostgresConnection = {
    ...connection,
    rows: async (sql) => {
      const answer = await connection.rows(sql);
      await new Promise(setImmediate);
      if (sql.includes('save_batch')) before.push(statements.length);
      return answer;
    },
  };
  await run(slowly);
  t.strictSame(statements, all);
  t.strictSame(before, [all.length], 'the COMMIT does not wait for the response');

  const kept = { ...NO_ROWS, dropKept: [{ taskId: aTaskId(1), generation: 1, agentId: anAgentId() }] };
  for (const [what, more, rows] of [
    ['a connection without the function', { savesAtOnce: false }, NO_ROWS],
    ['a kind that the function does not save', {}, kept],
  ] as const) {
    const steps = failingConnection(0, {});
    t.equal(await run(steps.connection, more, rows as typeof NO_ROWS), null, what);
    t.strictSame(steps.statements, ['BEGIN ISOLATION', 'SELECT id,', 'ROLLBACK'], what);
  }

  const [SAVE, COMMIT] = [3, 4];
  for (const [failAt, fault, code, isLost, isInDoubt] of [
    [SAVE, { code: '53100', severity: 'ERROR' }, 'AC_STORE_UNAVAILABLE', false, false],
    [SAVE, { code: '40P01', severity: 'ERROR' }, 'AC_STORE_RETRY', false, false],
    [SAVE, { code: 'AC001', severity: 'ERROR' }, 'AC_INTERNAL', false, false],
    [SAVE, { code: 'AC004', severity: 'ERROR' }, 'AC_STORE_RETRY', false, false],
    [SAVE, { code: '57P01', severity: 'FATAL' }, 'AC_COMMIT_UNKNOWN', true, true],
    [SAVE, { code: 'ECONNRESET' }, 'AC_COMMIT_UNKNOWN', true, true],
    [COMMIT, { code: '40001', severity: 'ERROR' }, 'AC_STORE_RETRY', false, false],
    [COMMIT, { code: '57P01', severity: 'FATAL' }, 'AC_COMMIT_UNKNOWN', true, false],
    [COMMIT, { code: 'ECONNRESET' }, 'AC_COMMIT_UNKNOWN', true, false],
  ] as const) {
    const what = `${fault.code} at ${failAt === SAVE ? 'the statement' : 'the COMMIT'}`;
    const failing = failingConnection(failAt, fault);
    const [broken, doubted, repeated]: unknown[][] = [[], [], []];
    const given = {
      markBroken: (why: unknown) => void broken?.push(why),
      inDoubt: (batchId: string) => void doubted?.push(batchId),
      repeated: () => void repeated?.push(true),
    };
    await failsWith(t, run(failing.connection, given), code, what);
    t.equal(Number(broken?.length) > 0, isLost, `${what}: ${isLost ? 'another connection is made' : 'the connection is still used'}`);
    t.strictSame(
      doubted,
      isInDoubt ? ['b'] : [],
      `${what}: ${isInDoubt ? 'it may still arrive' : 'its outcome is known, or in the response'}`,
    );
    t.equal(repeated?.length, fault.code === 'AC004' ? 1 : 0, `${what}: whether it can be saved statement by statement`);
    t.strictSame(failing.statements, all, `${what}: nothing follows`);
  }
});

t.test('with exclusive use: one statement, or a transaction that begins with the first write', async (t) => {
  const run = (
    connection: PostgresConnection,
    work: (transaction: Transaction) => Promise<unknown>,
    broken: unknown[] = [],
    early?: PostgresWrite<unknown>['early'],
  ) =>
    postgresTransaction(connection, {
      place: 'x',
      batchId: 'b',
      work,
      markBroken: (why) => broken.push(why),
      clock: at(5),
      isClockKnown: () => true,
      begun: () => undefined,
      exclusive: { connection, lastEvent: 7 },
      early,
    });
  const sent = async (work: (transaction: Transaction) => Promise<unknown>): Promise<readonly string[]> => {
    const { connection, statements } = failingConnection(0, {});
    await run(connection, work);
    return statements;
  };
  t.strictSame(await sent(async ({ saveAndCommit }) => saveAndCommit?.(NO_ROWS, [], true)), ['SELECT pg_temp.save_batch($1::text,']);
  t.strictSame(await sent(({ rows }) => rows('loadTasks', [])), ['SELECT id,'], 'reads need no transaction');
  t.strictSame(await sent(async () => 'nothing'), ['SELECT clock'], 'a decision based only on the cache is verified');
  t.strictSame(
    await sent(({ change }) => change('insertTasks', [])),
    ['BEGIN ISOLATION', 'INSERT INTO', 'WITH old', 'COMMIT'],
    'in single statements',
  );
  t.strictSame(
    await sent(async ({ change, saveAndCommit }) => {
      await change('insertTasks', []);
      t.equal(await saveAndCommit?.(NO_ROWS, [], true), null, 'not while a transaction is open');
    }),
    ['BEGIN ISOLATION', 'INSERT INTO', 'WITH old', 'COMMIT'],
  );

  for (const [fault, code, isLost] of [
    [{ code: '53100', severity: 'ERROR' }, 'AC_STORE_UNAVAILABLE', false],
    [{ code: '40001', severity: 'ERROR' }, 'AC_STORE_RETRY', false],
    [{ code: 'AC001', severity: 'ERROR' }, 'AC_INTERNAL', false],
    [{ code: 'AC003', severity: 'ERROR' }, 'AC_STORE_RETRY', false],
    [{ code: '57P01', severity: 'FATAL' }, 'AC_COMMIT_UNKNOWN', true],
    [{ code: 'ECONNRESET' }, 'AC_COMMIT_UNKNOWN', true],
  ] as const) {
    const { connection, statements } = failingConnection(1, fault);
    const broken: unknown[] = [];
    await failsWith(
      t,
      run(connection, async ({ saveAndCommit }) => saveAndCommit?.(NO_ROWS, [], true), broken),
      code,
      fault.code,
    );
    t.equal(broken.length > 0, isLost, fault.code);
    t.equal(statements.length, 1, 'nothing is rolled back if nothing began');
  }

  const { connection, statements } = failingConnection(0, {});
  const { opened: before, open: endBefore } = gate();
  const early = {
    isEarly: true,
    requireBefore: () => before,
    letNextBegin: () => undefined,
    voidNext: () => undefined,
    waiting: () => undefined,
    saving: () => undefined,
  };
  let pending: Promise<unknown> = Promise.resolve();
  const failing = run(
    connection,
    async ({ change }) => {
      pending = failsWith(t, change('insertTasks', []), 'AC_INTERNAL', 'it is refused');
      throw new Error('of its own');
    },
    [],
    early,
  );
  await t.rejects(failing, { message: 'of its own' });
  endBefore();
  await pending;
  t.strictSame(statements, [], 'no transaction is left open on the connection');
});
