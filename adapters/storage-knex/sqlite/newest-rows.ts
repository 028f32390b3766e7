/** What is known on the writing connection about the newest rows, so that a batch can be known to be new without a lookup of its rows. */
import type { SavedRows } from '../engine.ts';
import type { SqliteConnection } from './connection.ts';

/** Others are compared by bytes in SQLite, and by UTF-16 units in JavaScript: their orders differ. */
const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** How many keys a generation has. */
const KEYS_IN_GENERATION = 8_192;

/** The keys that clients make begin with the time as 12 hexadecimal digits, so until the year 2527 with this one. */
const TIMED = '0';
const AFTER_TIMED = '1';

export class NewestRows {
  readonly #connection: SqliteConnection;
  readonly #executed: () => Promise<unknown>;
  /** The number of the newest event. */
  #event: number | null = null;
  /** The greatest ID of a task; IDs are ordered by time. */
  #task: string | null = null;
  #keys: NewestKeys | null = null;

  /** `executed`: resolves once all batches before a lookup are in the database. */
  constructor(connection: SqliteConnection, executed: () => Promise<unknown>) {
    this.#connection = connection;
    this.#executed = executed;
  }

  /** Returns the number of the newest event before these, which are about to be saved. */
  async nextEvents(count: number): Promise<number> {
    const last = (this.#event ??= Number(
      (await this.#lookedUp("SELECT seq AS found FROM sqlite_sequence WHERE name = 'task_events'")) ?? 0,
    ));
    this.#event = last + count;
    return last;
  }

  /** Whether these tasks and keys, which are about to be saved, are certainly new. */
  async areNew({ insertTasks, insertKeys }: Pick<SavedRows, 'insertTasks' | 'insertKeys'>): Promise<boolean> {
    const tasks =
      insertTasks.length === 0 || this.#areNewTasks(insertTasks, (this.#task ??= String((await this.#lookedUp(GREATEST_TASK)) ?? '')));
    const keys =
      insertKeys.length === 0 || (this.#keys ??= new NewestKeys(String((await this.#lookedUp(GREATEST_KEY)) ?? ''))).areNew(insertKeys);
    return tasks && keys;
  }

  /** After a batch was refused. */
  forget(): void {
    this.#event = null;
    this.#task = null;
    this.#keys = null;
  }

  /** Before a statement that may save rows of which nothing is noted here. */
  forgetSavedBy(statement: string): void {
    if (statement === 'insertTasks') this.#task = null;
    else if (statement === 'insertKeys') this.#keys = null;
    else if (statement === 'insertEvents') this.#event = null;
  }

  #areNewTasks(tasks: SavedRows['insertTasks'], greatest: string): boolean {
    const areNew = tasks.every(({ id }) => id > greatest && isAscii(id));
    this.#task = tasks.reduce((most: string, { id }) => (id > most ? id : most), greatest);
    return areNew;
  }

  async #lookedUp(sql: string): Promise<unknown> {
    await this.#executed();
    return (await this.#connection.rows(sql))[0]?.['found'];
  }
}

const GREATEST_TASK = 'SELECT max(id) AS found FROM tasks';

/** The keys of each owner are in order: finds the owners one by one, and the greatest key of each. */
const GREATEST_KEY = `
  WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM idempotency_keys
    UNION ALL SELECT (SELECT min(owner) FROM idempotency_keys AS k WHERE k.owner > owners.owner) FROM owners WHERE owners.owner IS NOT NULL)
  SELECT max((SELECT max(key) FROM idempotency_keys AS k WHERE k.owner = owners.owner AND k.key >= '${TIMED}' AND k.key < '${AFTER_TIMED}')) AS found
  FROM owners WHERE owner IS NOT NULL`;

/** The latest keys that begin with the time, of all owners, and the greatest of the older ones. */
class NewestKeys {
  /** Not less than any key that is in neither generation. */
  #greatestOther: string;
  #young = new Set<string>();
  #youngGreatest = '';
  #old = new Set<string>();
  #oldGreatest = '';

  constructor(greatest: string) {
    this.#greatestOther = greatest;
  }

  areNew(keys: SavedRows['insertKeys']): boolean {
    let areNew = true;
    for (const { key } of keys) {
      const isTimed = key >= TIMED && key < AFTER_TIMED;
      areNew &&= isTimed && isAscii(key) && key > this.#greatestOther && !this.#young.has(key) && !this.#old.has(key);
      if (isTimed) this.#add(key);
    }
    return areNew;
  }

  #add(key: string): void {
    if (this.#young.size >= KEYS_IN_GENERATION) {
      if (this.#oldGreatest > this.#greatestOther) this.#greatestOther = this.#oldGreatest;
      [this.#old, this.#oldGreatest] = [this.#young, this.#youngGreatest];
      [this.#young, this.#youngGreatest] = [new Set(), ''];
    }
    this.#young.add(key);
    if (key > this.#youngGreatest) this.#youngGreatest = key;
  }
}
