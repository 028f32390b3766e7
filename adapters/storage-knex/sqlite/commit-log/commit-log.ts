/**
 * Makes batches durable by a log, and lets SQLite commit several of them at once: a commit writes every page that it changes, and batches
 * that follow each other change many of the same.
 *
 * A batch is committed once its record is in the log, on disk. Its statement runs at the same time or, if SQLite cannot refuse it, together
 * with those of later batches. SQLite commits the batches once they have `COMMIT_BYTES`, are `AGE_MS` old, or are flushed for a read. A read
 * sees all batches if it runs on the writing connection after `executed`, or on any other after `flush`. After a crash, `applyCommitLog` saves
 * what SQLite does not have.
 *
 * The batches of a transaction are in one half of the log, which is overwritten once SQLite has committed them. Meanwhile the other half is
 * written to.
 */
import { randomInt } from 'node:crypto';
import { AgentcomError, messageOf } from '../../../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../../../core/ports/clock.ts';
import { CommitLogFile, commitLogOf, HALF_BYTES } from './commit-log-file.ts';
import { RECORD_HEADER_BYTES, recordBytesMax, writeRecord } from './commit-records.ts';
import type { SqliteConnection, SqliteParameter } from '../connection.ts';
import { breaksConnection, isBusy, sqliteCodeBehind } from '../failures.ts';
import { BATCH_COLUMNS, saveStatement, type SaveBatch } from '../save.ts';
import { mergedValues, paddedValues, type WaitingBatch } from './merge-batches.ts';

/** SQLite commits batches once their records have this size: a larger commit keeps the disk busy for longer, and others wait. */
const COMMIT_BYTES = 917_504;
/** The time after which SQLite commits a batch, milliseconds. If it were shorter, SQLite would sync more often, on the disk that the next batches wait for. */
const AGE_MS = 500;
/** Certain batches are saved by one statement once their records have this size, bytes. */
const DEFERRED_BYTES_MAX = 131_072;
/** Or once there are this many: a statement takes 32,766 values. */
const DEFERRED_MAX = 512;
/** Or once they have this size and the first of them is this old: a statement for the tasks of half a second keeps a CPU for so long that others wait. */
const DEFERRED_SOON = { bytes: 16_384, ms: 20 };
/** Maximum number of such statements that wait to be run; further batches wait to be committed. */
const WAITING_MAX = 4;
/** Readers come often if one comes after at most this many batches; then this many are committed directly. */
const READ_SOON = 2;
const DIRECT_BATCHES = 16;
const BUFFER_BYTES = 65_536;
/** How many numbers are skipped at most when the database is opened. */
const SKIPPED_MAX = 1_048_576;
/** How often SQLite waits for the lock of another program before batches that are in the log already, until the database is reopened. */
const BEGINS_MAX = 6;
const ERASED = Buffer.alloc(RECORD_HEADER_BYTES);

export interface CommitLogDeps {
  readonly writer: SqliteConnection;
  readonly database: string;
  readonly storeId: string;
  readonly clock: Clock;
}

/**
 * flushed ── `save` ──► open ── before its first statement: BEGIN ──► begun ── `flush`: COMMIT ──► flushed
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
  /** The half that has the batches of the newest transaction; the other one has those that SQLite may still be committing. */
  #half: 0 | 1 = 1;
  /** In that half. */
  #offset = 0;
  /** In that half. */
  #batches = 0;
  /** Whether more batches may be added to that half. */
  #isOpen = false;
  /** Whether the transaction for that half has begun. Until then other programs may write to the database. */
  #hasBegun = false;
  /** How many of the next batches are committed directly. */
  #direct = 0;
  #timer: Timer | null = null;
  /** Certain batches whose statement does not run yet. */
  #deferred: WaitingBatch[] = [];
  #deferredBytes = 0;
  /** When the first of them was deferred, by the monotonic clock. */
  #deferredSinceMs = 0;
  /** How many statements of certain batches wait to be run. */
  #waiting = 0;
  /** The end of the newest statement. */
  #executed: Promise<unknown> = Promise.resolve();
  #isFlushing = false;
  /** The ends of the newest COMMIT and of the one before. */
  #flushed: Promise<void> = Promise.resolve();
  #flushedBefore: Promise<void> = Promise.resolve();

  /** The database MUST have all batches of a log that is there. */
  static async create(deps: CommitLogDeps): Promise<CommitLog> {
    // A log never continues the numbers of an earlier one: a copy of the database from before this does not fit the new log.
    await deps.writer.change('UPDATE commit_log SET last_number = last_number + ?1', randomInt(1, SKIPPED_MAX));
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
  async save({ tasks, sql, parameters }: SaveBatch, lastEvent: number, isCertain: boolean): Promise<void> {
    this.#requireWorking();
    const number = this.#number + 1;
    const values = parameters(lastEvent, number);
    if (this.#direct > 0 && !this.#isOpen) return this.#saveDirectly(sql, values, number);
    const bytesMax = recordBytesMax(values);
    if (bytesMax > HALF_BYTES) {
      await this.flush();
      return this.#saveDirectly(sql, values, number);
    }
    if (this.#offset + bytesMax > HALF_BYTES) void this.flush();
    // A reader may flush before the next line runs.
    while (!this.#isOpen) await this.#open(isCertain);
    if (this.#buffer.length < bytesMax) this.#buffer = Buffer.alloc(bytesMax);
    const length = writeRecord(this.#buffer, { number, isCertain, values });
    const place = { half: this.#half, offset: this.#offset };
    this.#offset += length;
    this.#batches += 1;
    this.#number = number;
    const appended = this.#write(this.#buffer, length, place);
    const isFull = this.#offset >= COMMIT_BYTES;
    if (isCertain) {
      if (this.#deferred.push({ tasks, values }) === 1) this.#deferredSinceMs = this.#clock.monotonicMs();
      this.#deferredBytes += length;
      // Sooner than its first statement, which then need not wait for it.
      if (this.#deferredBytes >= DEFERRED_BYTES_MAX / 2) this.#beginOnce();
      if (this.#isDeferredEnough()) this.#runDeferred();
      if (isFull) void this.flush();
      await appended;
      if (this.#waiting > WAITING_MAX) await this.#executed;
      return;
    }
    this.#runDeferred();
    const executed = this.#runBegun(sql, values, true);
    if (isFull) void this.flush();
    const [, outcome] = await Promise.all([appended, settled(executed)]);
    if (outcome === null) return;
    // Otherwise it would be saved after a crash.
    await this.#write(ERASED, ERASED.length, place);
    this.#number -= 1;
    if (this.#isOpen && this.#half === place.half) {
      this.#offset = place.offset;
      this.#batches -= 1;
    }
    throw outcome.failure as Error;
  }

  /** SQLite commits it. After a failure of the disk, it may be committed nevertheless. */
  async #saveDirectly(sql: string, values: readonly SqliteParameter[], number: number): Promise<void> {
    this.#direct = Math.max(0, this.#direct - 1);
    try {
      await this.#run(sql, values, true);
      this.#number = number;
    } catch (thrown) {
      throw breaksConnection(thrown)
        ? unavailable(`Cannot commit in "${this.#database}": ${messageOf(thrown)}.`, this.#database, thrown)
        : thrown;
    }
  }

  #isDeferredEnough(): boolean {
    if (this.#deferredBytes >= DEFERRED_BYTES_MAX || this.#deferred.length >= DEFERRED_MAX) return true;
    return this.#deferredBytes >= DEFERRED_SOON.bytes && this.#clock.monotonicMs() - this.#deferredSinceMs >= DEFERRED_SOON.ms;
  }

  #runDeferred(): void {
    if (this.#deferred.length === 0) return;
    const values = paddedValues(mergedValues(this.#deferred));
    this.#deferred = [];
    this.#deferredBytes = 0;
    this.#waiting += 1;
    void settled(this.#runBegun(saveStatement(values.length / BATCH_COLUMNS.length), values, false)).then(() => void (this.#waiting -= 1));
  }

  /** Runs a statement of no batch, after those of all batches so far. */
  async change(sql: string, ...values: readonly SqliteParameter[]): Promise<void> {
    this.#runDeferred();
    await this.#run(sql, values, true);
  }

  /** Runs `work`, which reads on the writing connection, after the statements of all batches so far. */
  async read<T>(work: () => Promise<T>): Promise<T> {
    this.#runDeferred();
    return (await this.#inOrder(work, true)) as T;
  }

  /** Resolves once the statements of all batches have run. */
  async executed(): Promise<void> {
    this.#runDeferred();
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
    this.#runDeferred();
    this.#timer?.cancel();
    this.#flushedBefore = this.#flushed;
    const flushed = this.#runBegun('COMMIT', [], false).then(() => undefined);
    this.#flushed = flushed;
    // Its failure is reported by `watch`, and each use fails from then on.
    void settled(flushed).then(() => {
      if (this.#flushed === flushed) this.#isFlushing = false;
    });
    this.#isFlushing = true;
    return flushed;
  }

  /** Once no batch is being saved. The file is removed if the database has everything. */
  async close(): Promise<void> {
    await this.#executed;
    const outcome = this.#failure === null ? await settled(this.flush()) : { failure: this.#failure };
    this.#timer?.cancel();
    if (outcome === null) await this.#file.closeAndRemove();
    else await this.#file.close();
  }

  /** Once SQLite has the batches of the half that is overwritten now. */
  async #open(isCertain: boolean): Promise<void> {
    await Promise.allSettled([this.#flushedBefore]);
    this.#requireWorking();
    const isProbed = !this.#isFlushing;
    // If another program holds the lock, the batch is refused. After a COMMIT that still runs, that is only known once batches are in the log.
    if (isProbed) await this.#run('BEGIN IMMEDIATE', [], true);
    // Not a ROLLBACK: the mark of the clock may have been saved in between.
    if (isProbed && isCertain) void settled(this.#run('COMMIT', [], false));
    this.#hasBegun = isProbed && !isCertain;
    this.#isOpen = true;
    this.#half = this.#half === 0 ? 1 : 0;
    this.#offset = 0;
    this.#batches = 0;
    this.#timer = this.#clock.after(AGE_MS, () => void this.flush());
  }

  async #write(record: Buffer, length: number, { half, offset }: { readonly half: 0 | 1; readonly offset: number }): Promise<void> {
    try {
      await this.#file.write(record, length, half * HALF_BYTES + offset);
    } catch (thrown) {
      const file = commitLogOf(this.#database);
      const failure = unavailable(`Cannot write to "${file}": ${messageOf(thrown)}.`, file, thrown);
      this.#fail(failure);
      throw failure;
    }
  }

  /** Runs a statement after all earlier ones: the package sqlite3 may run those of one connection in any order. */
  #run(sql: string, values: readonly SqliteParameter[], mayBeRefused: boolean): Promise<unknown> {
    return this.#inOrder(() => this.#writer.change(sql, ...values), mayBeRefused);
  }

  /** The same, in the transaction for the newest half. */
  #runBegun(sql: string, values: readonly SqliteParameter[], mayBeRefused: boolean): Promise<unknown> {
    this.#beginOnce();
    return this.#run(sql, values, mayBeRefused);
  }

  #beginOnce(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    void settled(this.#inOrder(() => this.#begunAtLast(), false));
  }

  async #begunAtLast(): Promise<void> {
    for (let begins = 1; ; begins += 1)
      try {
        await this.#writer.change('BEGIN IMMEDIATE');
        return;
      } catch (thrown) {
        if (!isBusy(thrown) || begins === BEGINS_MAX) throw thrown;
      }
  }

  #inOrder(work: () => Promise<unknown>, mayBeRefused: boolean): Promise<unknown> {
    const running = this.#executed.then(() => {
      this.#requireWorking();
      return work();
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
    details: { file, sqlite: sqliteCodeBehind(cause) ?? null },
  });
