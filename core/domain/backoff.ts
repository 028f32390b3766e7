/** Exponential backoff. */
export interface BackoffTimes {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The number of doublings after which any wait has reached its maximum; keeps the power finite. */
const DOUBLINGS_MAX = 40;

/** The wait after the `count`-th failure in a row, from 1: `firstMs`, then twice as long each time, up to `maxMs`. */
export function backoffMs(times: BackoffTimes, count: number): number {
  const doublings = Math.min(Math.max(count - 1, 0), DOUBLINGS_MAX);
  return Math.min(times.firstMs * 2 ** doublings, times.maxMs);
}
