/**
 * Prints by which factor its heap grows after a full collection, busy or idle or once it has become idle, before V8 starts the next; and which
 * share of its memory it has after that. Fragmented: once it has become idle, with two thirds of its objects freed before.
 */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { fitHeapToLoad } from '../../../apps/hub/hub-heap.ts';

const CHECKED_EVERY_MS = 30;
const BEFORE_MS = 150;
/** So little that it is next to idle in each interval of `CHECKED_EVERY_MS` in `BEFORE_MS`: 2.3 of 30 ms at most. */
const IDLE_UTILIZATION = 0.015;
/** V8 frees pages on other threads after a collection. */
const FREED_MS = 500;
const NUMBERS = 8;
/** Some 10 MiB of small arrays. */
const ARRAYS = 100_000;

let kept: unknown[] = [];
const grow = (arrays: number): void => {
  for (let n = 0; n < arrays; n += 1) kept.push(new Array(NUMBERS).fill(n));
};
const busy = async (): Promise<void> => {
  for (const untilMs = performance.now() + 4 * BEFORE_MS; performance.now() < untilMs;) await turn();
};
/** On a loaded machine, a wait alone does not make this process idle in each interval. */
const idle = async (): Promise<void> => {
  for (let utilization = 1; utilization > IDLE_UTILIZATION;) {
    const before = performance.eventLoopUtilization();
    await sleep(BEFORE_MS);
    ({ utilization } = performance.eventLoopUtilization(before));
  }
};

const how = process.argv[2];
fitHeapToLoad(CHECKED_EVERY_MS);
grow(4 * ARRAYS);
await (how === 'at-rest' ? idle() : busy());

let hasCollected = false;
global.gc?.();
if (how === 'fragmented') {
  // Each page keeps a third of its objects, so that none is free.
  kept = kept.filter((_, n) => n % 3 === 0);
  global.gc?.();
}
const before = process.memoryUsage().heapUsed;
const committed = (): number => getHeapStatistics().total_heap_size;
const committedBefore = committed();
await (how === 'busy' ? busy() : idle());
new PerformanceObserver((list) => {
  hasCollected ||= list
    .getEntries()
    .some((entry) => (entry as { detail?: { kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR);
}).observe({ entryTypes: ['gc'] });
let largest = before;
while (!hasCollected) {
  largest = process.memoryUsage().heapUsed;
  grow(how === 'busy' ? ARRAYS / 10 : ARRAYS / 20);
  await (how === 'busy' ? turn() : idle());
}
await sleep(FREED_MS);
process.stdout.write(JSON.stringify({ growth: largest / before, share: committed() / committedBefore }));
