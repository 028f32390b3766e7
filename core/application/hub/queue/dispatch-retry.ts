/** Dispatches again after a delay, because no event will request it. */
import type { Clock, Timer } from '../../../ports/clock.ts';

/** The delay before the next dispatch when it may assign more (`Batch.hasMoreLater`), and the longest one. It doubles while that lasts. Milliseconds. */
export const LATER_MS = 50;
export const LATER_MAX_MS = 1_000;

export class DispatchRetry {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #dispatch: () => void;
  #timer: Timer | null = null;
  #laterMs = LATER_MS;
  #isStopped = false;

  constructor(clock: Pick<Clock, 'after'>, dispatch: () => void) {
    this.#clock = clock;
    this.#dispatch = dispatch;
  }

  /** A no-op while a dispatch is already planned. */
  in(ms: number): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#clock.after(ms, () => {
      this.#timer = null;
      this.#dispatch();
    });
  }

  /** Called after each batch. */
  committed({ hasMoreLater }: { readonly hasMoreLater: boolean | null }): void {
    if (hasMoreLater === false) this.#laterMs = LATER_MS;
    if (hasMoreLater !== true || this.#timer !== null) return;
    this.in(this.#laterMs);
    this.#laterMs = Math.min(2 * this.#laterMs, LATER_MAX_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
