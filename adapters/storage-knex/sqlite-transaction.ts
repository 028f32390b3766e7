/** One transaction on SQLite's writing connection, and one read beside it: what may fail where, and what that means. */
import type { Knex } from 'knex';
import type { Database } from 'sqlite3';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Row, SavedRows, Transaction } from './engine.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { commitUnknown, isBusy, isDistrusted, leftAmid, sqliteCodeOf, sqliteFailure } from './sqlite-failures.ts';
import { isRepeat, lastEventNumber, parametersOf, SAVE_BATCH, type EventNumbers } from './sqlite-save.ts';
import { SQLITE_STATEMENTS } from './sqlite-statements.ts';
import { looksAmong, type Statements } from './statements.ts';

export interface SqliteWrite<T> {
  /** Whose time the transaction has. */
  readonly clock: Clock;
  readonly file: string;
  /** Of this connection. */
  readonly numbers: EventNumbers;
  readonly batchId: string | null;
  readonly work: (transaction: Transaction) => Promise<T>;
  /** Told when the connection must not be believed any more. */
  readonly distrust: (why: unknown) => void;
}

const LOOKS = looksAmong(SQLITE_STATEMENTS);

/**
 * looking ── the first statement that writes: BEGIN IMMEDIATE ──► writing ── the batch's id, COMMIT ──► ended
 *    ├── `saveAndCommit`: one statement ─────────────────────────────────────────────────────────────────►┤
 *    └── nothing was written ────────────────────────────────────────────────────────────────────────────►┘
 *
 * What was looked at stays true without a transaction: nobody else writes, and here is one after the other.
 * After the first statement that failed every other is refused: SQLite may have rolled back by itself, and what came
 * after would be committed alone.
 */
export async function sqliteTransaction<T>(writer: SqliteConnection, write: SqliteWrite<T>): Promise<T> {
  const { file, clock, numbers, batchId, distrust } = write;
  let state = 'looking' as 'looking' | 'writing' | 'ended';
  let failure: AgentcomError | undefined;

  const fail = (thrown: unknown, doing: string): AgentcomError => {
    if (isDistrusted(thrown)) distrust(thrown);
    return (failure = sqliteFailure(thrown, doing, file));
  };
  const requireAlive = (name: string): void => {
    if (failure !== undefined) throw failure;
    if (state === 'ended') throw new AgentcomError('AC_INTERNAL', `Cannot run ${name}: its transaction has ended.`);
  };
  const begin = async (): Promise<void> => {
    if (state === 'writing') return;
    numbers.last = null;
    try {
      await writer.change('BEGIN IMMEDIATE');
    } catch (thrown) {
      throw fail(thrown, 'begin a transaction');
    }
    state = 'writing';
  };
  const run = async <R>(name: keyof Statements, work: () => Promise<R>): Promise<R> => {
    requireAlive(name);
    if (!LOOKS.has(name)) await begin();
    try {
      return await work();
    } catch (thrown) {
      throw fail(thrown, `run ${name}`);
    }
  };
  const saveAndCommit = async (rows: SavedRows): Promise<readonly number[] | null> => {
    requireAlive('saveAndCommit');
    if (batchId === null || state === 'writing') return null;
    try {
      const last = (numbers.last ??= await lastEventNumber(writer));
      const numbered = rows.insertEvents.map((event, index) => ({ id: last + index + 1, ...event }));
      await writer.change(SAVE_BATCH, ...parametersOf(batchId, { ...rows, insertEvents: numbered }));
      state = 'ended';
      numbers.last = last + numbered.length;
      return numbered.map(({ id }) => id);
    } catch (thrown) {
      numbers.last = null;
      if (isRepeat(thrown)) return null;
      if (!isDistrusted(thrown)) throw fail(thrown, 'save a batch');
      distrust(thrown);
      throw (failure = commitUnknown(thrown, batchId, file));
    }
  };
  const transaction: Transaction = {
    nowMs: clock.nowMs(),
    rows: (name, parameter): Promise<readonly Row[]> => run(name, () => writer.rows(SQLITE_STATEMENTS[name], json(parameter))),
    change: (name, parameter) => run(name, () => writer.change(SQLITE_STATEMENTS[name], json(parameter))),
    saveAndCommit,
  };
  const rollBack = async (): Promise<void> => {
    state = 'ended';
    try {
      await writer.change('ROLLBACK');
    } catch (thrown) {
      distrust(thrown);
    }
  };

  let answer: T;
  try {
    answer = await write.work(transaction);
    if (failure !== undefined) throw failure as AgentcomError;
    // What `saveAndCommit` has not done, and where anything was written.
    if (state === 'writing' && batchId !== null) await transaction.change('recordBatch', batchId);
  } catch (thrown) {
    if (state === 'writing') await rollBack();
    state = 'ended';
    throw thrown;
  }
  const mustCommit = state === 'writing';
  state = 'ended';
  if (!mustCommit) return answer;
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

export interface SqliteRead<T> {
  readonly file: string;
  readonly clock: Clock;
  /** Whatever statement runs once this is over is interrupted, and so is each after it. */
  readonly readMs: number;
  readonly work: (snapshot: Knex.Transaction) => Promise<T>;
  /** Told when the connections must not be believed any more. */
  readonly distrust: (why: unknown) => void;
}

/**
 * Reads one committed state, limited in time. A connection on which BEGIN or COMMIT failed may still be amid a
 * transaction, and would go back so to its pool: it is not used again.
 */
export async function sqliteRead<T>(readers: Knex, { file, clock, readMs, work, distrust }: SqliteRead<T>): Promise<T> {
  let state = 'beginning' as 'beginning' | 'reading' | 'ending';
  try {
    return await readers.transaction(async (snapshot) => {
      state = 'reading';
      const raw = (await snapshot.client.acquireConnection()) as Database;
      const interrupt = (): void => {
        raw.interrupt();
        timer = clock.after(INTERRUPT_AGAIN_MS, interrupt);
      };
      let timer = clock.after(readMs, interrupt);
      try {
        const answer = await work(snapshot);
        state = 'ending';
        return answer;
      } finally {
        timer.cancel();
      }
    });
  } catch (thrown) {
    const ofSqlite = sqliteCodeOf(thrown) !== undefined;
    const isLeftAmid = ofSqlite && (state === 'ending' || (state === 'beginning' && !isBusy(thrown)));
    if (isDistrusted(thrown) || isLeftAmid) distrust(thrown);
    throw isLeftAmid ? leftAmid(thrown, file) : sqliteFailure(thrown, 'read', file);
  }
}
