/** Pauses between pieces of work, in proportion to how long the last piece took. */
import type { Clock } from '../../../ports/clock.ts';

export interface PacerBounds {
  /** The pause is this many times as long as the last piece of work. */
  readonly factor: number;
  /** The longest pause, milliseconds. */
  readonly maxMs: number;
}

/** The pauses between batches that have only low-priority commands. */
export const LOW_PRIORITY_PACING: PacerBounds = { factor: 3, maxMs: 50 };
/**
 * The pauses between batches on a store that other hubs use too, if commands arrived during the last one: a small transaction costs the
 * server nearly as much as a large one, so they wait for those that agents and submitters send next.
 */
export const SHARED_STORE_PACING: PacerBounds = { factor: 0.25, maxMs: 25 };

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
