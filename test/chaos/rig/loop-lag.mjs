// Loaded into a program before its own code, by NODE_OPTIONS: writes each second how late its event loop was, as
// `TIME P99 MAX` in milliseconds, how much of its heap is in use, bytes, and the P99 since the program began.
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 10;
const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS).toFixed(1);
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
const sinceStart = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
sinceStart.enable();
setInterval(() => {
  appendFileSync(
    process.env.LOOP_LAG_FILE,
    `${Date.now()} ${late(delay.percentile(99))} ${late(delay.max)} ${process.memoryUsage().heapUsed} ${late(sinceStart.percentile(99))}\n`,
  );
  delay.reset();
}, 1_000).unref();
