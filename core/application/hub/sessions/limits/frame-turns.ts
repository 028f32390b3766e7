/**
 * Frames of those whose frames can wait: connections that have not identified, and agents that make the hub work for nothing.
 * They have some milliseconds of each turn of the event loop, one frame of each connection in turn, so that whoever submits,
 * reports or asks waits for no more than that. A connection with frames that wait is not read from.
 */
import type { Clock, Timer } from '../../../../ports/clock.ts';
import type { HubConnection } from '../../../../ports/hub-transport.ts';
import type { Log } from '../../../../ports/log.ts';

/** Of each turn of the event loop, milliseconds; one frame may take longer. */
const TURN_MS = 2;
/** What may wait of a connection before it is not read from, frames and bytes. */
const UNREAD_FRAMES = 8;
const UNREAD_BYTES = 65_536;
/** Frames that may wait of a connection, also of one that cannot be paused; with more it is closed. */
const FRAMES_MAX = 16_384;
/** A line lets go of what was taken out of it once it is so many frames. */
const TRIMMED_AT = 1_024;
/** While somebody waits for the hub, turns have one part in so many of the time: always some, however long a frame takes. */
const AWAITED_PARTS = 8;
/** While nobody does, those of wasteful agents have one part in so many. */
const WASTEFUL_PARTS = 5;
/** And so often it is looked whether somebody still does. */
const AWAITED_LOOK_MS = 1;
/** Longer frames have one part in so many of the time, whoever sends them: one alone takes longer than a turn. */
const LARGE_CHARACTERS = 65_536;
const LARGE_PARTS = 5;
/** How long wasteful agents are left alone when enough of their commands wait, milliseconds. */
const HELD_MS = 5;

/** Who sent the frame. */
export interface FrameSource {
  readonly connection: HubConnection;
  onFrame(text: string): void;
  heard(): void;
  close(code: number, reason: string): void;
}

interface Line {
  readonly frames: string[];
  /** Those before it are taken. */
  next: number;
  bytes: number;
  isPaused: boolean;
  /** What to do once all of it is taken and its connection is gone. */
  gone: (() => void) | null;
}

export interface FrameTurnsDeps<S extends FrameSource> {
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly log: Log;
  /** Bytes that may wait of a connection. */
  readonly bytesMax: number;
  /** Whether somebody waits for the hub: then frames that can wait do. */
  readonly isAwaited: () => boolean;
  /** Whether nothing more of this one is to be taken for now. */
  readonly isHeld: (source: S) => boolean;
  /** Whether it makes the hub work for nothing. */
  readonly isWasteful: (source: S) => boolean;
}

export class FrameTurns<S extends FrameSource> {
  readonly #deps: FrameTurnsDeps<S>;
  /** The first has its turn. */
  readonly #lines = new Map<S, Line>();
  /** Of this turn of the loop. */
  #spentMs = 0;
  #timer: Timer | null = null;
  #isStopped = false;
  /** When there is a turn again although somebody waits, by the monotonic clock. */
  #awaitedTurnMs = -Infinity;
  /** When there is one again for wasteful agents although nobody does. */
  #wastefulTurnMs = -Infinity;
  /** When there is one again for a large frame. */
  #largeTurnMs = -Infinity;

  constructor(deps: FrameTurnsDeps<S>) {
    this.#deps = deps;
  }

  /** Whether frames of this one wait: what it sends now comes after them. */
  has(source: S): boolean {
    return this.#lines.has(source);
  }

  /** Takes the frame, now if there is time. */
  offer(source: S, text: string): void {
    const line = this.#lines.get(source);
    if (this.#isStopped || (line === undefined && this.#mayTurn() && !this.#isHeld(source, text))) return this.#take(source, text);
    source.heard();
    this.#wait(source, line, text);
  }

  /** The connection is gone: `gone` is called after what waits of it was taken. */
  end(source: S, gone: () => void): void {
    const line = this.#lines.get(source);
    if (line === undefined) gone();
    else line.gone = gone;
  }

  /** Takes all that waits, and from now on each frame at once. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = null;
    for (const [source, line] of this.#lines) {
      this.#lines.delete(source);
      for (const text of line.frames.slice(line.next)) this.#take(source, text);
      this.#done(source, line);
    }
  }

  /** Whether this frame, its next, is not to be taken yet. */
  #isHeld(source: S, text: string): boolean {
    const { isHeld, isWasteful, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (text.length > LARGE_CHARACTERS && nowMs < this.#largeTurnMs) return true;
    return isHeld(source) || (isWasteful(source) && nowMs < this.#wastefulTurnMs);
  }

  #mayTurn(): boolean {
    if (this.#spentMs >= TURN_MS) return false;
    return !this.#deps.isAwaited() || this.#deps.clock.monotonicMs() >= this.#awaitedTurnMs;
  }

  #wait(source: S, known: Line | undefined, text: string): void {
    const line = known ?? { frames: [], next: 0, bytes: 0, isPaused: false, gone: null };
    if (known === undefined) this.#lines.set(source, line);
    line.frames.push(text);
    line.bytes += text.length;
    const waiting = line.frames.length - line.next;
    if (waiting > FRAMES_MAX || line.bytes > this.#deps.bytesMax) source.close(1013, 'more frames wait than may');
    else if (!line.isPaused && (waiting > UNREAD_FRAMES || line.bytes > UNREAD_BYTES)) {
      line.isPaused = true;
      source.connection.pause?.();
    }
    this.#timer ??= this.#deps.clock.after(0, () => this.#turn());
  }

  #turn(): void {
    this.#timer = null;
    this.#spentMs = 0;
    if (!this.#mayTurn()) {
      if (this.#lines.size > 0) this.#timer = this.#deps.clock.after(AWAITED_LOOK_MS, () => this.#turn());
      return;
    }
    let held = 0;
    for (const [source, line] of this.#lines) {
      if (this.#spentMs >= TURN_MS || held === this.#lines.size) break;
      // Behind all others: it is met once more in this loop if there is time.
      this.#lines.delete(source);
      const text = line.frames[line.next] ?? '';
      if (this.#isHeld(source, text)) {
        held += 1;
        this.#lines.set(source, line);
        continue;
      }
      held = 0;
      line.frames[line.next] = '';
      line.next += 1;
      if (line.next === TRIMMED_AT) {
        line.frames.splice(0, TRIMMED_AT);
        line.next = 0;
      }
      line.bytes -= text.length;
      this.#take(source, text);
      if (line.next < line.frames.length) this.#lines.set(source, line);
      else this.#done(source, line);
    }
    if (this.#lines.size > 0) this.#timer ??= this.#deps.clock.after(held === this.#lines.size ? HELD_MS : 0, () => this.#turn());
  }

  #done({ connection }: S, line: Line): void {
    if (line.isPaused) connection.resume?.();
    line.gone?.();
  }

  #take(source: S, text: string): void {
    const { clock, log } = this.#deps;
    const fromMs = clock.monotonicMs();
    try {
      source.onFrame(text);
    } catch (error) {
      log.error('a frame could not be handled; its connection is closed', { connection: source.connection.id, error });
      source.close(1011, 'internal error');
    }
    const tookMs = clock.monotonicMs() - fromMs;
    if (tookMs <= 0 || this.#isStopped) return;
    this.#spentMs += tookMs;
    if (text.length > LARGE_CHARACTERS) this.#largeTurnMs = fromMs + tookMs * LARGE_PARTS;
    if (this.#deps.isWasteful(source)) this.#wastefulTurnMs = fromMs + tookMs * WASTEFUL_PARTS;
    this.#awaitedTurnMs = fromMs + tookMs + this.#spentMs * (AWAITED_PARTS - 1);
    this.#timer ??= clock.after(0, () => this.#turn());
  }
}
