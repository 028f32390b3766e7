/** One transaction on SQLite's writing connection, and one read beside it: what may fail where, and what that means. */
import type { Knex } from 'knex';
import type { Database } from 'sqlite3';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Row, Transaction } from './engine.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { commitUnknown, isDistrusted, sqliteFailure } from './sqlite-failures.ts';
import { SQLITE_STATEMENTS } from './sqlite-statements.ts';
import type { Statements } from './statements.ts';

export interface SqliteWrite<T> {
  readonly file: string;
  readonly batchId: string | null;
  readonly work: (transaction: Transaction) => Promise<T>;
  /** Told when the connection must not be believed any more. */
  readonly distrust: (why: unknown) => void;
}

/**
 * BEGIN IMMEDIATE, the work, the batch's id, COMMIT. The write lock is taken first, so that what was read stays true.
 * After the first statement that failed every other is refused: SQLite may have rolled back by itself, and what came
 * after would be committed alone.
 */
export async function sqliteTransaction<T>(writer: SqliteConnection, write: SqliteWrite<T>): Promise<T> {
  const { file, batchId, distrust } = write;
  let state: 'open' | 'ended' = 'open';
  let failure: AgentcomError | undefined;

  const fail = (thrown: unknown, doing: string): AgentcomError => {
    if (isDistrusted(thrown)) distrust(thrown);
    return sqliteFailure(thrown, doing, file);
  };
  const run = async <R>(name: keyof Statements, work: () => Promise<R>): Promise<R> => {
    if (state === 'ended') throw new AgentcomError('AC_INTERNAL', `Cannot run ${name}: its transaction has ended.`);
    if (failure !== undefined) throw failure;
    try {
      return await work();
    } catch (thrown) {
      failure = fail(thrown, `run ${name}`);
      throw failure;
    }
  };
  const transaction: Transaction = {
    rows: (name, parameter): Promise<readonly Row[]> => run(name, () => writer.rows(SQLITE_STATEMENTS[name], json(parameter))),
    change: (name, parameter) => run(name, () => writer.change(SQLITE_STATEMENTS[name], json(parameter))),
  };
  const rollBack = async (): Promise<void> => {
    state = 'ended';
    try {
      await writer.change('ROLLBACK');
    } catch (thrown) {
      distrust(thrown);
    }
  };

  try {
    await writer.change('BEGIN IMMEDIATE');
  } catch (thrown) {
    throw fail(thrown, 'begin a transaction');
  }
  let answer: T;
  try {
    answer = await write.work(transaction);
    if (failure !== undefined) throw failure as AgentcomError;
    if (batchId !== null) await transaction.change('recordBatch', batchId);
  } catch (thrown) {
    await rollBack();
    throw thrown;
  }
  state = 'ended';
  try {
    await writer.change('COMMIT');
  } catch (thrown) {
    if (!isDistrusted(thrown)) {
      await rollBack();
      throw sqliteFailure(thrown, 'commit', file);
    }
    distrust(thrown);
    throw commitUnknown(thrown, batchId, file);
  }
  return answer;
}

const json = (parameter: unknown): string | undefined => (parameter === undefined ? undefined : JSON.stringify(parameter));

/** Between two interruptions of a read that goes on with its next statement. */
const INTERRUPT_AGAIN_MS = 50;

/** Reads one committed state; whatever statement runs once `readMs` are over is interrupted, and so is each after it. */
export async function sqliteRead<T>(
  readers: Knex,
  limit: { readonly clock: Clock; readonly readMs: number },
  work: (snapshot: Knex.Transaction) => Promise<T>,
): Promise<T> {
  return readers.transaction(async (snapshot) => {
    const raw = (await snapshot.client.acquireConnection()) as Database;
    const interrupt = (): void => {
      raw.interrupt();
      timer = limit.clock.after(INTERRUPT_AGAIN_MS, interrupt);
    };
    let timer = limit.clock.after(limit.readMs, interrupt);
    try {
      return await work(snapshot);
    } finally {
      timer.cancel();
    }
  });
}
