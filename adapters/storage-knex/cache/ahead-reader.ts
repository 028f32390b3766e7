/**
 * Reads the tasks that are assigned next, and their bodies, before they are needed: a batch that finds none in the cache waits for the
 * batches before it, and for the read. It begins while a batch is being saved, and what it has found is added before a later one begins.
 */
import type { TaskId } from '../../../core/domain/ids.ts';
import { readyAtMs } from '../../../core/domain/task/claimable.ts';
import type { Row, Transaction } from '../engine.ts';
import type { ReadableOf } from '../rows/damaged-rows.ts';
import { bodyIn, taskIn } from '../rows/rows.ts';
import type { QueueAhead } from './ready-queue-cache.ts';
import type { StateCache } from './state-cache.ts';

/** Bodies are read while at least this many tasks that are assigned next have theirs. */
const BODIES_LEFT = 192;

type Read = NonNullable<Transaction['readAhead']>;

export class AheadReader {
  readonly #cache: StateCache;
  readonly #readable: ReadableOf;
  /** What was read, and is added before the next transaction. */
  #lane: { readonly ahead: QueueAhead; readonly rows: readonly Row[] } | null = null;
  #bodies: readonly Row[] = [];
  #isReadingBodies = false;

  constructor(cache: StateCache, readable: ReadableOf) {
    this.#cache = cache;
    this.#readable = readable;
  }

  /** While a batch is being saved, before the cache takes its changes: `read` may see the database with or without them. */
  begin(read: Read): void {
    this.#readLane(read);
    this.#readBodies(read);
  }

  /** Between two transactions. */
  add(nowMs: number): void {
    const { readyQueue, bodies } = this.#cache;
    if (this.#lane !== null) {
      const { ahead, rows } = this.#lane;
      this.#lane = null;
      const tasks = this.#readable(rows, taskIn);
      // As for a read that a batch waits for: a damaged row must not stop its lane.
      if (tasks.length < rows.length) readyQueue.pause(nowMs);
      else this.#cache.takeRead(readyQueue.takeAhead(ahead, tasks), []);
    }
    if (this.#bodies.length === 0) return;
    const found = this.#readable(this.#bodies, (row) => ({ id: row['task_id'] as TaskId, body: bodyIn(row) }));
    this.#bodies = [];
    for (const { id, body } of found) if (readyQueue.has(id) && bodies.get(id) === undefined) bodies.take(id, body);
  }

  #readLane(read: Read): void {
    const { readyQueue } = this.#cache;
    if (this.#lane !== null) return;
    const ahead = readyQueue.beginAhead();
    if (ahead === null) return;
    const { key, lane, after, limit } = ahead;
    read('waitingBehind', { key, lane, afterMs: readyAtMs(after), afterId: after.id, limit }).then(
      (rows) => void (this.#lane = { ahead, rows }),
      // A batch that needs what was not read reads it, and fails with what is wrong.
      () => readyQueue.dropAhead(ahead),
    );
  }

  #readBodies(read: Read): void {
    const { readyQueue, bodies } = this.#cache;
    if (this.#isReadingBodies || this.#bodies.length > 0) return;
    const last = readyQueue.ahead(BODIES_LEFT).at(-1);
    if (last === undefined || bodies.get(last) !== undefined) return;
    const missing = this.#cache.withoutBodies();
    if (missing.length === 0) return;
    this.#isReadingBodies = true;
    const end = (rows: readonly Row[]): void => {
      this.#bodies = rows;
      this.#isReadingBodies = false;
    };
    // As above.
    read('loadBodies', missing).then(end, () => end([]));
  }
}
