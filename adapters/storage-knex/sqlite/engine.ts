/** SQLite behind the stores: transactions one at a time, reads concurrently with them, everything reopened after the disk has failed. */
import type { Knex } from 'knex';
import type { StoreClock } from '../../../core/domain/store-clock.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { NULL_NOTIFIER } from '../../../core/ports/hub-notifier.ts';
import { turns } from '../../../core/ports/timing/turns.ts';
import type { StoreCapabilities } from '../../../core/ports/task-store.ts';
import type { Engine, OpenEngine } from '../engine.ts';
import { openSqliteConnections, type SqliteConnections } from './connections.ts';
import type { SqliteDriver } from './sqlite-driver.ts';
import { prepareSqliteFiles, refuseUnfinishedRestore } from './files.ts';
import { takeSqliteLock } from './lock.ts';
import { breaksConnection, sqliteCodeBehind, sqliteFailure } from './failures.ts';
import { claimSqliteFile } from './schema.ts';
import { sqliteRead, sqliteTransaction } from './transaction.ts';
import { oldestReadyText } from '../oldest-ready.ts';
import { MARK_EVERY_MS, READ_CLOCK, storeClockIn } from '../stored-clock.ts';

/** One hub at a time; what was committed is on disk. */
export const SQLITE_CAPABILITIES: StoreCapabilities = { durable: true, shared: false };

/** A longer read would keep the write-ahead log from being truncated. */
const READ_MS_MAX = 5_000;

/** How long a statement waits for a lock that another program holds. */
const BUSY_MS = 5_000;

/** `file`: absolute. `clock`: limits reads in time. `busyMs`: how long to wait for another program's lock, default 5,000. */
export interface SqliteEngineDeps {
  readonly driver: SqliteDriver;
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly busyMs?: number | undefined;
}

export const sqliteEngine = (deps: SqliteEngineDeps): Engine => ({
  name: 'sqlite',
  capabilities: SQLITE_CAPABILITIES,
  notifier: NULL_NOTIFIER,
  isOutOfSpace: ({ details }) => details?.['sqlite'] === 'SQLITE_FULL',
  open: () => openSqliteEngine(deps),
});

async function openSqliteEngine({ driver, file, clock, log, busyMs = BUSY_MS }: SqliteEngineDeps): Promise<OpenEngine> {
  await refuseUnfinishedRestore(file);
  const files = await prepareSqliteFiles(file);
  const lock = await takeSqliteLock(driver, files);
  try {
    await claimSqliteFile(driver, files.database);
    const connect = () => openSqliteConnections({ driver, file: files.database, log, busyMs, clock });
    const connections = await connect();
    const opened = { file: files.database, clock, log, connect, connections, release: lock.release };
    try {
      const source = { wallMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs() };
      const [row] = await connections.writer.rows(READ_CLOCK);
      const storeClock = storeClockIn(row, { source, log, place: files.database });
      await saveClock(connections.writer, storeClock);
      return openedEngine({ ...opened, storeClock });
    } catch (thrown) {
      await connections.close();
      throw sqliteFailure(thrown, "read the store's clock", files.database);
    }
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
}

/**
 * open ── the disk failed ──► broken ── next need, opened anew ──► open
 *   └──────────────────────── close ──► closed ◄──┘
 */
function openedEngine(opened: {
  readonly file: string;
  /** The machine's. */
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly log: Log;
  readonly connect: () => Promise<SqliteConnections>;
  readonly connections: SqliteConnections;
  readonly release: () => Promise<void>;
}): OpenEngine {
  const { file, clock, storeClock, log } = opened;
  let savedMs = storeClock.nowMs();
  const inTurn = turns();
  let state: { readonly kind: 'open' | 'broken'; readonly connections: SqliteConnections } | { readonly kind: 'closed' } = {
    kind: 'open',
    connections: opened.connections,
  };

  const markBroken =
    (of: SqliteConnections) =>
    (why: unknown): void => {
      if (state.kind !== 'open' || state.connections !== of) return;
      log.error('storage failed; it is reopened before it is used again', { file, error: messageOf(why) });
      state = { kind: 'broken', connections: of };
    };

  const watchLog = (of: SqliteConnections): void => of.commitLog?.watch(markBroken(of));
  watchLog(opened.connections);

  /** Connections that are not broken. Only within a turn, since it may have to open them. */
  const healthyConnections = async (): Promise<SqliteConnections> => {
    if (state.kind === 'closed') throw new AgentcomError('AC_STORE_CLOSED', `Cannot use storage "sqlite": "${file}" was closed.`);
    if (state.kind === 'open') return state.connections;
    try {
      await state.connections.close();
      const connections = await opened.connect();
      state = { kind: 'open', connections };
      watchLog(connections);
      return connections;
    } catch (thrown) {
      const message = `Storage "sqlite" failed and cannot be reopened yet; the next use tries again. ${messageOf(thrown)}`;
      throw new AgentcomError('AC_STORE_UNAVAILABLE', message, {
        cause: thrown,
        details: { file, sqlite: sqliteCodeBehind(thrown) ?? null },
      });
    }
  };

  const flushed = async ({ commitLog }: SqliteConnections): Promise<void> => {
    try {
      await commitLog?.flushForReader();
    } catch (thrown) {
      throw sqliteFailure(thrown, 'commit', file);
    }
  };

  const readBy = async <T>(of: 'readers' | 'lookUps', work: (snapshot: Knex) => Promise<T>, isSingleStatement: boolean): Promise<T> => {
    for (;;) {
      const connections = state.kind === 'open' ? state.connections : await inTurn(healthyConnections);
      let hasBegun = false;
      const begin = (): void => void (hasBegun = true);
      const options = { file, clock, readMs: READ_MS_MAX, work, isSingleStatement, begin, markBroken: markBroken(connections) };
      try {
        // Tokens are never saved through the commit log.
        if (of === 'readers') await flushed(connections);
        // While a pool is being closed, it refuses what asks for a connection only after a minute.
        if (state.kind !== 'open' || state.connections !== connections) continue;
        return await sqliteRead(connections[of], options);
      } catch (thrown) {
        // A read that waits for a connection while all are reopened is refused by the closed ones: it is retried on the new ones.
        if (hasBegun || (state.kind === 'open' && state.connections === connections)) throw thrown;
      }
    }
  };
  const read: OpenEngine['read'] = (work, isSingleStatement = false) => readBy('readers', work, isSingleStatement);

  /** Outside the batches, so that none is slowed down by it. A failure is harmless: the next write has a later mark. */
  const keepClock = async (): Promise<void> => {
    if (state.kind !== 'open') return;
    const { connections } = state;
    try {
      await saveClock(connections.commitLog ?? connections.writer, storeClock);
    } catch (thrown) {
      if (breaksConnection(thrown)) markBroken(connections)(thrown);
      log.warn("the mark of the store's clock could not be written", { file, error: messageOf(thrown) });
    }
  };

  return {
    storeId: opened.connections.storeId,

    clock: storeClock,

    write: (batchId, work, early) =>
      inTurn(async (turn) => {
        // A transaction that began early finds out at its first statement whether they broke meanwhile.
        const connections = turn.isEarly && state.kind !== 'closed' ? state.connections : await healthyConnections();
        const { writer, newest, commitLog } = connections;
        storeClock.step();
        const notified = early && { ...turn, waiting: () => early.waiting(), saving: () => early.saving() };
        const write = { file, clock: storeClock, newest, commitLog, batchId, work, early: notified, markBroken: markBroken(connections) };
        try {
          return await sqliteTransaction(writer, write);
        } finally {
          if (storeClock.nowMs() - savedMs >= MARK_EVERY_MS) {
            savedMs = storeClock.nowMs();
            void inTurn(keepClock);
          }
        }
      }, early !== undefined),

    read,
    lookUp: (work) => readBy('lookUps', work, true),
    // These tables are never analyzed: without the name of the index SQLite would use another.
    oldestReady: oldestReadyText('INDEXED BY tasks_claimable'),
    // Every index ends with it.
    listTie: 'rowid',
    hasListOfAll: true,

    committed: (batchId) => read(async (db) => (await db('batches').where('batch_id', batchId).select('place')).length > 0, true),

    close: () =>
      inTurn(async () => {
        if (state.kind === 'closed') return;
        await keepClock();
        const { connections } = state;
        state = { kind: 'closed' };
        try {
          await connections.close();
        } finally {
          await opened.release();
        }
      }),
  };
}

const SAVE_CLOCK = `UPDATE store SET clock_mark = max(coalesce(clock_mark, 0), ?1 ->> 0), clock_offset = ?1 ->> 1, removals_from = ?1 ->> 2`;

async function saveClock(writer: { change(sql: string, parameter: string): Promise<unknown> }, clock: StoreClock): Promise<void> {
  const { markMs, offsetMs, removalsFromMs } = clock.state;
  await writer.change(SAVE_CLOCK, JSON.stringify([markMs, offsetMs, removalsFromMs]));
}
