/**
 * The live output of agents on its way to the store: gathered in memory, and written together every `OUTPUT_WRITE_MS`,
 * separately from the commits of the queue. What does not fit is dropped and counted. A hub that is killed loses what
 * it had not written.
 */
import type { TaskId } from '../../../domain/ids.ts';
import { utf8Bytes } from '../../../domain/encoded-text.ts';
import { isStoreFailure } from '../../../errors/store-failure.ts';
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { Log } from '../../../ports/log.ts';
import type { OutputChunk, OutputStore } from '../../../ports/output-store.ts';
import { within } from '../../../ports/timing/within.ts';

/** Between two writes, milliseconds. */
const OUTPUT_WRITE_MS = 200;
/** How many bytes may wait for a write; further chunks are dropped. */
export const OUTPUT_WAITING_BYTES = 8_388_608;
/** Chunks in one write: a short transaction, since commits of the queue wait for it. */
const CHUNKS_PER_WRITE = 200;
/** The maximum number of chunks that are kept of one assignment, of any size. */
const CHUNKS_PER_ASSIGNMENT = 4_096;
/** The size of a chunk without its text, bytes. */
const CHUNK_BYTES = 256;
/** Between two rounds that remove old output, and the chunks removed in one transaction. */
const REMOVE_EVERY_MS = 60_000;
const REMOVED_AT_ONCE = 1_000;
/** How long a stop waits for the last write, milliseconds. */
const LAST_WRITE_WITHIN_MS = 1_000;

export interface OutputWriterDeps {
  readonly store: OutputStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the store could not write: it may be unavailable. */
  readonly storageFailed: () => void;
  /** How many bytes are kept of one assignment; 0: no output is stored. */
  readonly bytesPerAssignment: number;
  /** How long output is kept, milliseconds. */
  readonly keptMs: number;
}

export class OutputWriter {
  readonly #deps: OutputWriterDeps;
  readonly #listeners = new Map<TaskId, Set<() => void>>();
  #waiting: OutputChunk[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #writeTimer: Timer | null = null;
  #removeTimer: Timer | null = null;
  #writing: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(deps: OutputWriterDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#removeLater();
  }

  /** How much of each assignment is stored, in bytes, and for how long, in milliseconds. */
  get kept(): { readonly bytes: number; readonly ms: number } {
    return { bytes: this.#deps.bytesPerAssignment, ms: this.#deps.keptMs };
  }

  /** Takes a chunk that arrived. Returns at once; the sender never learns whether it is stored. */
  add(chunk: OutputChunk): void {
    if (this.#isStopped || this.#deps.bytesPerAssignment === 0) return;
    const bytes = CHUNK_BYTES + utf8Bytes(chunk.text);
    if (this.#waitingBytes + bytes > OUTPUT_WAITING_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += bytes;
    this.#writeTimer ??= this.#deps.clock.after(OUTPUT_WRITE_MS, () => void this.#write());
  }

  /** Resolves when every chunk that was added so far is written or was dropped. */
  flush(): Promise<void> {
    return this.#waiting.length === 0 ? this.#writing : this.#write();
  }

  /** Calls the listeners of this task: it may have ended. */
  notify(taskId: TaskId): void {
    for (const listener of [...(this.#listeners.get(taskId) ?? [])]) listener();
  }

  /** Calls `listener` after each write with output of this task, and when it may have ended. Returns the unsubscribe function. */
  onOutput(taskId: TaskId, listener: () => void): () => void {
    const listeners = this.#listeners.get(taskId) ?? new Set();
    this.#listeners.set(taskId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(taskId) === listeners) this.#listeners.delete(taskId);
    };
  }

  /** Writes the rest; a write that takes too long is logged. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#removeTimer?.cancel();
    this.#writeTimer?.cancel();
    const { clock, log } = this.#deps;
    if (await within(clock, LAST_WRITE_WITHIN_MS, this.#write())) return;
    log.warn('the last output of agents may be lost: the storage takes too long', { within_ms: LAST_WRITE_WITHIN_MS });
  }

  /** One write at a time. */
  #write(): Promise<void> {
    return (this.#writing = this.#writing.then(async () => {
      const chunks = this.#waiting;
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#writeTimer?.cancel();
      this.#writeTimer = null;
      if (this.#dropped > 0)
        this.#deps.log.warn('output of agents was dropped: it arrives faster than it can be written', { chunks: this.#dropped });
      this.#dropped = 0;
      for (let from = 0; from < chunks.length; from += CHUNKS_PER_WRITE) await this.#store(chunks.slice(from, from + CHUNKS_PER_WRITE));
    }));
  }

  async #store(chunks: readonly OutputChunk[]): Promise<void> {
    const { store, log, bytesPerAssignment } = this.#deps;
    try {
      await store.append(chunks, { bytesMax: bytesPerAssignment, chunksMax: CHUNKS_PER_ASSIGNMENT });
    } catch (thrown) {
      if (isStoreFailure(thrown)) this.#deps.storageFailed();
      log.warn('output of agents could not be stored, and is lost', { chunks: chunks.length, error: messageOf(thrown) });
      return;
    }
    for (const taskId of new Set(chunks.map((chunk) => chunk.taskId))) this.notify(taskId);
  }

  #removeLater(delayMs = REMOVE_EVERY_MS): void {
    this.#removeTimer = this.#deps.clock.after(delayMs, () => void this.#removeOld());
  }

  async #removeOld(): Promise<void> {
    const { store, clock, log, keptMs } = this.#deps;
    let removed = 0;
    try {
      removed = await store.removeBefore(clock.nowMs() - keptMs, REMOVED_AT_ONCE);
    } catch (thrown) {
      if (isStoreFailure(thrown)) this.#deps.storageFailed();
      log.warn('old output could not be removed; the next round tries again', { error: messageOf(thrown) });
    }
    if (!this.#isStopped) this.#removeLater(removed === REMOVED_AT_ONCE ? OUTPUT_WRITE_MS : REMOVE_EVERY_MS);
  }
}
