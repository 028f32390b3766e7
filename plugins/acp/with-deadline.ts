/** Waiting for something, but not for ever. */
import type { Clock } from '../plugin.ts';

/** Resolves when `promise` is settled, or after `delayMs`. Nothing stays behind. */
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
