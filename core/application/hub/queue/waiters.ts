/** Counts senders that wait for the hub; deferrable work yields to them. */
import type { Clock } from '../../../ports/clock.ts';

/** How long to wait for an announced command: its sender may be slow. Milliseconds. */
const EXPECTED_MS = 20;

export class Waiters {
  readonly #clock: Pick<Clock, 'after'>;
  #count = 0;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  get hasAny(): boolean {
    return this.#count > 0;
  }

  add(): void {
    this.#count += 1;
  }

  remove(): void {
    this.#count -= 1;
  }

  /** Adds a waiter for a command that is about to be posted; it expires after `EXPECTED_MS`. Returns an idempotent function that removes it. */
  expect(): () => void {
    let isRemoved = false;
    const remove = (): void => {
      if (isRemoved) return;
      isRemoved = true;
      timer.cancel();
      this.remove();
    };
    const timer = this.#clock.after(EXPECTED_MS, remove);
    this.add();
    return remove;
  }
}
