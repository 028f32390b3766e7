/** Waiting with a timeout. */
import type { Clock } from '../plugin.ts';

/** Resolves when `promise` settles, or after `delayMs`. Leaves nothing behind. */
export function within(clock: Clock, delayMs: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(delayMs, resolve);
    const done = (): void => {
      timer.cancel();
      resolve();
    };
    promise.then(done, done);
  });
}
