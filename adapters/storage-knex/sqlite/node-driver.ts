/** SQLite through `node:sqlite`. It blocks the thread that calls it, so each connection has a thread of its own. */
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { Knex } from 'knex';
import type { Row } from '../engine.ts';
import { evict } from '../knex-readers.ts';
import { givenOf, type SqliteConnection } from './connection.ts';
import { statementFor, type RawDatabase, type SqliteDriver, type SqlitePool } from './sqlite-driver.ts';
import { THREAD_PROGRAM, type ThreadResponse, type ThreadRequest, type SqliteValue, type ThreadPlan } from './node-thread.ts';

/** How long a connection without Knex waits for another program's lock, as sqlite3 does. */
const BUSY_MS = 1_000;
/** Maximum number of statements that one connection keeps prepared; the least recently used one is evicted. */
const PREPARED_MAX = 128;
/** Maximum number of threads of a pool that were abandoned while their statement still runs; at this number, no new one is started. */
const GIVEN_UP_MAX = 2;

export function nodeDriver(): SqliteDriver {
  const version = process.versions['sqlite'] ?? '0';
  const textOf = statementFor(version);
  return {
    name: 'node',
    version,
    async open(file, mode) {
      const database = await ThreadDatabase.open({ file, mode, pragmas: [`PRAGMA busy_timeout = ${BUSY_MS}`] }, textOf);
      return { connection: connectionOver(database), close: () => closed(database) };
    },
    poolConfig: (knex, pool) => ({
      client: clientOf(knex, pool, textOf),
      // Knex makes no pool without a connection setting.
      connection: { filename: pool.file },
      pool: { min: 0, max: pool.max },
    }),
    connectionOver: (raw) => connectionOver(raw as ThreadDatabase),
  };
}

/** Knex' client of sqlite3, with other connections: it uses them like those of sqlite3. */
function clientOf(
  knex: (config: Knex.Config) => Knex,
  { file, mode, pragmas }: SqlitePool,
  textOf: (sql: string) => string,
): typeof Knex.Client {
  const Sqlite3Client = knex({ client: 'sqlite3', useNullAsDefault: true }).client.constructor as typeof Knex.Client;
  const givenUp = new Set<Promise<void>>();
  return class NodeClient extends Sqlite3Client {
    _driver(): unknown {
      return {};
    }
    override async acquireRawConnection(): Promise<ThreadDatabase> {
      while (givenUp.size >= GIVEN_UP_MAX) await Promise.race(givenUp);
      return ThreadDatabase.open({ file, mode, pragmas }, textOf);
    }
    override async destroyRawConnection(database: ThreadDatabase): Promise<void> {
      const ended = closed(database);
      givenUp.add(ended);
      await ended.finally(() => givenUp.delete(ended));
    }
  };
}

/** The callback that Knex passes to a connection of sqlite3: the number of changes is in `this`. */
type Done<Answer> = (this: { readonly changes: number; readonly lastID: number }, error: Error | null, answer: Answer) => void;
type Pending = (error: Error | null, answered: ThreadResponse) => void;

/**
 * open ── close ──► closed
 *   ├── interrupt ──► given up: the running statement fails at once, and the thread ends after it ──► closed
 *   └── the thread fails ──► failed: every request fails
 */
export class ThreadDatabase implements RawDatabase {
  readonly #thread: Worker;
  readonly #textOf: (sql: string) => string;
  /** The callbacks of requests without a response yet, oldest first. */
  readonly #pending: Pending[] = [];
  /** The place of each statement in the thread, least recently used first. */
  readonly #places = new Map<string, number>();
  readonly #freePlaces: number[] = [];
  #failure: Error | null = null;
  #isGivenUp = false;

  /** Fails if opening the file does. */
  static async open(plan: ThreadPlan, textOf: (sql: string) => string): Promise<ThreadDatabase> {
    if (plan.mode === 'write' && (await stat(plan.file).catch(() => null)) === null)
      throw sqliteError('SQLITE_CANTOPEN', 'unable to open database file');
    const database = new ThreadDatabase(plan, textOf);
    try {
      await new Promise<void>((resolve, reject) => database.#await((error) => (error === null ? resolve() : reject(error))));
      return database;
    } catch (thrown) {
      await database.#thread.terminate();
      throw thrown;
    }
  }

  private constructor(plan: ThreadPlan, textOf: (sql: string) => string) {
    this.#textOf = textOf;
    this.#thread = new Worker(THREAD_PROGRAM, {
      eval: true,
      name: 'agentcom-sqlite',
      workerData: plan,
      // Without this program's own options, such as a loader's. Some versions of Node warn that node:sqlite is experimental.
      env: {},
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    this.#thread.on('message', (answered: ThreadResponse) => this.#answer(answered));
    this.#thread.on('error', (error) => this.#fail(error));
    this.#thread.on('exit', () => this.#fail(new Error('it has ended')));
    this.#thread.unref();
  }

  /** The rows of a statement. */
  all(sql: string, parameters: readonly unknown[] | undefined, done: Done<readonly Row[]>): void {
    this.#ask('all', sql, parameters, (error, answered) =>
      done.call(NOTHING_CHANGED, error, error === null && 'rows' in answered ? answered.rows : []),
    );
  }

  /** Runs a statement for what it changes. */
  run(sql: string, parameters: readonly unknown[] | undefined, done: Done<undefined>): void {
    this.#ask('run', sql, parameters, (error, answered) =>
      done.call(error === null && 'changes' in answered ? answered : NOTHING_CHANGED, error, undefined),
    );
  }

  /** Nothing can interrupt a statement of `node:sqlite`. Its request fails at once, and its connection is not used again. */
  interrupt(): void {
    if (this.#isGivenUp || this.#failure !== null) return;
    this.#isGivenUp = true;
    evict(this, 'its statement took too long');
    this.#fail(sqliteError('SQLITE_INTERRUPT', 'interrupted'));
    void this.#thread.terminate();
  }

  /** Closes after all earlier requests. */
  close(done: (error: Error | null) => void): void {
    const end = (error: Error | null): void => void this.#thread.terminate().then(() => done(error));
    if (this.#failure !== null) return end(null);
    this.#post(['close', 0, null, []], end);
  }

  #ask(kind: 'all' | 'run', sql: string, parameters: readonly unknown[] = [], done: Pending): void {
    // The transaction ends with the connection.
    if (this.#isGivenUp && sql.startsWith('ROLLBACK')) return queueMicrotask(() => done(null, { rows: [] }));
    const known = this.#places.get(sql);
    const place = known ?? this.#freePlace();
    this.#places.delete(sql);
    this.#places.set(sql, place);
    this.#post([kind, place, known === undefined ? this.#textOf(sql) : null, parameters.map(valueOf)], (error, answered) => {
      // A statement that could not be prepared is not there.
      if (error !== null && this.#places.get(sql) === place) {
        this.#places.delete(sql);
        this.#freePlaces.push(place);
      }
      done(error, answered);
    });
  }

  #freePlace(): number {
    const free = this.#freePlaces.pop();
    if (free !== undefined) return free;
    const [oldest] = this.#places;
    if (oldest === undefined || this.#places.size < PREPARED_MAX) return this.#places.size;
    this.#places.delete(oldest[0]);
    return oldest[1];
  }

  #post(request: ThreadRequest, done: Pending): void {
    const failure = this.#failure;
    if (failure !== null) return queueMicrotask(() => done(failure, { rows: [] }));
    this.#await(done);
    this.#thread.postMessage(request);
  }

  /** A thread keeps the process alive only while it has something to do. */
  #await(done: Pending): void {
    if (this.#pending.push(done) === 1) this.#thread.ref();
  }

  #answer(answered: ThreadResponse): void {
    const done = this.#pending.shift();
    if (this.#pending.length === 0) this.#thread.unref();
    if ('message' in answered) done?.(errorOf(answered), answered);
    else done?.(null, answered);
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    const failure =
      'code' in error && String(error.code).startsWith('SQLITE_')
        ? error
        : sqliteError('SQLITE_IOERR', `its thread failed: ${error.message}`);
    this.#failure = failure;
    this.#thread.unref();
    for (const done of this.#pending.splice(0)) done(failure, { rows: [] });
  }
}

const NOTHING_CHANGED = { changes: 0, lastID: 0 };

const closed = (database: ThreadDatabase): Promise<void> =>
  new Promise((resolve, reject) => database.close((error) => (error === null ? resolve() : reject(error))));

const connectionOver = (database: ThreadDatabase): SqliteConnection => ({
  rows: (sql, ...parameters) =>
    new Promise((resolve, reject) =>
      database.all(sql, givenOf(parameters), (error, rows) => (error === null ? resolve(rows) : reject(error))),
    ),
  change: (sql, ...parameters) =>
    new Promise((resolve, reject) =>
      database.run(sql, givenOf(parameters), function done(error) {
        if (error === null) resolve(this.changes);
        else reject(error);
      }),
    ),
  // They are released with their connection.
  finalize: () => Promise.resolve(),
});

/** Converts the values that Knex passes, as sqlite3 does. */
function valueOf(value: unknown): SqliteValue {
  if (value === undefined) return null;
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof Date) return value.getTime();
  return value as SqliteValue;
}

/** The names of SQLite's errors, each at the index of its code. */
const CODES = [
  ...['OK', 'ERROR', 'INTERNAL', 'PERM', 'ABORT', 'BUSY', 'LOCKED', 'NOMEM', 'READONLY', 'INTERRUPT', 'IOERR', 'CORRUPT', 'NOTFOUND'],
  ...['FULL', 'CANTOPEN', 'PROTOCOL', 'EMPTY', 'SCHEMA', 'TOOBIG', 'CONSTRAINT', 'MISMATCH', 'MISUSE', 'NOLFS', 'AUTH', 'FORMAT'],
  ...['RANGE', 'NOTADB'],
];

/** An error in the form of those of sqlite3. */
const sqliteError = (code: string, message: string): Error => Object.assign(new Error(`${code}: ${message}`), { code });

/** The lower eight bits are the code, those above give details. */
const errorOf = ({ errcode, message }: { readonly errcode: number | null; readonly message: string }): Error =>
  errcode === null ? new Error(message) : sqliteError(`SQLITE_${CODES[errcode & 0xff] ?? 'ERROR'}`, message);
