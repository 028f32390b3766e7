/** Between two pieces of work that nobody waits for: some times as long as the last one took, so that others seldom meet one. */
import type { Clock } from '../../../ports/clock.ts';

export interface RestBounds {
  /** Times as long as the last piece took. */
  readonly parts: number;
  /** However long that was, milliseconds. */
  readonly mostMs: number;
}

export class Rest {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #bounds: RestBounds;
  #end: () => void = () => undefined;
  /** How long the last piece took, milliseconds. */
  lastMs = 0;

  constructor(clock: Pick<Clock, 'after'>, bounds: RestBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  async wait(): Promise<void> {
    const restMs = Math.min(this.lastMs * this.#bounds.parts, this.#bounds.mostMs);
    if (restMs < 1) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(restMs, resolve);
      this.#end = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#end = () => undefined;
  }

  /** Ends the rest that is under way: somebody waits, or the hub stops. */
  end(): void {
    this.#end();
  }
}
