/** One transaction on SQLite's writing connection, and one read concurrent with it: what may fail where, and what that means. */
import type { Knex } from 'knex';
import type { StoreClock } from '../../../core/domain/store-clock.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { oneAtATime } from '../../../core/ports/timing/one-at-a-time.ts';
import type { EarlyTransaction, Turn } from '../../../core/ports/timing/turns.ts';
import type { CountChange, CountingStatementName, Row, SavedRows, StatementsRun, Transaction } from '../engine.ts';
import { acquire, evict, release, type Readers } from '../knex-readers.ts';
import type { CommitLog } from './commit-log/commit-log.ts';
import type { SqliteConnection } from './connection.ts';
import type { RawDatabase } from './sqlite-driver.ts';
import { breaksConnection, commitUnknown, isBusy, keyTaken, leftInTransaction, sqliteCodeOf, sqliteFailure } from './failures.ts';
import { countEvents } from '../rows/event-rows.ts';
import { parameterOf } from './parameters.ts';
import type { NewestRows } from './newest-rows.ts';
import { isKeyTaken, isRepeat, saveBatch } from './save.ts';
import { SQLITE_STATEMENTS } from './statements.ts';
import { isWrite, type StatementName } from '../statements.ts';

type AnyStatement = StatementName | CountingStatementName;

export interface SqliteWrite<T> {
  /** Gives the transaction its time. */
  readonly clock: Pick<StoreClock, 'nowMs' | 'removableMs'>;
  readonly file: string;
  readonly newest: NewestRows;
  /** Null: SQLite commits each batch. */
  readonly commitLog?: CommitLog | null | undefined;
  readonly batchId: string | null;
  readonly work: (transaction: Transaction) => Promise<T>;
  /** Its turn among the transactions, and the callbacks for that; without it, the transaction neither begins early nor lets the next one do so. */
  readonly early?: (Pick<Turn, 'isEarly' | 'requireBefore' | 'letNextBegin' | 'voidNext'> & EarlyTransaction) | undefined;
  /** Called when the connection must not be used any more. */
  readonly markBroken: (why: unknown) => void;
}

/**
 * reading ── the first statement that writes: BEGIN IMMEDIATE ──► writing ── the batch's id, COMMIT ──► ended
 *    ├── `saveAndCommit`: one statement ─────────────────────────────────────────────────────────────────►┤
 *    └── nothing was written ────────────────────────────────────────────────────────────────────────────►┘
 *
 * What was read stays valid without a transaction: nobody else writes, and transactions run one at a time. After the first failed statement
 * every other one is refused: SQLite may have rolled back by itself, and later statements would be committed on their own.
 */
export async function sqliteTransaction<T>(writer: SqliteConnection, write: SqliteWrite<T>): Promise<T> {
  const { file, clock, newest, commitLog, batchId, markBroken } = write;
  const { early } = write;
  let state = 'reading' as 'reading' | 'writing' | 'ended';
  let failure: AgentcomError | undefined;
  /** Set when the one-statement transaction failed and may have been committed nevertheless. */
  let unknown: AgentcomError | undefined;
  const inTurn = oneAtATime();

  const fail = (thrown: unknown, doing: string): AgentcomError => {
    if (breaksConnection(thrown)) markBroken(thrown);
    return (failure = isKeyTaken(thrown) ? keyTaken(thrown, file) : sqliteFailure(thrown, doing, file));
  };
  const requireAlive = (name: string): void => {
    if (failure !== undefined) throw failure;
    if (state === 'ended') throw new AgentcomError('AC_INTERNAL', `Cannot run ${name}: its transaction has ended.`);
  };
  const begin = async (): Promise<void> => {
    if (state === 'writing') return;
    try {
      await commitLog?.flush();
      await writer.change('BEGIN IMMEDIATE');
    } catch (thrown) {
      throw fail(thrown, 'begin a transaction');
    }
    state = 'writing';
  };
  const run = <R>(name: AnyStatement, work: () => Promise<R>): Promise<R> =>
    inTurn(async () => {
      await early?.requireBefore();
      requireAlive(name);
      if (isWrite(name)) await begin();
      newest.forgetSavedBy(name);
      try {
        await commitLog?.executed();
        return await work();
      } catch (thrown) {
        throw fail(thrown, `run ${name}`);
      }
    });
  const saveAndCommit = async (rows: SavedRows, counts: readonly CountChange[], isCertain: boolean): Promise<number | null> => {
    requireAlive('saveAndCommit');
    // Kept results are rare, so the statement that saves nearly every batch has no step for them.
    if (batchId === null || state === 'writing' || rows.saveKept.length + rows.dropKept.length > 0) return null;
    let last: number | null = null;
    // Made while the previous transaction is being saved.
    const batch = saveBatch(batchId, rows, counts);
    if (early?.isEarly === true) early.waiting();
    await early?.requireBefore();
    try {
      last = await newest.nextEvents(countEvents(rows.insertEvents));
      const cannotFail = commitLog ? (await newest.areNew(rows)) && isCertain : false;
      const saved = commitLog ? commitLog.save(batch, last, cannotFail) : writer.change(batch.sql, ...batch.parameters(last, null));
      early?.letNextBegin();
      early?.saving();
      await saved;
      state = 'ended';
      return last;
    } catch (thrown) {
      newest.forget();
      if (isRepeat(thrown)) {
        early?.voidNext();
        return null;
      }
      const isUnknown = commitLog ? sqliteCodeOf(thrown) === undefined : breaksConnection(thrown);
      if (last === null || !isUnknown) throw fail(thrown, 'save a batch');
      // As with a failed COMMIT: the work is complete, and the caller finds out whether it was committed.
      markBroken(thrown);
      state = 'ended';
      unknown = commitUnknown(thrown, batchId, file);
      return last;
    }
  };
  const statements: StatementsRun<AnyStatement> = {
    rows: (name, parameter): Promise<readonly Row[]> => run(name, () => writer.rows(SQLITE_STATEMENTS[name], textOf(name, parameter))),
    change: (name, parameter) => run(name, () => writer.change(SQLITE_STATEMENTS[name], textOf(name, parameter))),
  };
  const transaction: Transaction = {
    ...statements,
    nowMs: clock.nowMs(),
    removableMs: clock.removableMs(),
    cluster: null,
    counting: statements,
    exclusive: newest,
    readAhead: commitLog ? (name, parameter) => commitLog.read(() => writer.rows(SQLITE_STATEMENTS[name], textOf(name, parameter))) : null,
    saveAndCommit,
  };
  const rollBack = async (): Promise<void> => {
    state = 'ended';
    try {
      await writer.change('ROLLBACK');
    } catch (thrown) {
      markBroken(thrown);
    }
  };

  let answer: T;
  try {
    answer = await write.work(transaction);
    await inTurn(() => Promise.resolve()); // Statements that were issued but not awaited.
    await early?.requireBefore();
    if (failure !== undefined) throw failure as AgentcomError;
    // Unless `saveAndCommit` has done it, and only if anything was written.
    if (state === 'writing' && batchId !== null) await transaction.change('recordBatch', batchId);
  } catch (thrown) {
    // After the statements that still run: one that began the transaction meanwhile would leave it open.
    await inTurn(async () => {
      if (state === 'writing') await rollBack();
      state = 'ended';
    });
    throw thrown;
  }
  if (unknown !== undefined) throw unknown as AgentcomError;
  const mustCommit = state === 'writing';
  state = 'ended';
  if (!mustCommit) return answer;
  try {
    await writer.change('COMMIT');
  } catch (thrown) {
    if (!breaksConnection(thrown)) {
      await rollBack();
      throw sqliteFailure(thrown, 'commit', file);
    }
    markBroken(thrown);
    throw commitUnknown(thrown, batchId, file);
  }
  return answer;
}

const textOf = (name: AnyStatement, parameter: unknown): string | undefined =>
  parameter === undefined ? undefined : parameterOf(name, parameter);

/** The interval between two interruptions of a read that continues with its next statement. */
const INTERRUPT_AGAIN_MS = 50;

export interface SqliteRead<T> {
  readonly file: string;
  readonly clock: Clock;
  /** Any statement that runs after this time is interrupted, and so is each one after it. */
  readonly readMs: number;
  readonly work: (snapshot: Knex) => Promise<T>;
  /** It runs a single statement, which sees one committed state by itself. */
  readonly isSingleStatement: boolean;
  /** Called when it has a connection; a read that fails before that has run nothing. */
  readonly begin: () => void;
  /** Called when the connections must not be used any more. */
  readonly markBroken: (why: unknown) => void;
}

/**
 * Reads one committed state, within a time limit. A connection on which BEGIN, COMMIT or ROLLBACK failed may still be in the middle of a
 * transaction, and would return to its pool like that: it is not used again.
 */
export async function sqliteRead<T>(readers: Readers, options: SqliteRead<T>): Promise<T> {
  const { file, clock, readMs, work, isSingleStatement, begin, markBroken } = options;
  let state = 'beginning' as 'beginning' | 'reading' | 'ending';
  let raw: RawDatabase | undefined;
  const giveUp = (left: RawDatabase | undefined, why: unknown): void => {
    if (left !== undefined) evict(left, why);
    markBroken(why);
  };
  try {
    raw = await acquire<RawDatabase>(readers.pool);
    begin();
    const snapshot = readers.on(raw);
    if (!isSingleStatement) await snapshot.raw('BEGIN');
    state = 'reading';
    const answer = await withinTime(raw, { clock, readMs }, () => work(snapshot)).catch(async (thrown: unknown) => {
      if (!isSingleStatement) await snapshot.raw('ROLLBACK').catch((why: unknown) => giveUp(raw, why));
      throw thrown;
    });
    state = 'ending';
    if (!isSingleStatement) await snapshot.raw('COMMIT');
    return answer;
  } catch (thrown) {
    const ofSqlite = sqliteCodeOf(thrown) !== undefined;
    const isLeftInTransaction = ofSqlite && (state === 'ending' || (state === 'beginning' && !isBusy(thrown)));
    if (isLeftInTransaction) giveUp(raw, thrown);
    else if (breaksConnection(thrown)) markBroken(thrown);
    throw isLeftInTransaction ? leftInTransaction(thrown, file) : sqliteFailure(thrown, 'read', file);
  } finally {
    if (raw !== undefined) await release(readers.pool, raw);
  }
}

/** Interrupts the statement of this connection that runs when the time limit is reached, and each one after it. */
async function withinTime<T>(raw: RawDatabase, { clock, readMs }: { clock: Clock; readMs: number }, work: () => Promise<T>): Promise<T> {
  const interrupt = (): void => {
    raw.interrupt();
    timer = clock.after(INTERRUPT_AGAIN_MS, interrupt);
  };
  let timer = clock.after(readMs, interrupt);
  try {
    return await work();
  } finally {
    timer.cancel();
  }
}
