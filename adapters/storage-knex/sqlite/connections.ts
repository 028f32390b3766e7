/**
 * The connections of one open database: one that writes, a few that read concurrently, one that looks up tokens. They are opened and closed
 * together, so that after a failure of the disk nothing that a connection had in memory is used again.
 */
import type { Knex } from 'knex';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { CommitLog, type CommitLogDeps } from './commit-log/commit-log.ts';
import { commitLogOf, removeCommitLog, saveCommitLog } from './commit-log/commit-log-file.ts';
import type { SqliteConnection } from './connection.ts';
import type { RawDatabase, SqliteDriver, SqlitePool } from './sqlite-driver.ts';
import { HINT_FOR_DAMAGE, isDamaged, sqliteFailure } from './failures.ts';
import { cannotOpen } from './files.ts';
import { NewestRows } from './newest-rows.ts';
import { SAVE_AT_ONCE, TEMPORARY_IN_MEMORY } from './save.ts';
import { acquire, readersOn, release, type Readers } from '../knex-readers.ts';
import { copySqlite, nameFile } from '../move/sqlite-copy.ts';
import { newStoreId } from '../rows/store-id.ts';
import { migrateSqlite } from './schema.ts';

/**
 * Maximum number of pages and streams that are read at the same time; the rest queue up. With sqlite3 each running read occupies one of the
 * four threads on which Node runs blocking work. That leaves one for the writer's statements, and one for what is short: appending to the
 * commit log, and looking up tokens. With `node:sqlite` each connection has its own.
 */
const READERS_MAX = 2;
/** The size to which the write-ahead log is truncated after it has grown. */
const WAL_BYTES_KEPT = 67_108_864;
/** Pages of 4 KiB after which the write-ahead log is copied into the database: a page that changed often by then is copied once. */
const WAL_PAGES = 8_000;
/** The writer's page cache: with a million tasks, it holds the upper levels of every index and the ends that are written to. */
const CACHE_KIB = 4_096;

export interface SqliteConnections {
  readonly storeId: string;
  readonly writer: SqliteConnection;
  /** The newest rows that the writer saved. */
  readonly newest: NewestRows;
  /** Null: each batch is committed by SQLite. */
  readonly commitLog: CommitLog | null;
  readonly readers: Readers;
  /** One connection that only looks up tokens. */
  readonly lookUps: Readers;
  /** Waits for running reads, then closes all. */
  close(): Promise<void>;
}

/**
 * Saves what only the commit log has, opens the writer, migrates, checkpoints the write-ahead log, then opens the readers. Leaves nothing open
 * if it fails.
 */
export async function openSqliteConnections(deps: {
  readonly driver: SqliteDriver;
  readonly file: string;
  readonly log: Log;
  /** How long a statement waits for a lock that another program holds. */
  readonly busyMs: number;
  /** For the commit log; without it, there is none. */
  readonly clock?: Clock | undefined;
}): Promise<SqliteConnections> {
  const { driver, file, log, busyMs, clock } = deps;
  const { default: knex } = await import('knex');
  const shared = { client: 'sqlite3', useNullAsDefault: true, log: knexLog(log) };
  const busy = `PRAGMA busy_timeout = ${busyMs}`;
  const poolOf = (of: Omit<SqlitePool, 'file'>): Knex => knex({ ...shared, ...driver.poolConfig(knex, { file, ...of }) });
  const writerKnex = poolOf({ mode: 'write', max: 1, pragmas: [busy, ...WRITER_PRAGMAS] });
  const pool = poolOf({ mode: 'read', max: READERS_MAX, pragmas: [busy] });
  const lookUpPool = poolOf({ mode: 'read', max: 1, pragmas: [busy] });
  let raw: RawDatabase | undefined;
  let writer: SqliteConnection | undefined;
  let commitLog: CommitLog | null = null;
  // May be called again: after a failed reopening, the engine closes the old connections once more. Knex releases a connection only once.
  const close = async (): Promise<void> => {
    await Promise.all([pool.destroy(), lookUpPool.destroy()]);
    const [logEnded] = await Promise.allSettled([commitLog?.close()]);
    commitLog = null;
    const held = raw;
    raw = undefined;
    await writer?.finalize();
    if (held !== undefined) await release(writerKnex, held);
    await writerKnex.destroy();
    if (logEnded.status === 'rejected') throw logEnded.reason as Error;
  };
  try {
    // Before steps are taken, which change what it saves, too.
    const batches = await saveCommitLog(driver, file);
    if (batches > 0) log.info('batches of the commit log saved in the database', { file, batches });
    await migrateSqlite(writerKnex, file, async (step) => {
      const to = `${file}.before-${step}`;
      log.info('backing up the store before it is migrated', { file: to });
      await copySqlite(driver, { from: file, to: `${to}.part` });
      await nameFile(`${to}.part`, to, true);
    });
    raw = await acquire<RawDatabase>(writerKnex);
    writer = driver.connectionOver(raw);
    const found = await verifyPragmas(writer, file);
    log.info('database opened', { file, driver: driver.name, sqlite: driver.version, ...found });
    const storeId = await storeIdOf(writer);
    for (const statement of SAVE_AT_ONCE) await writer.change(statement);
    await checkpoint(writer, file);
    if (clock !== undefined) commitLog = await createdLog({ writer, database: file, storeId, clock }, log);
    await pool.raw('SELECT store_id FROM store');
    // The client of the driver: that of Knex itself would load the package sqlite3.
    const readersOf = (of: Knex): Readers => readersOn(knex, of, { ...shared, client: of.client.constructor as typeof Knex.Client });
    const [readers, lookUps] = [readersOf(pool), readersOf(lookUpPool)];
    return { storeId, writer, newest: new NewestRows(writer, async () => commitLog?.executed()), commitLog, readers, lookUps, close };
  } catch (thrown) {
    await close().catch((failure: unknown) => log.warn('storage connections did not close', { file, error: messageOf(failure) }));
    throw AgentcomError.is(thrown)
      ? thrown
      : cannotOpen(file, messageOf(thrown), isDamaged(thrown) ? HINT_FOR_DAMAGE : 'Put it on a local disk with free space.', thrown);
  }
}

/** Null if it cannot be created: a hub starts on a full disk, if a killed one left nothing to be saved. */
async function createdLog(deps: CommitLogDeps, log: Log): Promise<CommitLog | null> {
  try {
    return await CommitLog.create(deps);
  } catch (thrown) {
    await removeCommitLog(deps.database);
    log.warn('no commit log could be created: commits are slower', { file: commitLogOf(deps.database), error: messageOf(thrown) });
    return null;
  }
}

const WRITER_PRAGMAS = [
  'PRAGMA journal_mode = WAL',
  'PRAGMA synchronous = FULL',
  // Without it, a sync on macOS only reaches the cache of the disk, which a power loss clears. No effect elsewhere.
  'PRAGMA fullfsync = ON',
  'PRAGMA foreign_keys = ON',
  TEMPORARY_IN_MEMORY,
  `PRAGMA journal_size_limit = ${WAL_BYTES_KEPT}`,
  `PRAGMA wal_autocheckpoint = ${WAL_PAGES}`,
  `PRAGMA cache_size = -${CACHE_KIB}`,
];

/**
 * If SQLite cannot apply a pragma, it reports what it does instead, not an error. Returns what was read back, for the log: no other
 * connection can see it.
 */
async function verifyPragmas(writer: SqliteConnection, file: string): Promise<Readonly<Record<string, unknown>>> {
  const wanted = { journal_mode: 'wal', synchronous: 2, fullfsync: 1, foreign_keys: 1 };
  const read: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(wanted)) {
    const found = (read[name] = (await writer.rows(`PRAGMA ${name}`))[0]?.[name]);
    if (found !== value)
      throw cannotOpen(file, `${name} is ${String(found)}, expected ${value}`, 'Put it on a local disk: network folders cannot do this.');
  }
  return read;
}

/**
 * Copies the write-ahead log into the database and syncs both. After a failed sync, what the system shows of a file need not be on its
 * disk; after this it is, or opening fails.
 */
async function checkpoint(writer: SqliteConnection, file: string): Promise<void> {
  const [answer] = await writer.rows('PRAGMA wal_checkpoint(TRUNCATE)');
  if (answer?.['busy'] !== 0)
    throw sqliteFailure(
      Object.assign(new Error('readers of another program block it'), { code: 'SQLITE_BUSY' }),
      'checkpoint the write-ahead log',
      file,
    );
}

async function storeIdOf(writer: SqliteConnection): Promise<string> {
  await writer.change(`INSERT INTO store (only_row, store_id) VALUES (1, ?1) ON CONFLICT (only_row) DO NOTHING`, newStoreId());
  const [row] = await writer.rows('SELECT store_id FROM store');
  return row?.['store_id'] as string;
}

const knexLog = (log: Log): Knex.Logger => ({
  debug: (message: unknown) => log.debug('knex', { message }),
  warn: (message: unknown) => log.warn('knex', { message }),
  error: (message: unknown) => log.error('knex', { message }),
  deprecate: (method: string, alternative: string) => log.warn('knex deprecates', { method, alternative }),
});
