/** How late the event loop is: a hub that has more to do than it can shows it here first. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 20;
/** A stall counts for the rest of the window that it fell in, and for the next. */
const WINDOW_MS = 1_000;

export interface LoopDelay {
  /** The longest time by which the loop was late within the last one to two seconds, whole milliseconds. */
  longestMs(): number;
  /** Twice is fine. */
  close(): void;
}

/** Measures from now on; neither the measuring nor its timer keeps the process alive. */
export function loopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // What is recorded is the time between two looks, which on a loop that is never late is the resolution.
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
