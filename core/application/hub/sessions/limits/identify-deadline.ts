/** How long a connection may stay unidentified. Only the peer's time counts: it pauses while the hub looks something up. */
import type { Clock, Timer } from '../../../../ports/clock.ts';

export class IdentifyDeadline {
  readonly #clock: Clock;
  readonly #hasPendingFrame: () => boolean;
  readonly #expired: () => void;
  readonly #totalMs: number;
  #leftMs: number;
  #sinceMonotonicMs = 0;
  #timer: Timer | null = null;

  /** `hasPendingFrame`: whether a frame of the connection has arrived and waits for its turn. */
  constructor(
    clock: Clock,
    totalMs: number,
    { hasPendingFrame, expired }: { readonly hasPendingFrame: () => boolean; readonly expired: () => void },
  ) {
    this.#clock = clock;
    this.#totalMs = totalMs;
    this.#leftMs = totalMs;
    this.#hasPendingFrame = hasPendingFrame;
    this.#expired = expired;
  }

  /** Starts or resumes. A frame that arrived while the event loop was blocked is handled before the time counts as expired. */
  resume(): void {
    this.#sinceMonotonicMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.after(this.#leftMs, () => {
      this.#timer = this.#clock.after(0, () => {
        if (!this.#hasPendingFrame()) return this.#expired();
        this.#timer = this.#clock.after(this.#totalMs, this.#expired);
      });
    });
  }

  pause(): void {
    if (this.#timer === null) return;
    this.#timer.cancel();
    this.#timer = null;
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.monotonicMs() - this.#sinceMonotonicMs));
  }
}
