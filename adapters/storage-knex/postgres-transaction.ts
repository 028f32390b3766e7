/** One transaction on the writing connection: what may fail where, and what that means. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Row, Transaction } from './engine.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { commitUnknown, isRefusal, postgresFailure } from './postgres-failures.ts';
import { KEEPS_WHOLE, POSTGRES_LOCKS, POSTGRES_LOOKS, POSTGRES_STATEMENTS } from './postgres-statements.ts';
import { parameterText } from './postgres-text.ts';
import type { Statements } from './statements.ts';

export interface PostgresWrite<T> {
  readonly place: string;
  readonly batchId: string | null;
  readonly work: (transaction: Transaction) => Promise<T>;
  /** Told when the connection cannot be used any more. */
  readonly distrust: (why: unknown) => void;
  /** Told the server's time at the begin. */
  readonly begun: (nowMs: number) => void;
}

/**
 * BEGIN, the work, the batch's id, COMMIT. Each statement sees what was committed before it began; what must stay true
 * until the commit is locked. Where nothing was written it ends in a ROLLBACK: locks alone make a COMMIT that waits for the
 * disk. After the first statement that failed every other is refused, as Postgres does.
 */
export async function postgresTransaction<T>(writer: PostgresConnection, write: PostgresWrite<T>): Promise<T> {
  const { place, batchId, distrust } = write;
  let state: 'open' | 'ended' = 'open';
  let failure: AgentcomError | undefined;
  let hasWritten = false;

  const fail = (thrown: unknown, doing: string): AgentcomError => {
    if (!isRefusal(thrown)) distrust(thrown);
    return postgresFailure(thrown, doing, place);
  };
  const run = async <R>(name: keyof Statements, parameter: unknown, ask: (sql: string, text?: string) => Promise<R>): Promise<R> => {
    if (state === 'ended') throw new AgentcomError('AC_INTERNAL', `Cannot run ${name}: its transaction has ended.`);
    if (failure !== undefined) throw failure;
    try {
      const text = parameter === undefined ? undefined : parameterText(parameter, KEEPS_WHOLE.has(name));
      const lock = POSTGRES_LOCKS[name];
      if (lock !== undefined) await writer.rows(lock, text, `lock ${name}`);
      return await ask(POSTGRES_STATEMENTS[name], text);
    } catch (thrown) {
      failure = fail(thrown, `run ${name}`);
      throw failure;
    }
  };
  const transactionAt = (nowMs: number): Transaction => ({
    nowMs,
    rows: (name, parameter): Promise<readonly Row[]> =>
      run(name, parameter, async (sql, text) => {
        const rows = await writer.rows(sql, text, name);
        hasWritten ||= rows.length > 0 && !POSTGRES_LOOKS.has(name);
        return rows;
      }),
    change: (name, parameter) =>
      run(name, parameter, async (sql, text) => {
        const changed = await writer.change(sql, text, name);
        hasWritten ||= changed > 0;
        return changed;
      }),
  });
  const rollBack = async (): Promise<void> => {
    state = 'ended';
    if (writer.isLost) return;
    try {
      await writer.change('ROLLBACK');
    } catch (thrown) {
      distrust(thrown);
    }
  };

  let nowMs: number;
  try {
    nowMs = await writer.begin();
  } catch (thrown) {
    throw fail(thrown, 'begin a transaction');
  }
  write.begun(nowMs);
  const transaction = transactionAt(nowMs);
  let answer: T;
  try {
    answer = await write.work(transaction);
    if (failure !== undefined) throw failure as AgentcomError;
    if (batchId !== null && hasWritten) await transaction.change('recordBatch', batchId);
  } catch (thrown) {
    await rollBack();
    throw thrown;
  }
  if (!hasWritten) {
    await rollBack();
    return answer;
  }
  state = 'ended';
  try {
    await writer.commit();
  } catch (thrown) {
    // A refusal says that nothing was committed. Anything else, such as the end of the server, may have come after it was.
    if (AgentcomError.is(thrown) || isRefusal(thrown)) throw postgresFailure(thrown, 'commit', place);
    distrust(thrown);
    throw commitUnknown(thrown, batchId, place);
  }
  return answer;
}
