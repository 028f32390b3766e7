/** Makes V8 collect the old generation of a busy hub less often, and keep an idle hub small. */
import { setFlagsFromString } from 'node:v8';

/**
 * How much the heap grows beyond what survived a full collection before V8 must collect again, in percent. A full collection stops the hub for 10
 * to 30 ms. By default V8 starts one whenever the heap has grown by about a third: under a flood of large frames that was every 1.3 s, and the
 * slowest hundredth of submits waited for it. This makes an eighth as many, at the cost of up to 100 MiB under such a flood.
 */
const GROWTH_PERCENT = 200;
/**
 * At which share of that growth V8 begins to collect, mostly on other threads; 0: near its end, as V8 sees fit. At rest hardly anybody waits for
 * a collection, and an eighth (of 200 %, so once the heap has grown by a quarter) keeps 10,000 idle sidecars, which make 5 MiB of garbage with each
 * heartbeat, from tripling the heap. V8 compares with the present value, so that what a busy time has left is collected as soon as it is over.
 * test/bench/HISTORY.md has the figures.
 */
const COLLECTED_FROM_PERCENT = { busy: 0, atRest: 12 };
const CHECKED_EVERY_MS = 3_000;
/** A hub that works for less than this share of the time is idle. */
const AT_REST_UTILIZATION = 0.2;

/** Call it before most of the program is loaded. `everyMs`: how often it checks whether the hub is idle. */
export function fitHeapToLoad(everyMs = CHECKED_EVERY_MS): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  let collectedFrom = COLLECTED_FROM_PERCENT.busy;
  let before = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    const percent = COLLECTED_FROM_PERCENT[utilization < AT_REST_UTILIZATION ? 'atRest' : 'busy'];
    if (percent !== collectedFrom) setFlagsFromString(`--incremental-marking-soft-trigger=${percent}`);
    collectedFrom = percent;
  }, everyMs).unref();
}
