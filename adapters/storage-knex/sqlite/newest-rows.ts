/** What is known on the writing connection about the newest rows, so that a batch can be known to be new without a lookup of its rows. */
import type { Row, SavedRows } from '../engine.ts';
import type { SqliteConnection } from './connection.ts';

/** Others are compared by bytes in SQLite, and by UTF-16 units in JavaScript: their orders differ. */
const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** How many IDs a generation has. */
const IDS_IN_GENERATION = 8_192;

/** The keys that clients make for several tasks begin with the time as 12 hexadecimal digits, so until the year 2527 with this one. */
const TIMED_FROM = '0';
const TIMED_UNTIL = '1';
const isTimed = (key: string): boolean => key >= TIMED_FROM && key < TIMED_UNTIL;

/** Idempotency keys that may name a task (idempotency-key.ts) begin with this, and are below the other. */
const NAMES_FROM = 'task-';
const NAMES_UNTIL = 'task.';

export class NewestRows {
  readonly #connection: SqliteConnection;
  readonly #executed: () => Promise<unknown>;
  /** The number of the newest event. */
  #event: number | null = null;
  #tasks: NewestIds | null = null;
  /** Of the keys that begin with the time. */
  #keys: NewestIds | null = null;
  /** By owner: the greatest of its idempotency keys that begin like the ID of a task. Most have none. */
  #names: Map<string, string> | null = null;

  /** `executed`: resolves once all batches before a lookup are in the database. */
  constructor(connection: SqliteConnection, executed: () => Promise<unknown>) {
    this.#connection = connection;
    this.#executed = executed;
  }

  /** Returns the number of the newest event before these, which are about to be saved. */
  async nextEvents(count: number): Promise<number> {
    const last = (this.#event ??= Number(
      (await this.#lookedUp("SELECT seq AS found FROM sqlite_sequence WHERE name = 'task_events'"))[0]?.['found'] ?? 0,
    ));
    this.#event = last + count;
    return last;
  }

  /**
   * Whether these tasks and keys, which are about to be saved, are certainly new: no such task is stored or was removed, no idempotency key of
   * its submitter is its ID, and the keys begin with the time and are not stored either.
   */
  async areNew({ insertTasks, insertKeys }: Pick<SavedRows, 'insertTasks' | 'insertKeys'>): Promise<boolean> {
    if (insertTasks.length + insertKeys.length === 0) return true;
    const [tasks, names] = [await this.#tasksKnown(), await this.#namesKnown()];
    const areUnnamed = names.size === 0 || insertTasks.every(({ id, submittedBy }) => id > (names.get(submittedBy) ?? ''));
    const areNewTasks = tasks.areNew(insertTasks.map(({ id }) => id)) && areUnnamed;
    if (insertKeys.length === 0) return areNewTasks;
    for (const { owner, key } of insertKeys)
      if (key >= NAMES_FROM && key < NAMES_UNTIL && key > (names.get(owner) ?? '')) names.set(owner, key);
    const timed = insertKeys.map(({ key }) => key).filter(isTimed);
    return (await this.#keysKnown()).areNew(timed) && timed.length === insertKeys.length && areNewTasks;
  }

  /** After a batch was refused. */
  forget(): void {
    this.#event = null;
    this.#tasks = null;
    this.#keys = null;
    this.#names = null;
  }

  /** Before a statement that may save rows of which nothing is noted here. */
  forgetSavedBy(statement: string): void {
    if (statement === 'insertTasks') this.#tasks = null;
    else if (statement === 'insertKeys') [this.#keys, this.#names] = [null, null];
    else if (statement === 'insertEvents') this.#event = null;
  }

  async #tasksKnown(): Promise<NewestIds> {
    return (this.#tasks ??= new NewestIds(greatestIn(await this.#lookedUp(GREATEST_TASK))));
  }

  async #keysKnown(): Promise<NewestIds> {
    return (this.#keys ??= new NewestIds(greatestIn(await this.#lookedUp(greatestKeys(TIMED_FROM, TIMED_UNTIL)))));
  }

  async #namesKnown(): Promise<Map<string, string>> {
    if (this.#names === null) {
      const rows = await this.#lookedUp(greatestKeys(NAMES_FROM, NAMES_UNTIL));
      this.#names = new Map(rows.map((row) => [String(row['owner']), String(row['found'])]));
    }
    return this.#names;
  }

  async #lookedUp(sql: string): Promise<readonly Row[]> {
    await this.#executed();
    return this.#connection.rows(sql);
  }
}

const GREATEST_TASK = `
  SELECT max(found) AS found FROM (SELECT max(id) AS found FROM tasks UNION ALL SELECT max(task_id) FROM tombstones)`;

const greatestIn = (rows: readonly Row[]): string =>
  rows.reduce((greatest, { found }) => (typeof found === 'string' && found > greatest ? found : greatest), '');

/** The greatest key of each owner in that range. The keys of each owner are in order: finds the owners one by one. */
const greatestKeys = (from: string, until: string): string => `
  WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM idempotency_keys
    UNION ALL SELECT (SELECT min(owner) FROM idempotency_keys AS k WHERE k.owner > owners.owner) FROM owners WHERE owners.owner IS NOT NULL),
  greatest (owner, found) AS (
    SELECT owner, (SELECT max(key) FROM idempotency_keys AS k WHERE k.owner = owners.owner AND k.key >= '${from}' AND k.key < '${until}')
    FROM owners WHERE owner IS NOT NULL)
  SELECT owner, found FROM greatest WHERE found IS NOT NULL`;

/** The latest IDs of tasks, or keys, and the greatest of the older ones. Most begin with the time, but by the clocks of several clients and the hub. */
class NewestIds {
  /** Not less than any ID that is in neither generation. */
  #greatestOther: string;
  #young = new Set<string>();
  #youngGreatest = '';
  #old = new Set<string>();
  #oldGreatest = '';

  constructor(greatest: string) {
    this.#greatestOther = greatest;
  }

  /** Notes them all. */
  areNew(ids: readonly string[]): boolean {
    let areNew = true;
    for (const id of ids) {
      areNew &&= id > this.#greatestOther && isAscii(id) && !this.#young.has(id) && !this.#old.has(id);
      this.#add(id);
    }
    return areNew;
  }

  #add(id: string): void {
    if (this.#young.size >= IDS_IN_GENERATION) {
      if (this.#oldGreatest > this.#greatestOther) this.#greatestOther = this.#oldGreatest;
      [this.#old, this.#oldGreatest] = [this.#young, this.#youngGreatest];
      [this.#young, this.#youngGreatest] = [new Set(), ''];
    }
    this.#young.add(id);
    if (id > this.#youngGreatest) this.#youngGreatest = id;
  }
}
