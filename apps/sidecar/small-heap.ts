/** Has V8 keep a small heap: a sidecar stands beside every agent, and mostly waits. */
import { setFlagsFromString } from 'node:v8';

/**
 * Without them a sidecar grows to 135 MiB within a hundred tasks, most of it young objects that are long dead; with them it stays
 * below 95. What is said by an agent that talks without pause costs a quarter more of the processor. test/bench/HISTORY.md has the
 * figures, also of the flags that are not here.
 */
const FLAGS = ['--optimize-for-size', '--semi-space-growth-factor=1'];

/** To be called before most of the program is loaded: what has grown does not shrink. Twice is fine. */
export const keepHeapSmall = (): void => FLAGS.forEach((flag) => setFlagsFromString(flag));
