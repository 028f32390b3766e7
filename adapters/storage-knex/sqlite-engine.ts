/** SQLite behind the stores: one writer in turn, readers beside it, everything opened anew after the disk has failed. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import { NO_CALLS } from '../../core/ports/hub-calls.ts';
import { oneAtATime } from '../../core/ports/opening.ts';
import type { StoreCapabilities } from '../../core/ports/task-store.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { openSqliteConnections, type SqliteConnections } from './sqlite-connections.ts';
import { prepareSqliteFiles } from './sqlite-files.ts';
import { takeSqliteLock } from './sqlite-lock.ts';
import { claimSqliteFile } from './sqlite-schema.ts';
import { sqliteRead, sqliteTransaction } from './sqlite-transaction.ts';

/** One hub at a time; what was committed is on disk. */
export const SQLITE_CAPABILITIES: StoreCapabilities = { durable: true, shared: false };

/** A longer read would keep the write-ahead log from being cut back. */
export const READ_MS_MAX = 5_000;

/** How long a statement waits for a lock that another program holds. */
const BUSY_MS = 5_000;

/** `file`: absolute. `clock`: limits reads in time. `busyMs`: how long to wait for another program's lock, default 5,000. */
export interface SqliteEngineDeps {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly busyMs?: number | undefined;
}

export const sqliteEngine = (deps: SqliteEngineDeps): Engine => ({
  name: 'sqlite',
  capabilities: SQLITE_CAPABILITIES,
  calls: NO_CALLS,
  open: () => openSqliteEngine(deps),
});

async function openSqliteEngine({ file, clock, log, busyMs = BUSY_MS }: SqliteEngineDeps): Promise<OpenEngine> {
  const files = await prepareSqliteFiles(file);
  const lock = await takeSqliteLock(files);
  try {
    await claimSqliteFile(files.database);
    const connect = () => openSqliteConnections({ file: files.database, log, busyMs });
    return openedEngine({ file: files.database, clock, log, connect, connections: await connect(), release: lock.release });
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
}

/**
 * open ── the disk failed ──► distrusted ── next need, opened anew ──► open
 *   └──────────────────────── close ──► closed ◄──┘
 */
function openedEngine(opened: {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly connect: () => Promise<SqliteConnections>;
  readonly connections: SqliteConnections;
  readonly release: () => Promise<void>;
}): OpenEngine {
  const { file, clock, log } = opened;
  const inTurn = oneAtATime();
  let state: { readonly kind: 'open' | 'distrusted'; readonly connections: SqliteConnections } | { readonly kind: 'closed' } = {
    kind: 'open',
    connections: opened.connections,
  };

  const distrust = (of: SqliteConnections) => (why: unknown) => {
    if (state.kind !== 'open' || state.connections !== of) return;
    log.error('storage failed; it is opened anew before it is used again', { file, error: messageOf(why) });
    state = { kind: 'distrusted', connections: of };
  };

  /** Connections to believe. In turn only, since it may have to open them. */
  const believed = async (): Promise<SqliteConnections> => {
    if (state.kind === 'closed') throw new AgentcomError('AC_STORE_CLOSED', `Cannot use storage "sqlite": "${file}" was closed.`);
    if (state.kind === 'open') return state.connections;
    try {
      await state.connections.close();
      const connections = await opened.connect();
      state = { kind: 'open', connections };
      return connections;
    } catch (thrown) {
      const message = `Storage "sqlite" failed and cannot be opened anew yet; it is tried again when it is next needed. ${messageOf(thrown)}`;
      throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { cause: thrown, details: { file } });
    }
  };

  const read: OpenEngine['read'] = async (work, asksOnce = false) => {
    const connections = state.kind === 'open' ? state.connections : await inTurn(believed);
    return await sqliteRead(connections.readers, { file, clock, readMs: READ_MS_MAX, work, asksOnce, distrust: distrust(connections) });
  };

  return {
    storeId: opened.connections.storeId,

    nowMs: () => clock.nowMs(),

    write: (batchId, work) =>
      inTurn(async () => {
        const connections = await believed();
        const { writer, numbers } = connections;
        return sqliteTransaction(writer, { file, clock, numbers, batchId, work, distrust: distrust(connections) });
      }),

    read,

    committed: (batchId) => read(async (db) => (await db('batches').where('batch_id', batchId).select('place')).length > 0, true),

    close: () =>
      inTurn(async () => {
        if (state.kind === 'closed') return;
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
