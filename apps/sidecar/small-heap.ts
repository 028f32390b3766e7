/** Makes V8 keep a small heap: there is a sidecar beside every agent, mostly idle. */
import { setFlagsFromString } from 'node:v8';

/**
 * Without them a sidecar grows to 135 MiB within a hundred tasks, most of it young objects that are long dead; with them it stays
 * below 95. An agent that prints without pause then costs a quarter more CPU. test/bench/HISTORY.md has the
 * figures, including those of flags that were not chosen.
 */
const FLAGS = ['--optimize-for-size', '--semi-space-growth-factor=1'];

/** Call it before most of the program is loaded, because a grown heap does not shrink. May be called twice. */
export const keepHeapSmall = (): void => FLAGS.forEach((flag) => setFlagsFromString(flag));
