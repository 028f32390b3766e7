/**
 * The file of the commit log, beside the database: a header, and the records. It is made of zeros, so that writing a record changes nothing but
 * its own blocks.
 */
import { constants, write } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../../../core/errors/agentcom-error.ts';
import { readRegularFile, replaceFile, syncFolder, unlessMissing } from '../../../kit/platform-files.ts';
import type { SqliteConnection } from '../connection.ts';
import { recordsIn, type LoggedBatch } from './commit-records.ts';
import { sqliteCodeOf } from '../failures.ts';
import { cannotOpen } from '../files.ts';
import type { SqliteDriver } from '../sqlite-driver.ts';
import { BATCH_COLUMNS, insertOf, SAVE_AT_ONCE } from '../save.ts';

const FORMAT = 'agentcom commit log 1';
const HEADER_BYTES = 4_096;
/** The size of each half of the records: a larger batch does not go through the log. */
export const HALF_BYTES = 1_048_576;
export const RECORDS_BYTES = 2 * HALF_BYTES;

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
  if (format !== FORMAT)
    throw cannotOpen(
      database,
      `its commit log "${file}" is damaged or of another version`,
      'If the hub was updated after it was killed, start the previous version once. Otherwise restore the newest backup: `agentcom restore FILE --force`.',
    );
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
 * Saves the batches of a commit log that the database does not have yet, each in a transaction of its own, and returns their number. The last
 * one may be refused: then it was not acknowledged. Fails with `AC_STORAGE_OPEN` if the log belongs to another state of the database, and with
 * SQLite's errors.
 */
export async function applyCommitLog(connection: SqliteConnection, database: string, log: CommitLogContent | null): Promise<number> {
  if (log === null) return 0;
  const [row] = await connection.rows('SELECT last_number, (SELECT store_id FROM store) AS store_id FROM commit_log');
  const last = Number(row?.['last_number']);
  const newer = log.batches.filter(({ number }) => number > last);
  const refuse = (found: string): never => {
    throw cannotOpen(
      database,
      `its commit log "${commitLogOf(database)}" ${found}`,
      'Put the database and the log that belong together there. To go on without what is only in the log, move the log away.',
    );
  };
  if (row?.['store_id'] !== log.storeId) refuse(`is of store ${log.storeId}, expected ${String(row?.['store_id'])}`);
  if (!isWhole(log, last)) refuse(`is damaged, or of another state of the database: it has not all batches after number ${last}`);
  if (newer.length === 0) return 0;
  if (log.columns.some((name) => !BATCH_COLUMNS.includes(name))) refuse('was written by a newer version');
  const [view] = await connection.rows("SELECT 1 FROM sqlite_temp_master WHERE name = 'saved_batch'");
  if (view === undefined) for (const statement of SAVE_AT_ONCE) await connection.change(statement);
  let applied = 0;
  for (const { number, isCertain, values } of newer)
    try {
      await connection.change(insertOf(values.length / log.columns.length, log.columns), ...values);
      applied += 1;
    } catch (thrown) {
      if (sqliteCodeOf(thrown) !== 'SQLITE_CONSTRAINT') throw thrown;
      // It was not acknowledged: a batch that is refused is erased before the next one is written.
      if (isCertain || number !== newer.at(-1)?.number) refuse(`has batch ${number}, which SQLite refuses: ${messageOf(thrown)}`);
      await connection.change('UPDATE commit_log SET last_number = ?1', number);
    }
  return applied;
}

/** Saves what a hub that was killed left in the commit log, and removes it. The caller MUST hold the lock. Fails as `applyCommitLog`. */
export async function saveCommitLog(driver: SqliteDriver, database: string): Promise<void> {
  const log = await readCommitLog(database);
  if (log === null) return;
  const { connection, close } = await driver.open(database, 'write');
  try {
    await connection.change('PRAGMA synchronous = FULL');
    await applyCommitLog(connection, database, log);
  } finally {
    await close();
  }
  await removeCommitLog(database);
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
