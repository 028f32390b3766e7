/** Waiting, by the injected clock. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { StopSignal } from '../../../core/ports/wake-runner.ts';

/** Resolves after `delayMs`, or at once if `cut` is or becomes aborted; leaves nothing behind either way. */
export function wait(clock: Clock, delayMs: number, cut?: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    if (cut?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      timer.cancel();
      cut?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    cut?.addEventListener('abort', done, { once: true });
  });
}

/** Resolves when `signal` or `cut` is aborted. */
export function aborted(signal: StopSignal, cut: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || cut.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      signal.removeEventListener('abort', done);
      cut.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    cut.addEventListener('abort', done, { once: true });
  });
}
