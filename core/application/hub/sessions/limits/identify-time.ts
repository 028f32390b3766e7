/** How long a connection may stay unidentified. That is the peer's time, not the hub's: it stands still while something is looked up. */
import type { Clock, Timer } from '../../../../ports/clock.ts';

export class IdentifyTime {
  readonly #clock: Clock;
  readonly #isHeard: () => boolean;
  readonly #over: () => void;
  readonly #wholeMs: number;
  #leftMs: number;
  #sinceMonotonicMs = 0;
  #timer: Timer | null = null;

  /** `isHeard`: a frame of it came, and waits for its turn. */
  constructor(clock: Clock, wholeMs: number, { isHeard, over }: { readonly isHeard: () => boolean; readonly over: () => void }) {
    this.#clock = clock;
    this.#wholeMs = wholeMs;
    this.#leftMs = wholeMs;
    this.#isHeard = isHeard;
    this.#over = over;
  }

  /** It goes on. A frame that came while the loop was held is taken before it counts as over. */
  run(): void {
    this.#sinceMonotonicMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.after(this.#leftMs, () => {
      this.#timer = this.#clock.after(0, () => {
        if (!this.#isHeard()) return this.#over();
        this.#timer = this.#clock.after(this.#wholeMs, this.#over);
      });
    });
  }

  stop(): void {
    if (this.#timer === null) return;
    this.#timer.cancel();
    this.#timer = null;
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.monotonicMs() - this.#sinceMonotonicMs));
  }
}
