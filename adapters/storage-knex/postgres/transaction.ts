/** One transaction on the writing connection: what may fail where, and what that means. */
import type { StoreClock } from '../../../core/domain/store-clock.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { EarlyTransaction, Turn } from '../../../core/ports/timing/turns.ts';
import type { SavedRows, StatementsRun, Transaction } from '../engine.ts';
import type { TransactionStart, Parameter, PostgresConnection } from './connection.ts';
import type { Exclusive } from './exclusive.ts';
import { commitUnknown, DEADLOCK, isRefusal, keyTaken, postgresFailure, savedBefore, sqlStateOf } from './failures.ts';
import { isRepeat, lastEventNumber, saveBatch, savedParameters } from './save-function.ts';
import { POSTGRES_LOCKS, POSTGRES_STATEMENTS, unlocked, UPSERT_KEYS, type PostgresStatements } from './statements.ts';
import { countEvents } from '../rows/event-rows.ts';
import { parametersOf } from './binary-parameters.ts';
import { isWrite } from '../statements.ts';

export interface PostgresWrite<T> {
  readonly place: string;
  readonly batchId: string | null;
  readonly work: (transaction: Transaction) => Promise<T>;
  /** Called when the connection cannot be used any more. */
  readonly markBroken: (why: unknown) => void;
  /** Called if the outcome of a batch that was sent as one statement is unknown: the server may not even have received it yet. */
  readonly inDoubt?: ((batchId: string) => void) | undefined;
  /** Called when the server ended the transaction in a deadlock. */
  readonly deadlocked?: (() => void) | undefined;
  /** The store's time. */
  readonly clock: Pick<StoreClock, 'nowMs' | 'removableMs'>;
  /** Whether the server's time was read a moment ago; otherwise it must be waited for. */
  readonly isClockKnown: () => boolean;
  /** Called with the time that the server reported. */
  readonly begun: (begun: TransactionStart) => void;
  /** Called after a commit with the number of its newest event. */
  readonly committed?: ((lastEvent: number) => void) | undefined;
  /** Set while nobody else writes to the store. */
  readonly exclusive?: Exclusive | null | undefined;
  /** Whether a batch can be saved by one statement although others write to the store. Default: false. */
  readonly savesAtOnce?: boolean | undefined;
  /** Called when nothing was saved because some of it is stored already. */
  readonly repeated?: (() => void) | undefined;
  /** Its turn among the transactions, and the callbacks for that; without it, the transaction neither begins early nor lets the next one do so. */
  readonly early?: (Pick<Turn, 'isEarly' | 'requireBefore' | 'letNextBegin' | 'voidNext'> & EarlyTransaction) | undefined;
}

/**
 * The statements of a hub that has the store to itself: nothing is locked, and inserting a key detects that it belongs to other tasks,
 * since it may not have been looked up.
 */
const EXCLUSIVE_STATEMENTS: PostgresStatements = {
  ...(Object.fromEntries(Object.entries(POSTGRES_STATEMENTS).map(([name, text]) => [name, unlocked(text)])) as PostgresStatements),
  insertKeys: UPSERT_KEYS,
};

/**
 * BEGIN, the work, the batch's id, COMMIT. Each statement sees what was committed before it began; what must not change until the commit is
 * locked. If nothing was written it ends in a ROLLBACK: locks alone would make a COMMIT wait for the disk. After the first failed statement
 * every other one is refused, as Postgres does.
 *
 * It rarely waits for a response: if the server's time is known, reads are sent right behind the BEGIN, and statements that are issued
 * together are sent together. Writes wait for the BEGIN, since they would be committed on their own if it had failed.
 *
 * While the hub has the store to itself, what was read stays valid without a transaction, so BEGIN is only sent before the first statement
 * that writes; `saveAndCommit` is a transaction of its own. A transaction that sent nothing to the server checks that the connection still
 * exists, since what it was decided on is valid only as long as that.
 */
export async function postgresTransaction<T>(writer: PostgresConnection, write: PostgresWrite<T>): Promise<T> {
  const { place, batchId, markBroken, early } = write;
  const exclusive = write.exclusive ?? null;
  const texts = exclusive === null ? POSTGRES_STATEMENTS : EXCLUSIVE_STATEMENTS;
  const prefix = exclusive === null ? '' : 'exclusive ';
  let state: 'open' | 'ended' = 'open';
  /** Whether the server has responded since this began. */
  let isVouchedFor = exclusive === null;
  /** Set when `saveAndCommit` failed and may have been committed nevertheless. */
  let unknown: AgentcomError | undefined;
  let failure: AgentcomError | undefined;
  let hasBegun = false;
  let hasWritten = false;
  /** Whether a COMMIT was sent. */
  let isCommitting = false;
  let lastEvent: number | null = null;
  /** What the first statement that writes waits for, and each that was issued after it. */
  let held: Promise<unknown> | null = null;
  let recorded: Promise<number> | null = null;

  const fail = (thrown: unknown, doing: string): AgentcomError => {
    if (!isRefusal(thrown)) markBroken(thrown);
    if (sqlStateOf(thrown) === DEADLOCK) write.deadlocked?.();
    return (failure ??= postgresFailure(thrown, doing, place));
  };
  const requireAlive = (name: string): void => {
    if (state === 'ended') throw new AgentcomError('AC_INTERNAL', `Cannot run ${name}: its transaction has ended.`);
    if (failure !== undefined) throw failure;
  };
  const encoded = (name: keyof PostgresStatements, parameter: unknown): readonly Parameter[] => {
    try {
      return parametersOf(name, parameter);
    } catch (thrown) {
      if (AgentcomError.is(thrown)) failure ??= thrown;
      throw thrown;
    }
  };
  const ask = async <R>(
    name: keyof PostgresStatements,
    parameter: unknown,
    send: (sql: string, given: readonly Parameter[]) => Promise<R>,
  ): Promise<R> => {
    requireAlive(name);
    try {
      if (isWrite(name)) held ??= begun ?? beginAfter();
      if (held !== null || early?.isEarly === true) {
        await (held ?? early?.requireBefore());
        requireAlive(name);
      }
      const given = encoded(name, parameter);
      const lock = exclusive === null ? POSTGRES_LOCKS[name] : undefined;
      const locked = lock === undefined ? Promise.resolve() : writer.rows(lock, given, `lock ${name}`);
      const [answer] = await Promise.all([send(texts[name], given), locked]);
      isVouchedFor = true;
      return answer;
    } catch (thrown) {
      throw AgentcomError.is(thrown) ? thrown : fail(thrown, `run ${name}`);
    }
  };
  const change = (name: keyof PostgresStatements, parameter: unknown): Promise<number> =>
    ask(name, parameter, (sql, given) => writer.change(sql, given, prefix + name));
  const record = async (): Promise<void> => {
    if (batchId !== null) await (recorded ??= change('recordBatch', batchId));
  };
  const statements: StatementsRun<keyof PostgresStatements> = {
    async rows(name, parameter) {
      const rows = await ask(name, parameter, (sql, given) => writer.rows(sql, given, prefix + name));
      hasWritten ||= rows.length > 0 && isWrite(name);
      if (name === 'insertEvents') lastEvent = Math.max(lastEvent ?? 0, ...rows.map((row) => Number(row['id'])));
      return rows;
    },
    async change(name, parameter) {
      const changed = await change(name, parameter);
      hasWritten ||= changed > 0;
      if (exclusive !== null && name === 'insertKeys' && changed !== (parameter as readonly unknown[]).length)
        throw (failure ??= keyTaken(place));
      return changed;
    },
  };
  /** In the transaction that has locked the rows. There is nothing left to decide before the COMMIT, which is sent right behind. */
  const saveAmongOthers = async (rows: SavedRows, batchId: string): Promise<number> => {
    try {
      const saved = savedParameters(rows);
      await begun;
      const [answer, commit] = await Promise.allSettled([saveBatch(writer, batchId, null, saved), sendCommit()]);
      if (answer.status === 'rejected') throw answer.reason;
      if (commit.status === 'rejected') unknown = uncommitted(commit.reason);
      else if (rows.insertEvents.length > 0) write.committed?.(answer.value + countEvents(rows.insertEvents));
      return answer.value;
    } catch (thrown) {
      if (AgentcomError.is(thrown)) throw (failure ??= thrown);
      if (isRepeat(thrown)) {
        write.repeated?.();
        throw (failure ??= savedBefore(place));
      }
      if (!isCommitting || isRefusal(thrown)) throw fail(thrown, 'save a batch');
      // Both may still arrive at the server. The work is complete, and the caller finds out whether it was committed; then nothing needs the numbers.
      write.inDoubt?.(batchId);
      unknown = uncommitted(thrown);
      return 0;
    }
  };
  const sendCommit = (): Promise<void> => {
    state = 'ended';
    isCommitting = true;
    return writer.commit();
  };
  /** A refusal means that nothing was committed. Any other failure, such as the end of the server, may have come after the commit. */
  const uncommitted = (thrown: unknown): AgentcomError => {
    if (AgentcomError.is(thrown) || isRefusal(thrown)) return postgresFailure(thrown, 'commit', place);
    markBroken(thrown);
    return commitUnknown(thrown, batchId, place);
  };
  const saveAndCommit = async (rows: SavedRows): Promise<number | null> => {
    requireAlive('saveAndCommit');
    // Kept results are rare, so the function that saves nearly every batch has no steps for them.
    if (batchId === null || rows.saveKept.length + rows.dropKept.length > 0) return null;
    if (exclusive === null) return write.savesAtOnce === true ? saveAmongOthers(rows, batchId) : null;
    if (held !== null) return null;
    let last: number | null = null;
    try {
      // Made while the previous transaction is being saved.
      const saved = savedParameters(rows);
      if (early?.isEarly === true) early.waiting();
      await early?.requireBefore();
      last = exclusive.lastEvent ??= await lastEventNumber(writer);
      exclusive.lastEvent = last + countEvents(rows.insertEvents);
      const answer = saveBatch(writer, batchId, last, saved);
      early?.letNextBegin();
      early?.saving();
      await answer;
      state = 'ended';
      write.committed?.(last + countEvents(rows.insertEvents));
      return last;
    } catch (thrown) {
      exclusive.lastEvent = null;
      if (isRepeat(thrown)) {
        early?.voidNext();
        return null;
      }
      if (AgentcomError.is(thrown)) throw (failure ??= thrown);
      if (last === null || isRefusal(thrown)) throw fail(thrown, 'save a batch');
      // As with a failed COMMIT: the work is complete, and the caller finds out whether it was committed.
      write.inDoubt?.(batchId);
      state = 'ended';
      unknown = uncommitted(thrown);
      return last;
    }
  };
  const transactionNow = (): Transaction => ({
    ...statements,
    nowMs: write.clock.nowMs(),
    removableMs: write.clock.removableMs(),
    cluster: statements,
    counting: null,
    exclusive,
    readAhead:
      exclusive === null ? null : async (name, parameter) => writer.rows(texts[name], parametersOf(name, parameter), prefix + name),
    record,
    saveAndCommit,
  });
  const rollBack = async (): Promise<void> => {
    state = 'ended';
    if (writer.isLost || !hasBegun || isCommitting) return;
    try {
      await writer.change('ROLLBACK');
    } catch (thrown) {
      markBroken(thrown);
    }
  };

  const begin = (): Promise<TransactionStart> => {
    hasBegun = true;
    const begun = writer.begin();
    begun.then(write.begun, (thrown: unknown) => void fail(thrown, 'begin a transaction'));
    return begun;
  };
  /** After the previous transaction, which may still have statements to send. */
  const beginAfter = async (): Promise<TransactionStart> => {
    await early?.requireBefore();
    requireAlive('BEGIN');
    // The statements that follow number the events themselves, so the known number is no longer valid.
    if (exclusive !== null) exclusive.lastEvent = null;
    return begin();
  };
  const readClock = async (): Promise<void> => {
    await early?.requireBefore();
    try {
      write.begun(await writer.readClock());
      isVouchedFor = true;
    } catch (thrown) {
      throw fail(thrown, 'ask for the time');
    }
  };
  const begun = exclusive === null ? begin() : null;
  let answer: T;
  try {
    // The handler of the BEGIN was attached before this, so the time is known afterwards.
    if (!write.isClockKnown()) await (begun ?? readClock());
    answer = await write.work(transactionNow());
    await (begun ?? held);
    await early?.requireBefore();
    if (!isVouchedFor && state === 'open') await readClock();
    if (hasWritten && !isCommitting && failure === undefined) await record();
  } catch (thrown) {
    await rollBack();
    throw failure ?? thrown;
  }
  if (unknown !== undefined) throw unknown as AgentcomError;
  if (failure !== undefined || !hasWritten) await rollBack();
  if (failure !== undefined) throw failure as AgentcomError;
  if (!hasWritten || isCommitting) return answer;
  try {
    await sendCommit();
  } catch (thrown) {
    throw uncommitted(thrown);
  }
  if (lastEvent !== null) write.committed?.(lastEvent);
  return answer;
}
