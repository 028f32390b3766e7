/** Prints by which factor its heap grows after a full collection, busy or idle or once it has become idle, before V8 starts the next. */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { fitHeapToLoad } from '../../../apps/hub/hub-heap.ts';

const CHECKED_EVERY_MS = 20;
const BEFORE_MS = 100;
/** So little that no interval of `CHECKED_EVERY_MS` in `BEFORE_MS` is busy: 3 of 20 ms at most. */
const IDLE_UTILIZATION = 0.03;
const NUMBERS = 8;
/** Some 10 MiB of small arrays. */
const ARRAYS = 100_000;

const kept: unknown[] = [];
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
const before = process.memoryUsage().heapUsed;
await (how === 'busy' ? busy() : idle());
new PerformanceObserver((list) => {
  hasCollected ||= list
    .getEntries()
    .some((entry) => (entry as { detail?: { kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR);
}).observe({ entryTypes: ['gc'] });
let largest = before;
while (!hasCollected) {
  largest = process.memoryUsage().heapUsed;
  grow(how === 'busy' ? ARRAYS / 10 : ARRAYS / 50);
  await (how === 'busy' ? turn() : sleep(CHECKED_EVERY_MS));
}
process.stdout.write(String(largest / before));
