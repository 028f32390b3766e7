/** Measures the delay of the event loop, the first sign of an overloaded hub. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Each sample wakes the process: with a finer resolution, samples would be a large part of what an idle hub costs. */
const RESOLUTION_MS = 50;
/** A stall counts for the rest of its window, and for the next one. */
const WINDOW_MS = 1_000;

export interface LoopDelay {
  /** The longest delay of the loop within the last one to two seconds, in whole milliseconds. */
  longestMs(): number;
  /** Stops measuring. Idempotent. */
  close(): void;
}

/** Starts measuring. Does not keep the process alive. */
export function loopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // The histogram records the time between two samples, which is the resolution if the loop is not delayed.
  const sinceLast = (): number => Math.max(0, Math.round(histogram.max / 1e6) - RESOLUTION_MS);
  let beforeMs = 0;
  const timer = setInterval(() => {
    beforeMs = sinceLast();
    histogram.reset();
  }, WINDOW_MS).unref();
  return {
    longestMs: () => Math.max(beforeMs, sinceLast()),
    close() {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
