/**
 * The file of the commit log, beside the database: a header, and the records. It is made of zeros, so that writing a record changes nothing but
 * its own blocks.
 */
import { constants, write } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AgentcomError, messageOf } from '../../../../core/errors/agentcom-error.ts';
import { readRegularFile, replaceFile, syncFolder, unlessMissing } from '../../../kit/platform-files.ts';
import { refuseUnknownSteps } from '../../rows/unknown-steps.ts';
import type { SqliteConnection } from '../connection.ts';
import { recordsIn, type LoggedBatch } from './commit-records.ts';
import { sqliteCodeOf } from '../failures.ts';
import { cannotOpen } from '../files.ts';
import { stepsTaken } from '../schema.ts';
import type { SqliteDriver } from '../sqlite-driver.ts';
import { BATCH_COLUMNS, insertOf, SAVE_AT_ONCE, TEMPORARY_IN_MEMORY } from '../save.ts';

const FORMAT = 'agentcom commit log 1';
const HEADER_BYTES = 4_096;
/** The size of each half of the records: a larger batch does not go through the log. */
export const HALF_BYTES = 1_048_576;
export const RECORDS_BYTES = 2 * HALF_BYTES;
/** How often a commit log that a hub changes meanwhile is read at most, and the interval, milliseconds. */
const LIVE_READS_MAX = 20;
const LIVE_READ_AGAIN_MS = 25;

/** Where the commit log of this database is. */
export const commitLogOf = (database: string): string => `${database}-commits`;

/** What was found in a commit log. */
export interface CommitLogContent {
  readonly storeId: string;
  /** What the values of a batch are, in their order. */
  readonly columns: readonly string[];
  /** In the order of their numbers. */
  readonly batches: readonly LoggedBatch[];
  /** The highest number of a complete record after these; 0: there is none. */
  readonly highestAfter: number;
}

/**
 * Whether the log has every batch after number `last` that it ever had. The next record is written only once the one before it is on disk, so
 * that only the last one can be incomplete; what follows it is older.
 */
export function isWhole({ batches, highestAfter }: CommitLogContent, last: number): boolean {
  const newer = batches.filter(({ number }) => number > last);
  return newer.every(({ number }, nth) => number === last + 1 + nth) && highestAfter <= last + newer.length;
}

/** What is in the commit log beside a database; null: there is none. Fails with `AC_STORAGE_OPEN` if it is no commit log of this version. */
export async function readCommitLog(database: string): Promise<CommitLogContent | null> {
  const file = commitLogOf(database);
  const bytes = await unlessMissing(async () => readRegularFile(file), null);
  if (bytes === null) return null;
  const [format, storeId = '', columns = ''] = bytes.toString('utf8', 0, HEADER_BYTES).split('\n');
  // It is created in its full size before it gets its name.
  if (format !== FORMAT || bytes.length !== HEADER_BYTES + RECORDS_BYTES)
    throw cannotOpen(database, `its commit log "${file}" is damaged or of another version`, HINT_FOR_OTHER_VERSION);
  const halves = [0, HALF_BYTES]
    .map((start) => recordsIn(bytes.subarray(HEADER_BYTES + start, HEADER_BYTES + start + HALF_BYTES)))
    .sort((a, b) => (a.records[0]?.number ?? 0) - (b.records[0]?.number ?? 0));
  return {
    storeId,
    columns: columns.split(','),
    batches: halves.flatMap(({ records }) => records),
    highestAfter: Math.max(...halves.map(({ highestAfter }) => highestAfter)),
  };
}

/**
 * The commit log of a database whose hub may be running. Read before a copy is made: what is overwritten in the log meanwhile is in the database
 * already. A hub that saves faster than the log is read leaves a gap in what is read.
 */
export async function readLiveCommitLog(connection: SqliteConnection, database: string): Promise<CommitLogContent | null> {
  for (let reads = 1; ; reads += 1) {
    const log = await readCommitLog(database);
    if (log === null || reads === LIVE_READS_MAX || isWhole(log, (await stateOf(connection)).last)) return log;
    await sleep(LIVE_READ_AGAIN_MS);
  }
}

interface DatabaseState {
  /** Null: the database has none yet. */
  readonly storeId: string | null;
  /** The number of its newest batch. */
  readonly last: number;
}

async function stateOf(connection: SqliteConnection): Promise<DatabaseState> {
  const [table] = await connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'commit_log'");
  if (table === undefined) return { storeId: null, last: 0 };
  const [row] = await connection.rows('SELECT last_number, (SELECT store_id FROM store) AS store_id FROM commit_log');
  return { storeId: row?.['store_id'] as string | null, last: Number(row?.['last_number']) };
}

/** The batches of a commit log that the database does not have. Fails with `AC_STORAGE_OPEN` if it belongs to another state of the database. */
export async function missingBatches(
  connection: SqliteConnection,
  database: string,
  log: CommitLogContent,
): Promise<readonly LoggedBatch[]> {
  const { storeId, last } = await stateOf(connection);
  if (storeId !== log.storeId)
    throw otherLog(database, `is of store ${log.storeId}, expected ${storeId ?? 'none: the database is new or older'}`);
  if (!isWhole(log, last))
    throw otherLog(database, `is damaged, or of another state of the database: it has not all batches after number ${last}`);
  return log.batches.filter(({ number }) => number > last);
}

/**
 * Saves the batches of a commit log that the database does not have yet, in one transaction, and returns their number. The last
 * one may be refused: then it was not acknowledged. Fails with `AC_STORAGE_OPEN` if the log belongs to another state of the database, or to
 * another version of its schema, and with SQLite's errors.
 */
export async function applyCommitLog(connection: SqliteConnection, database: string, log: CommitLogContent | null): Promise<number> {
  if (log === null) return 0;
  const batches = await missingBatches(connection, database, log);
  if (batches.length === 0) return 0;
  if (log.columns.some((name) => !BATCH_COLUMNS.includes(name))) throw otherLog(database, 'was written by a newer version');
  const [view] = await connection.rows("SELECT 1 FROM sqlite_temp_master WHERE name = 'saved_batch'");
  if (view === undefined) for (const statement of [TEMPORARY_IN_MEMORY, ...SAVE_AT_ONCE]) await connection.change(statement);
  await connection.change('BEGIN IMMEDIATE');
  try {
    const applied = await saveAll(connection, database, batches, log.columns);
    await connection.change('COMMIT');
    return applied;
  } catch (thrown) {
    await Promise.allSettled([connection.change('ROLLBACK')]);
    throw thrown;
  }
}

async function saveAll(
  connection: SqliteConnection,
  database: string,
  batches: readonly LoggedBatch[],
  columns: readonly string[],
): Promise<number> {
  let saved = 0;
  for (const [nth, { number, isCertain, values }] of batches.entries())
    try {
      await connection.change(insertOf(values.length / columns.length, columns), ...values);
      saved += 1;
    } catch (thrown) {
      const code = sqliteCodeOf(thrown);
      // The schema lacks what its message names.
      if (code === 'SQLITE_ERROR') throw otherLog(database, `was written by another version: ${messageOf(thrown)}`, HINT_FOR_OTHER_VERSION);
      if (code !== 'SQLITE_CONSTRAINT') throw thrown;
      const after = batches.length - nth - 1;
      // It was not acknowledged: a batch that is refused is erased before the next one is written.
      if (isCertain || after > 0)
        throw otherLog(database, `has batch ${number}, which SQLite refuses, and ${after} after it: ${messageOf(thrown)}`);
      await connection.change('UPDATE commit_log SET last_number = ?1', number);
    }
  return saved;
}

const otherLog = (database: string, found: string, hint = HINT_FOR_OTHER_LOG): AgentcomError =>
  cannotOpen(database, `its commit log "${commitLogOf(database)}" ${found}`, hint);

const HINT_FOR_OTHER_LOG =
  'Put the database and the log that belong together there. To go on without what is only in the log, move the log away.';
const HINT_FOR_OTHER_VERSION =
  'If the hub was updated after it was killed, start the previous version once. Otherwise restore the newest backup: `agentcom restore FILE --force`.';

/**
 * Saves what a hub that was killed left in the commit log, and returns the number of batches. The log stays. The caller MUST hold the lock.
 * Fails as `applyCommitLog`, and with `AC_SCHEMA_UNKNOWN` or `AC_MOVE_UNFINISHED`.
 */
export async function saveCommitLog(driver: SqliteDriver, database: string): Promise<number> {
  const log = await readCommitLog(database);
  if (log === null) return 0;
  const { connection, close } = await driver.open(database, 'write');
  try {
    refuseUnknownSteps('sqlite', `file "${database}"`, await stepsTaken((sql) => connection.rows(sql)));
    for (const pragma of ['synchronous = FULL', 'fullfsync = ON']) await connection.change(`PRAGMA ${pragma}`);
    return await applyCommitLog(connection, database, log);
  } finally {
    await close();
  }
}

/** As `saveCommitLog`, and removes the log. */
export async function saveAndRemoveCommitLog(driver: SqliteDriver, database: string): Promise<void> {
  await saveCommitLog(driver, database);
  await removeCommitLog(database);
  // After a power loss it would be there again, beside a store that may have another id by then.
  await syncFolder(path.dirname(database));
}

/** The database MUST have all of its batches. */
export const removeCommitLog = (database: string): Promise<void> => rm(commitLogOf(database), { force: true });

/** Whether a write reaches the disk before it completes; otherwise each is followed by a sync. On macOS it would reach the disk's cache only. */
const writesSync = (platform: string = process.platform): boolean => platform !== 'darwin' && constants.O_DSYNC !== undefined;

export class CommitLogFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #writesSync = writesSync();

  /** Empty. The database MUST have the batches of one that is there: it is overwritten, since a full disk has no room for a second one. */
  static async create(database: string, storeId: string): Promise<CommitLogFile> {
    const file = commitLogOf(database);
    const content = Buffer.alloc(HEADER_BYTES + RECORDS_BYTES);
    content.write([FORMAT, storeId, BATCH_COLUMNS.join(','), ''].join('\n'));
    const found = await unlessMissing(async () => readRegularFile(file).subarray(0, HEADER_BYTES), null);
    // While it is overwritten, its header stays readable.
    const isOverwritten = found?.equals(content.subarray(0, HEADER_BYTES)) === true;
    const target = isOverwritten ? file : `${file}.part`;
    if (!isOverwritten) await rm(target, { force: true });
    const flags = (isOverwritten ? 0 : constants.O_CREAT | constants.O_EXCL) | (writesSync() ? constants.O_DSYNC : 0);
    const handle = await open(target, constants.O_RDWR | flags, 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
      if (!isOverwritten) {
        await replaceFile(target, file);
        await syncFolder(path.dirname(file));
      }
      return new CommitLogFile(handle, file);
    } catch (thrown) {
      await handle.close();
      if (!isOverwritten) await rm(target, { force: true });
      throw thrown;
    }
  }

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  /** Writes the first `length` bytes of `record` at `offset`. Resolves once they are on disk. */
  async write(record: Buffer, length: number, offset: number): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      write(this.#handle.fd, record, 0, length, HEADER_BYTES + offset, (error, written) => {
        if (error !== null) reject(error);
        else if (written !== length) reject(new Error(`${written} of ${length} bytes were written`));
        else resolve();
      }),
    );
    if (!this.#writesSync) await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** Once the database has all of its batches. Where it cannot be removed, it is ignored later. */
  async closeAndRemove(): Promise<void> {
    await this.#handle.close();
    await Promise.allSettled([rm(this.#path, { force: true })]);
  }
}
