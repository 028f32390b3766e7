/** Where all that waits for a commit is behind, batches rest for some times as long as the last one took, so that others seldom meet one. */
import type { Clock } from '../../ports/clock.ts';

/** Times as long as the last batch took. */
const REST_PARTS = 3;
/** However long that was, milliseconds. */
const REST_MAX_MS = 50;

export class Rest {
  readonly #clock: Pick<Clock, 'after'>;
  #end: () => void = () => undefined;
  /** How long the last batch took, milliseconds. */
  lastMs = 0;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  async wait(): Promise<void> {
    const restMs = Math.min(this.lastMs * REST_PARTS, REST_MAX_MS);
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

  /** Somebody waits who is not behind. */
  end(): void {
    this.#end();
  }
}
