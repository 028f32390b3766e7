/** Pauses between pieces of background work, in proportion to how long the last piece took, so that other work rarely waits for one. */
import type { Clock } from '../../../ports/clock.ts';

export interface PacerBounds {
  /** The pause is this many times as long as the last piece of work. */
  readonly factor: number;
  /** The longest pause, milliseconds. */
  readonly maxMs: number;
}

export class Pacer {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #bounds: PacerBounds;
  #skip: () => void = () => undefined;
  /** How long the last piece of work took, milliseconds. */
  lastMs = 0;

  constructor(clock: Pick<Clock, 'after'>, bounds: PacerBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  async wait(): Promise<void> {
    const pauseMs = Math.min(this.lastMs * this.#bounds.factor, this.#bounds.maxMs);
    if (pauseMs < 1) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(pauseMs, resolve);
      this.#skip = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#skip = () => undefined;
  }

  /** Ends the current pause: other work waits, or the hub is stopping. */
  skip(): void {
    this.#skip();
  }
}
