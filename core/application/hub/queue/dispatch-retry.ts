/** Dispatches again after a delay, because no event will request it. */
import type { Clock, Timer } from '../../../ports/clock.ts';

/**
 * The delay before the next dispatch when another hub had locked an agent with room, or tasks for it, and the longest one. It doubles while
 * that lasts: rows that cannot be read look the same. Milliseconds.
 */
export const LOCKED_ROWS_RETRY_MS = 50;
export const LOCKED_ROWS_RETRY_MAX_MS = 1_000;

export class DispatchRetry {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #dispatch: () => void;
  #timer: Timer | null = null;
  #lockedRowsMs = LOCKED_ROWS_RETRY_MS;
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
  committed({ rowsLocked }: { readonly rowsLocked: boolean }): void {
    if (rowsLocked) this.in(this.#lockedRowsMs);
    this.#lockedRowsMs = rowsLocked ? Math.min(2 * this.#lockedRowsMs, LOCKED_ROWS_RETRY_MAX_MS) : LOCKED_ROWS_RETRY_MS;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
