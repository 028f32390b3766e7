/**
 * Makes batches durable by a log, and lets SQLite commit several of them at once: a commit writes every page that it changes, and batches
 * that follow each other change many of the same.
 *
 * A batch is committed once its record is in the log, on disk. Its statement runs at the same time, in a transaction of SQLite that stays
 * open until it holds `BATCHES_MAX` batches or `BYTES_MAX`, is `AGE_MS` old, or is flushed for a read. A read sees all batches if it runs on
 * the writing connection after `executed`, or on any other after `flush`. After a crash, `applyCommitLog` saves what SQLite does not have.
 *
 * Once SQLite has committed, the log is overwritten from its start.
 */
import { AgentcomError, messageOf } from '../../../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../../../core/ports/clock.ts';
import { CommitLogFile, commitLogOf, RECORDS_BYTES } from './commit-log-file.ts';
import { RECORD_HEADER_BYTES, recordBytesMax, writeRecord } from './commit-records.ts';
import type { SqliteConnection, SqliteParameter } from '../connection.ts';
import { breaksConnection } from '../failures.ts';
import type { SaveBatch } from '../save.ts';

/** Maximum number of batches in a transaction of SQLite. */
const BATCHES_MAX = 16;
/** Size of the records after which SQLite commits, bytes. */
const BYTES_MAX = 1_048_576;
/** The time after which SQLite commits a batch, milliseconds. */
const AGE_MS = 50;
/** Maximum number of committed batches whose statements wait to be run; more wait to be committed. */
const WAITING_MAX = 4;
/** Readers come often if one comes after at most this many batches; then this many are committed directly. */
const READ_SOON = 2;
const DIRECT_BATCHES = 16;
const BUFFER_BYTES = 65_536;
const ERASED = Buffer.alloc(RECORD_HEADER_BYTES);

export interface CommitLogDeps {
  readonly writer: SqliteConnection;
  readonly database: string;
  readonly storeId: string;
  readonly clock: Clock;
}

/**
 * flushed ── `save`: BEGIN ──► open ── `flush`: COMMIT ──► flushed
 *    └── any failure except that SQLite refuses a batch that waits for it ──► failed: everything fails, and the log is kept
 */
export class CommitLog {
  readonly #writer: SqliteConnection;
  readonly #database: string;
  readonly #file: CommitLogFile;
  readonly #clock: Clock;
  #onFailure: (why: unknown) => void = () => undefined;
  #failure: unknown = null;
  /** Of the newest batch. */
  #number: number;
  #buffer = Buffer.alloc(BUFFER_BYTES);
  #offset = 0;
  /** Of the open transaction. */
  #batches = 0;
  #isOpen = false;
  /** How many of the next batches are committed directly. */
  #direct = 0;
  #timer: Timer | null = null;
  /** Batches that are committed, whose statements have not run yet. */
  #waiting = 0;
  /** The end of the newest statement. */
  #executed: Promise<unknown> = Promise.resolve();
  /** The end of the newest COMMIT. */
  #flushed: Promise<void> = Promise.resolve();

  /** The database MUST have all batches of a log that is there. */
  static async create(deps: CommitLogDeps): Promise<CommitLog> {
    const [row] = await deps.writer.rows('SELECT last_number FROM commit_log');
    return new CommitLog(deps, await CommitLogFile.create(deps.database, deps.storeId), Number(row?.['last_number']));
  }

  private constructor({ writer, database, clock }: CommitLogDeps, file: CommitLogFile, lastNumber: number) {
    this.#writer = writer;
    this.#database = database;
    this.#clock = clock;
    this.#file = file;
    this.#number = lastNumber;
  }

  /** `onFailure` is called once, when nothing can be saved any more until the database is reopened. */
  watch(onFailure: (why: unknown) => void): void {
    this.#onFailure = onFailure;
  }

  /**
   * Resolves once the batch is committed. One at a time. `isCertain`: SQLite cannot refuse it, since it is based on what was read, so that
   * its statement need not have run. Fails with SQLite's error, and the batch is not committed; any other failure leaves that open.
   */
  async save({ sql, parameters }: SaveBatch, lastEvent: number, isCertain: boolean): Promise<void> {
    this.#requireWorking();
    if (this.#direct > 0 && !this.#isOpen) return this.#saveDirectly(sql, parameters(lastEvent, null));
    const number = this.#number + 1;
    const values = parameters(lastEvent, number);
    const bytesMax = recordBytesMax(values);
    if (bytesMax > RECORDS_BYTES) {
      await this.flush();
      return this.#saveDirectly(sql, parameters(lastEvent, null));
    }
    if (this.#offset + bytesMax > RECORDS_BYTES) void this.flush();
    // After the COMMIT, so that the log may be overwritten. A reader may flush before the next line runs.
    while (!this.#isOpen) await this.#begin();
    if (this.#buffer.length < bytesMax) this.#buffer = Buffer.alloc(bytesMax);
    const length = writeRecord(this.#buffer, { number, isCertain, values });
    const offset = this.#offset;
    this.#offset += length;
    this.#batches += 1;
    this.#number = number;
    const appended = this.#write(this.#buffer, length, offset);
    const executed = this.#run(sql, values, !isCertain);
    if (this.#batches >= BATCHES_MAX || this.#offset >= BYTES_MAX) void this.flush();
    if (isCertain) return this.#acknowledged(appended, executed);
    const [, outcome] = await Promise.all([appended, settled(executed)]);
    if (outcome === null) return;
    // Otherwise it would be saved after a crash.
    await this.#write(ERASED, ERASED.length, offset);
    this.#number -= 1;
    if (this.#offset === offset + length) {
      this.#offset = offset;
      this.#batches -= 1;
    }
    throw outcome.failure as Error;
  }

  /** SQLite commits it. After a failure of the disk, it may be committed nevertheless. */
  async #saveDirectly(sql: string, values: readonly SqliteParameter[]): Promise<void> {
    this.#direct = Math.max(0, this.#direct - 1);
    try {
      await this.#run(sql, values, true);
    } catch (thrown) {
      throw breaksConnection(thrown)
        ? unavailable(`Cannot commit in "${this.#database}": ${messageOf(thrown)}.`, this.#database, thrown)
        : thrown;
    }
  }

  async #acknowledged(appended: Promise<void>, executed: Promise<unknown>): Promise<void> {
    this.#waiting += 1;
    const ended = settled(executed).then(() => void (this.#waiting -= 1));
    await appended;
    if (this.#waiting > WAITING_MAX) await ended;
  }

  /** Runs a statement of no batch, after those of all batches so far. */
  async change(sql: string, ...values: readonly SqliteParameter[]): Promise<void> {
    await this.#run(sql, values, true);
  }

  /** Resolves once the statements of all batches have run. */
  async executed(): Promise<void> {
    await this.#executed;
    this.#requireWorking();
  }

  /**
   * As `flush`, for a reader on another connection. If readers come nearly as often as batches, SQLite commits the next ones directly: the log
   * would add a write to each.
   */
  flushForReader(): Promise<void> {
    if (this.#isOpen && this.#batches <= READ_SOON) this.#direct = DIRECT_BATCHES;
    return this.flush();
  }

  /** Resolves once every connection sees all batches. */
  flush(): Promise<void> {
    if (!this.#isOpen) return this.#flushed;
    this.#isOpen = false;
    this.#timer?.cancel();
    this.#offset = 0;
    this.#batches = 0;
    this.#flushed = this.#run('COMMIT', [], false).then(() => undefined);
    // Its failure is reported by `watch`, and each use fails from then on.
    void Promise.allSettled([this.#flushed]);
    return this.#flushed;
  }

  /** Once no batch is being saved. The file is removed if the database has everything. */
  async close(): Promise<void> {
    await this.#executed;
    const outcome = this.#failure === null ? await settled(this.flush()) : { failure: this.#failure };
    this.#timer?.cancel();
    if (outcome === null) await this.#file.closeAndRemove();
    else await this.#file.close();
  }

  async #begin(): Promise<void> {
    await this.#run('BEGIN IMMEDIATE', [], true);
    this.#isOpen = true;
    this.#timer = this.#clock.after(AGE_MS, () => void this.flush());
  }

  async #write(record: Buffer, length: number, offset: number): Promise<void> {
    try {
      await this.#file.write(record, length, offset);
    } catch (thrown) {
      const file = commitLogOf(this.#database);
      const failure = unavailable(`Cannot write to "${file}": ${messageOf(thrown)}.`, file, thrown);
      this.#fail(failure);
      throw failure;
    }
  }

  /** Runs a statement after all earlier ones: the package sqlite3 may run those of one connection in any order. */
  #run(sql: string, values: readonly SqliteParameter[], mayBeRefused: boolean): Promise<unknown> {
    const running = this.#executed.then(() => {
      this.#requireWorking();
      return this.#writer.change(sql, ...values);
    });
    this.#executed = running.catch((thrown: unknown) => {
      // Of a statement that is refused, SQLite rolls back that statement alone.
      if (!mayBeRefused || breaksConnection(thrown)) this.#fail(thrown);
    });
    return running;
  }

  /** A failure of an earlier batch is not one of this batch. */
  #requireWorking(): void {
    if (this.#failure === null) return;
    const message = `Cannot use "${this.#database}", which failed before: ${messageOf(this.#failure)}.`;
    throw unavailable(message, this.#database, this.#failure);
  }

  #fail(why: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = why;
    this.#timer?.cancel();
    this.#onFailure(why);
  }
}

/** Null: it succeeded. */
const settled = (work: Promise<unknown>): Promise<{ readonly failure: unknown } | null> =>
  work.then(
    () => null,
    (failure: unknown) => ({ failure }),
  );

const unavailable = (message: string, file: string, cause: unknown): AgentcomError =>
  new AgentcomError('AC_STORE_UNAVAILABLE', message, {
    cause,
    hint: 'Check its disk: free space, mount, permissions. A hub opens it again by itself.',
    details: { file },
  });
