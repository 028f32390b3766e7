/** Makes V8 keep a small heap: there is a sidecar next to every agent, and it is mostly idle. */
import { setFlagsFromString } from 'node:v8';

/**
 * Without the first two, a sidecar grows to 135 MiB within a hundred tasks, most of it young objects that are long dead. With the others, V8
 * compiles fewer functions: neither their machine code nor the memory that compiling takes is returned. An agent that prints without pause then
 * costs a quarter more CPU. test/bench/HISTORY.md has the figures, including those of flags that were not chosen.
 */
const FLAGS = [
  '--optimize-for-size',
  '--semi-space-growth-factor=1',
  '--no-sparkplug',
  ...lateOptimization(Number.parseInt(process.versions.v8)),
];

/** Call it before most of the program is loaded, because a grown heap does not shrink. May be called twice. */
export const keepHeapSmall = (): void => FLAGS.forEach((flag) => setFlagsFromString(flag));

/** Optimizes functions much later. V8 12, which is in Node 22, has other flags for it than V8 11 in Node 20. */
function lateOptimization(v8: number): readonly string[] {
  return v8 < 12 ? ['--interrupt-budget=2000000'] : ['--invocation-count-for-maglev=10000', '--invocation-count-for-turbofan=100000'];
}
