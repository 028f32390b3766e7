/** The machine's clocks and timers. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';

/** The longest delay that `setTimeout` takes; a longer one fires at once there. */
const NODE_DELAY_MS_MAX = 2_147_483_647;

/**
 * The `Clock` of a running program: wall time from the system, durations from its monotonic clock, which stands still
 * while the machine sleeps.
 *
 * A pending timer keeps the process alive. Whoever starts one cancels it when it stops; one that was forgotten shows as
 * a program that does not end, and is not hidden.
 */
export const systemClock = (): Clock => ({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, fire) => startTimer(delayMs, fire),
});

const startTimer = (delayMs: number, fire: () => void): Timer => {
  if (Number.isNaN(delayMs)) throw new AgentcomError('AC_INTERNAL', 'A timer was asked for with a delay of NaN ms; wanted a number.');
  const fromMs = performance.now();
  let handle: NodeJS.Timeout | undefined;

  // Long delays go in stretches. A stretch may also end early: Node counts from the start of its loop's turn, in whole
  // milliseconds, so what is left is measured again before it fires.
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
