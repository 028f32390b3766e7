/**
 * Time slices for low-priority frames: those of unidentified connections and of wasteful agents. They get a few milliseconds of each
 * turn of the event loop, one frame of each connection in turn, so that submits, reports and reads wait for no longer than that.
 * A connection with too many waiting frames is paused: the transport stops reading from it.
 */
import type { SocketRefusal } from '../../../../protocol/close-codes.ts';
import type { Clock, Timer } from '../../../../ports/clock.ts';
import type { HubConnection } from '../../../../ports/hub-transport.ts';
import type { Log } from '../../../../ports/log.ts';

/** The slice of each turn of the event loop, milliseconds; a single frame may take longer. */
const SLICE_MS = 2;
/** Frames and bytes of a connection that may wait before it is paused. */
const PAUSE_AT_FRAMES = 8;
const PAUSE_AT_BYTES = 65_536;
/** Frames of a connection that may wait, even if it cannot be paused; beyond that it is closed. */
const FRAMES_MAX = 16_384;
/** A queue drops its taken frames once there are this many. */
const QUEUE_TRIMMED_AT = 1_024;
/** While commands of normal priority wait, slices get one part in this many of the time: never none, however long a frame takes. */
const BUSY_PARTS = 8;
/** Otherwise wasteful agents get one part in this many. */
const WASTEFUL_PARTS = 5;
/** How often to check whether commands still wait, milliseconds. */
const BUSY_POLL_MS = 1;
/** Frames longer than this get one part in `LARGE_PARTS` of the time, regardless of the sender: a single one takes longer than a slice. */
export const LARGE_FRAME_CHARACTERS = 65_536;
const LARGE_PARTS = 5;
/** The delay when all waiting connections are blocked, milliseconds. */
const BLOCKED_MS = 5;

/** The session that the frame belongs to. */
export interface FrameSource {
  readonly connection: HubConnection;
  onFrame(text: string): void;
  noteReceived(): void;
  close(code: number, reason: SocketRefusal): void;
}

interface FrameQueue {
  readonly frames: string[];
  /** The first frame that is not taken yet. */
  next: number;
  bytes: number;
  isPaused: boolean;
  /** Called once all frames are taken, if the connection has closed. */
  closed: (() => void) | null;
}

export interface FrameTurnsDeps<S extends FrameSource> {
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly log: Log;
  /** Bytes of a connection that may wait. */
  readonly bytesMax: number;
  /** Whether commands of normal priority wait: low-priority frames then get less time. */
  readonly hasWaiters: () => boolean;
  /** Whether no more frames of this source may be taken for now. */
  readonly isBlocked: (source: S) => boolean;
  /** Whether it sends too many frames that advance no task. */
  readonly isWasteful: (source: S) => boolean;
}

export class FrameTurns<S extends FrameSource> {
  readonly #deps: FrameTurnsDeps<S>;
  /** In the order of their turns. */
  readonly #queues = new Map<S, FrameQueue>();
  /** Time spent in this turn of the event loop. */
  #spentMs = 0;
  #timer: Timer | null = null;
  #isStopped = false;
  /** When the next slice may begin while commands of normal priority wait, by the monotonic clock. */
  #nextBusySliceMs = -Infinity;
  /** When the next frame of a wasteful agent may be handled. */
  #nextWastefulSliceMs = -Infinity;
  /** When the next large frame may be handled. */
  #nextLargeFrameMs = -Infinity;

  constructor(deps: FrameTurnsDeps<S>) {
    this.#deps = deps;
  }

  /** Whether frames of this source wait: later frames queue behind them. */
  has(source: S): boolean {
    return this.#queues.has(source);
  }

  /** Handles the frame: now if there is time, else in a later slice. */
  offer(source: S, text: string): void {
    const queue = this.#queues.get(source);
    if (this.#isStopped || (queue === undefined && this.#hasTime() && !this.#isBlocked(source, text))) return this.#handle(source, text);
    source.noteReceived();
    this.#enqueue(source, queue, text);
  }

  /** The connection has closed: `closed` is called once its waiting frames are handled. */
  end(source: S, closed: () => void): void {
    const queue = this.#queues.get(source);
    if (queue === undefined) closed();
    else queue.closed = closed;
  }

  /** Handles all waiting frames, and from now on every frame at once. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = null;
    for (const [source, queue] of this.#queues) {
      this.#queues.delete(source);
      for (const text of queue.frames.slice(queue.next)) this.#handle(source, text);
      this.#drained(source, queue);
    }
  }

  /** Whether its next frame, `text`, must wait. */
  #isBlocked(source: S, text: string): boolean {
    const { isBlocked, isWasteful, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (text.length > LARGE_FRAME_CHARACTERS && nowMs < this.#nextLargeFrameMs) return true;
    return isBlocked(source) || (isWasteful(source) && nowMs < this.#nextWastefulSliceMs);
  }

  #hasTime(): boolean {
    if (this.#spentMs >= SLICE_MS) return false;
    return !this.#deps.hasWaiters() || this.#deps.clock.monotonicMs() >= this.#nextBusySliceMs;
  }

  #enqueue(source: S, known: FrameQueue | undefined, text: string): void {
    const queue = known ?? { frames: [], next: 0, bytes: 0, isPaused: false, closed: null };
    if (known === undefined) this.#queues.set(source, queue);
    queue.frames.push(text);
    queue.bytes += text.length;
    const waiting = queue.frames.length - queue.next;
    if (waiting > FRAMES_MAX || queue.bytes > this.#deps.bytesMax) source.close(1013, 'more frames wait than may');
    else if (!queue.isPaused && (waiting > PAUSE_AT_FRAMES || queue.bytes > PAUSE_AT_BYTES)) {
      queue.isPaused = true;
      source.connection.pause?.();
    }
    this.#timer ??= this.#deps.clock.after(0, () => this.#runSlice());
  }

  #runSlice(): void {
    this.#timer = null;
    this.#spentMs = 0;
    if (!this.#hasTime()) {
      if (this.#queues.size > 0) this.#timer = this.#deps.clock.after(BUSY_POLL_MS, () => this.#runSlice());
      return;
    }
    let blocked = 0;
    for (const [source, queue] of this.#queues) {
      if (this.#spentMs >= SLICE_MS || blocked === this.#queues.size) break;
      // Moves it to the end of the order: this loop comes back to it if there is time.
      this.#queues.delete(source);
      const text = queue.frames[queue.next] ?? '';
      if (this.#isBlocked(source, text)) {
        blocked += 1;
        this.#queues.set(source, queue);
        continue;
      }
      blocked = 0;
      queue.frames[queue.next] = '';
      queue.next += 1;
      if (queue.next === QUEUE_TRIMMED_AT) {
        queue.frames.splice(0, QUEUE_TRIMMED_AT);
        queue.next = 0;
      }
      queue.bytes -= text.length;
      this.#handle(source, text);
      if (queue.next < queue.frames.length) this.#queues.set(source, queue);
      else this.#drained(source, queue);
    }
    if (this.#queues.size > 0)
      this.#timer ??= this.#deps.clock.after(blocked === this.#queues.size ? BLOCKED_MS : 0, () => this.#runSlice());
  }

  #drained({ connection }: S, queue: FrameQueue): void {
    if (queue.isPaused) connection.resume?.();
    queue.closed?.();
  }

  #handle(source: S, text: string): void {
    const { clock, log } = this.#deps;
    const fromMs = clock.monotonicMs();
    try {
      source.onFrame(text);
    } catch (error) {
      log.error('a frame could not be handled; closing its connection', { connection: source.connection.id, error });
      source.close(1011, 'internal error');
    }
    const tookMs = clock.monotonicMs() - fromMs;
    if (tookMs <= 0 || this.#isStopped) return;
    this.#spentMs += tookMs;
    if (text.length > LARGE_FRAME_CHARACTERS) this.#nextLargeFrameMs = fromMs + tookMs * LARGE_PARTS;
    if (this.#deps.isWasteful(source)) this.#nextWastefulSliceMs = fromMs + tookMs * WASTEFUL_PARTS;
    this.#nextBusySliceMs = fromMs + tookMs + this.#spentMs * (BUSY_PARTS - 1);
    this.#timer ??= clock.after(0, () => this.#runSlice());
  }
}
