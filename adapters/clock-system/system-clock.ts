/** The machine's clocks and timers. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';

/** The longest delay that `setTimeout` supports; a longer one fires at once. */
const NODE_DELAY_MS_MAX = 2_147_483_647;

/**
 * The `Clock` of a running program: wall time from the system, durations from its monotonic clock, which stands still
 * while the machine sleeps.
 *
 * A pending timer keeps the process alive. Whoever starts one cancels it when stopping; a forgotten one keeps the program
 * from exiting, so that the mistake is not hidden.
 */
export const systemClock = (): Clock => ({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, fire) => startTimer(delayMs, fire),
});

const startTimer = (delayMs: number, fire: () => void): Timer => {
  if (Number.isNaN(delayMs)) throw new AgentcomError('AC_INTERNAL', 'Cannot start a timer: expected a delay in milliseconds, found NaN.');
  const fromMs = performance.now();
  let handle: NodeJS.Timeout | undefined;

  // A long delay is split into several timeouts. Each may also end early, because Node counts whole milliseconds from the
  // start of the event loop's turn; so the remaining time is measured again before the timer fires.
  const wait = (): void => {
    const leftMs = delayMs - (performance.now() - fromMs);
    handle = setTimeout(look, Math.min(Math.max(0, Math.ceil(leftMs)), NODE_DELAY_MS_MAX));
  };
  const look = (): void => {
    if (performance.now() - fromMs < delayMs) wait();
    else fire();
  };

  wait();
  return { cancel: () => clearTimeout(handle) };
};
