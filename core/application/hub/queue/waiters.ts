/** Whether somebody waits for the hub: what can wait leaves the time to them. */
import type { Clock } from '../../../ports/clock.ts';

/** How long a command is waited for that is about to be posted: its sender may be slow. Milliseconds. */
const EXPECTED_MS = 20;

export class Awaited {
  readonly #clock: Pick<Clock, 'after'>;
  #count = 0;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  get isAny(): boolean {
    return this.#count > 0;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
  }

  /** As `begin`; what it answers is the end of it, which comes by itself after some milliseconds. Twice is fine. */
  expect(): () => void {
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      this.end();
    };
    const timer = this.#clock.after(EXPECTED_MS, end);
    this.begin();
    return end;
  }
}
