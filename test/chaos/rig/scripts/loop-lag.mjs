// Loaded into a program before its own code, by NODE_OPTIONS: writes each second how late its event loop was, as
// `TIME P99 MAX` in milliseconds, how much of its heap is in use, bytes, and the P99 since the program began. With
// COLLECT_EACH_MS garbage is collected that often, just before the heap is measured: what is in use then is alive. SIGUSR2
// has it collected at once.
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
 * To be exact all that can be collected is: code that ran once and what is only held weakly too, which a plain collection leaves for
 * later, some 3 MiB more in half an hour.
 */
const collect = () => void queryObjects(Nothing, { format: 'count' });
// Whoever looks at the memory from outside asks for it first: what nobody needs is no growth.
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
