/** Makes V8 collect the old generation of a busy hub less often, and keep an idle hub small. */
import { setFlagsFromString } from 'node:v8';

/**
 * How much the heap grows beyond what survived a full collection before V8 must collect again, in percent. A full collection stops the hub for 10
 * to 30 ms. By default V8 starts one whenever the heap has grown by about a third: under a flood of large frames that was every 1.3 s, and the
 * slowest hundredth of submits waited for it. This makes an eighth as many, at the cost of up to 100 MiB under such a flood.
 */
const GROWTH_PERCENT = 200;
/**
 * What V8 is set to while the hub works for less than a share of the time; V8 reads these flags each time it needs them.
 *
 * `--incremental-marking-soft-trigger`: at which share of that growth V8 begins to collect, mostly on other threads; 0: near its end, as V8 sees fit.
 * At rest hardly anybody waits for a collection, and V8 compares with the present value, so that what a busy time has left is collected as soon as it
 * is over. Otherwise 10,000 idle sidecars, which make 5 MiB of garbage with each heartbeat, would triple the heap.
 *
 * `--optimize-for-size`: V8 compacts pages that are free in part, and shrinks the young generation, mostly in the collections of its memory reducer. By
 * default that waits until V8 considers the rate of allocations low. With 10,000 idle sidecars on a busy machine it waited 70 s, once more than 170 s,
 * while 28 to 35 MiB of old pages were free. With the flag it begins 8 s after a collection, and all other collections return memory, too. They
 * take longer, 10 to 40 ms with 10,000 sidecars and over 100 if the machine is overloaded, and a small young generation is collected more often, so
 * it is for a hub with next to no work.
 *
 * test/bench/HISTORY.md has the figures.
 */
const FLAGS = [
  /** 4 % of 200 %: once the heap has grown by 8 %. From 10 % on (and 10 MiB) V8 would follow each collection with two of its memory reducer. */
  { below: 0.1, flags: ['--optimize-for-size', '--incremental-marking-soft-trigger=4'] },
  /** An eighth: once it has grown by a quarter. */
  { below: 0.2, flags: ['--no-optimize-for-size', '--incremental-marking-soft-trigger=12'] },
  { below: Infinity, flags: ['--no-optimize-for-size', '--incremental-marking-soft-trigger=0'] },
];
const CHECKED_EVERY_MS = 3_000;

/** Call it before most of the program is loaded. `everyMs`: how often it checks whether the hub is idle. */
export function fitHeapToLoad(everyMs = CHECKED_EVERY_MS): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  let current = FLAGS.at(-1);
  let before = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    const next = FLAGS.find(({ below }) => utilization < below);
    if (next !== current) next?.flags.forEach((flag) => setFlagsFromString(flag));
    current = next;
  }, everyMs).unref();
}
