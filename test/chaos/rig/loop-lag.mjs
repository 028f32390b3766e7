// Loaded into a program before its own code, by NODE_OPTIONS: writes each second how late its event loop was, as
// `TIME P99 MAX` in milliseconds, how much of its heap is in use, bytes, and the P99 since the program began. With
// COLLECT_EACH_MS garbage is collected that often, just before the heap is measured: what is in use then is alive, and the line
// ends with the resident memory without the free room of the heap, bytes. SIGUSR2 has it collected at once.
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const RESOLUTION_MS = 10;
const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS).toFixed(1);
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
const sinceStart = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
sinceStart.enable();
const collectEachMs = Number(process.env.COLLECT_EACH_MS ?? Infinity);
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
// Whoever looks at the memory from outside asks for it first: what nobody needs is no growth.
process.on('SIGUSR2', collect);
let collectedAtMs = Date.now();
/** V8 keeps room for what comes next, 30 MiB more or less from one second to the next: that is no growth. */
const neededBytes = () => {
  const { total_physical_size: heldBytes, used_heap_size: usedBytes } = getHeapStatistics();
  return process.memoryUsage.rss() - (heldBytes - usedBytes);
};
setInterval(() => {
  const collects = Date.now() - collectedAtMs >= collectEachMs;
  if (collects) {
    collect();
    collectedAtMs = Date.now();
  }
  const figures = [
    Date.now(),
    late(delay.percentile(99)),
    late(delay.max),
    process.memoryUsage().heapUsed,
    late(sinceStart.percentile(99)),
    ...(collects ? [neededBytes()] : []),
  ];
  appendFileSync(process.env.LOOP_LAG_FILE, `${figures.join(' ')}\n`);
  delay.reset();
}, 1_000).unref();
