/** One transaction on the writing connection: what may fail where, and what that means. */
import type { StoreClock } from '../../../core/domain/store-clock.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { StatementsRun, Transaction } from '../engine.ts';
import type { Begun, Parameter, PostgresConnection } from './connection.ts';
import { commitUnknown, DEADLOCK, isRefusal, postgresFailure, sqlStateOf } from './failures.ts';
import { POSTGRES_LOCKS, POSTGRES_STATEMENTS, type PostgresStatements } from './statements.ts';
import { parametersOf } from './binary-parameters.ts';
import { isWrite } from '../statements.ts';

export interface PostgresWrite<T> {
  readonly place: string;
  readonly batchId: string | null;
  readonly work: (transaction: Transaction) => Promise<T>;
  /** Called when the connection cannot be used any more. */
  readonly markBroken: (why: unknown) => void;
  /** Called when the server ended the transaction in a deadlock. */
  readonly deadlocked?: (() => void) | undefined;
  /** The store's time. */
  readonly clock: Pick<StoreClock, 'nowMs' | 'removableMs'>;
  /** Whether the server's time was heard a moment ago; otherwise it is to be waited for. */
  readonly isClockKnown: () => boolean;
  /** Called with what the server said at the begin. */
  readonly begun: (begun: Begun) => void;
}

/**
 * BEGIN, the work, the batch's id, COMMIT. Each statement sees what was committed before it began; what must stay true until the commit is locked. Where nothing was written it ends in a ROLLBACK: locks alone make a
 * COMMIT that waits for the disk. After the first statement that failed every other is refused, as Postgres does.
 *
 * Little waits for an answer: reads go right behind the BEGIN where the server's time is known, and so does whatever is asked for
 * together. What writes waits for the BEGIN, since it would be committed alone if that had failed.
 */
export async function postgresTransaction<T>(writer: PostgresConnection, write: PostgresWrite<T>): Promise<T> {
  const { place, batchId, markBroken } = write;
  let state: 'open' | 'ended' = 'open';
  let failure: AgentcomError | undefined;
  let hasWritten = false;
  /** What the first that writes waits for, and each that was asked for after it. */
  let held: Promise<unknown> | null = null;
  let recorded: Promise<number> | null = null;

  const fail = (thrown: unknown, doing: string): AgentcomError => {
    if (!isRefusal(thrown)) markBroken(thrown);
    if (sqlStateOf(thrown) === DEADLOCK) write.deadlocked?.();
    return (failure ??= postgresFailure(thrown, doing, place));
  };
  const requireAlive = (name: keyof PostgresStatements): void => {
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
    asked: (sql: string, given: readonly Parameter[]) => Promise<R>,
  ): Promise<R> => {
    requireAlive(name);
    try {
      if (isWrite(name)) held ??= begun;
      if (held !== null) {
        await held;
        requireAlive(name);
      }
      const given = encoded(name, parameter);
      const lock = POSTGRES_LOCKS[name];
      const locked = lock === undefined ? Promise.resolve() : writer.rows(lock, given, `lock ${name}`);
      const [answer] = await Promise.all([asked(POSTGRES_STATEMENTS[name], given), locked]);
      return answer;
    } catch (thrown) {
      throw AgentcomError.is(thrown) ? thrown : fail(thrown, `run ${name}`);
    }
  };
  const change = (name: keyof PostgresStatements, parameter: unknown): Promise<number> =>
    ask(name, parameter, (sql, given) => writer.change(sql, given, name));
  const record = async (): Promise<void> => {
    if (batchId !== null) await (recorded ??= change('recordBatch', batchId));
  };
  const statements: StatementsRun<keyof PostgresStatements> = {
    async rows(name, parameter) {
      const rows = await ask(name, parameter, (sql, given) => writer.rows(sql, given, name));
      hasWritten ||= rows.length > 0 && isWrite(name);
      return rows;
    },
    async change(name, parameter) {
      const changed = await change(name, parameter);
      hasWritten ||= changed > 0;
      return changed;
    },
  };
  const transactionNow = (): Transaction => ({
    ...statements,
    nowMs: write.clock.nowMs(),
    removableMs: write.clock.removableMs(),
    cluster: statements,
    record,
  });
  const rollBack = async (): Promise<void> => {
    state = 'ended';
    if (writer.isLost) return;
    try {
      await writer.change('ROLLBACK');
    } catch (thrown) {
      markBroken(thrown);
    }
  };

  const begun = writer.begin();
  begun.then(write.begun, (thrown: unknown) => void fail(thrown, 'begin a transaction'));
  let answer: T;
  try {
    // What hears it was asked for before this.
    if (!write.isClockKnown()) await begun;
    answer = await write.work(transactionNow());
    await begun;
    if (hasWritten && failure === undefined) await record();
  } catch (thrown) {
    await rollBack();
    throw failure ?? thrown;
  }
  if (failure !== undefined || !hasWritten) await rollBack();
  if (failure !== undefined) throw failure as AgentcomError;
  if (!hasWritten) return answer;
  state = 'ended';
  try {
    await writer.commit();
  } catch (thrown) {
    // A refusal says that nothing was committed. Anything else, such as the end of the server, may have come after it was.
    if (AgentcomError.is(thrown) || isRefusal(thrown)) throw postgresFailure(thrown, 'commit', place);
    markBroken(thrown);
    throw commitUnknown(thrown, batchId, place);
  }
  return answer;
}
