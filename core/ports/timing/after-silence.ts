/**
 * Timers that conclude something from what did not happen. A process that was stopped (by SIGSTOP, with its container, or while its
 * machine slept) has noticed nothing meanwhile, so it must look first: all its timers are due at the same moment.
 */
import type { Clock, Timer } from '../clock.ts';

/** A timer that is later than this shows that the process did not run. */
const LATE_MS = 50;
/** How long it may take then to notice what has happened: longer than the slowest poll. */
const CATCH_UP_MS = 10_000;

/** How much longer to wait for a sign of life, although this timer is due; 0 if the process was running. */
export const catchUpMs = (delayMs: number, lateMs: number): number => (lateMs > LATE_MS ? Math.min(delayMs, CATCH_UP_MS) : 0);

/** Like `clock.after`, but never fires right after the process was stopped. */
export function afterSilence(clock: Clock, delayMs: number, fire: () => void): Timer {
  const dueMs = clock.monotonicMs() + delayMs;
  let timer = clock.after(delayMs, () => {
    const moreMs = catchUpMs(delayMs, clock.monotonicMs() - dueMs);
    if (moreMs === 0) fire();
    else timer = afterSilence(clock, moreMs, fire);
  });
  return { cancel: () => timer.cancel() };
}
