/** Makes V8 collect the old generation of a busy hub less often, and keep an idle hub small. */
import { setFlagsFromString } from 'node:v8';

/**
 * How much the heap grows beyond what survived a full collection before V8 starts the next, in percent. A full collection stops the hub for 10
 * to 30 ms. By default V8 starts one whenever the heap has grown by about a third: under a flood of large frames that was every 1.3 s, and the
 * slowest hundredth of submits waited for it. `busy` makes an eighth as many, at the cost of up to 100 MiB under such a flood. At rest hardly
 * anybody waits for a collection, and with `busy` 10,000 idle sidecars, which make 5 MiB of garbage with each heartbeat, would let the heap grow
 * to three times what is needed. test/bench/HISTORY.md has the figures.
 */
const GROWTH = { busy: 200, atRest: 25 };
/** V8 cleans up 8 s after a program has become quiet; the setting that it finds then decides when it starts the next collection. */
const CHECKED_EVERY_MS = 3_000;
/** A hub that works for less than this share of the time is idle. */
const AT_REST_UTILIZATION = 0.2;

/** Call it before most of the program is loaded. `everyMs`: how often it checks whether the hub is idle. */
export function fitHeapToLoad(everyMs = CHECKED_EVERY_MS): void {
  let growth = 0;
  const setGrowth = (percent: number): void => {
    if (percent !== growth) setFlagsFromString(`--heap-growing-percent=${percent}`);
    growth = percent;
  };
  setGrowth(GROWTH.busy);
  let before = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    setGrowth(utilization < AT_REST_UTILIZATION ? GROWTH.atRest : GROWTH.busy);
  }, everyMs).unref();
}
