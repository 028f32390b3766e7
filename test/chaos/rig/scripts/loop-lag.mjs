// Loaded into a program before its own code, by NODE_OPTIONS: writes each second how late its event loop was, as `TIME
// P99 MAX` in milliseconds, how many bytes of its heap are in use, and the P99 since the program began. With
// COLLECT_EACH_MS garbage is collected that often, just before the heap is measured, so that only live objects count.
// SIGUSR2 triggers a collection at once.
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { queryObjects } from 'node:v8';

const RESOLUTION_MS = 10;
const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS).toFixed(1);
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
const sinceStart = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
sinceStart.enable();
const collectEachMs = Number(process.env.COLLECT_EACH_MS ?? Infinity);
class Nothing {}
/**
 * To be exact, everything collectable is collected: also code that ran once and weakly held objects, which a plain
 * collection keeps for later, some 3 MiB more in half an hour.
 */
const collect = () => void queryObjects(Nothing, { format: 'count' });
// Requested before the memory is measured from outside: garbage is not growth.
process.on('SIGUSR2', collect);
let collectedAtMs = Date.now();
setInterval(() => {
  if (Date.now() - collectedAtMs >= collectEachMs) {
    collect();
    collectedAtMs = Date.now();
  }
  appendFileSync(
    process.env.LOOP_LAG_FILE,
    `${Date.now()} ${late(delay.percentile(99))} ${late(delay.max)} ${process.memoryUsage().heapUsed} ${late(sinceStart.percentile(99))}\n`,
  );
  delay.reset();
}, 1_000).unref();
