/** Makes V8 keep a small heap: there is a sidecar beside every agent, mostly idle. */
import { setFlagsFromString } from 'node:v8';

/**
 * Without the first two a sidecar grows to 135 MiB within a hundred tasks, most of it young objects that are long dead. The others spare
 * compiled code that few functions of a sidecar are worth, and the memory in which V8 makes it, which stays with the process. An agent that
 * prints without pause then costs a quarter more CPU. test/bench/HISTORY.md has the figures, including those of flags that were not chosen.
 */
const FLAGS = [
  '--optimize-for-size',
  '--semi-space-growth-factor=1',
  '--no-sparkplug',
  ...lateOptimization(Number.parseInt(process.versions.v8)),
];

/** Call it before most of the program is loaded, because a grown heap does not shrink. May be called twice. */
export const keepHeapSmall = (): void => FLAGS.forEach((flag) => setFlagsFromString(flag));

/** Functions are optimized some thirty times as late: by the flags of V8 before version 12, and of later ones, which Node 22 has. */
function lateOptimization(v8: number): readonly string[] {
  return v8 < 12 ? ['--interrupt-budget=2000000'] : ['--invocation-count-for-maglev=10000', '--invocation-count-for-turbofan=100000'];
}
