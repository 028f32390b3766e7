/** Waiting on the injected clock. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { StopSignal } from '../../../core/ports/wake-runner.ts';

/** Resolves after `delayMs`, or as soon as `signal` is aborted. Leaves no timer or listener behind. */
export function wait(clock: Clock, delayMs: number, signal?: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Resolves when either signal is aborted. */
export function aborted(signal: StopSignal, other: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || other.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      signal.removeEventListener('abort', done);
      other.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    other.addEventListener('abort', done, { once: true });
  });
}

const MOMENTARY: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** The system is out of files or memory, which says nothing about what was to be read. */
export const isMomentary = (error: unknown): boolean => MOMENTARY.has((error as NodeJS.ErrnoException | null)?.code);
