/** Makes V8 collect the hub's old generation less often. */
import { setFlagsFromString } from 'node:v8';

/**
 * A full collection stops the hub for 10 to 30 ms. By default V8 starts one whenever the heap has grown by about a third: under a flood
 * of large frames that was every 1.3 s, and the slowest hundredth of submits waited for it. With this it starts one when the heap is
 * three times what survived the last one: an eighth as many, for up to 100 MiB under such a flood. test/bench/HISTORY.md has the figures.
 */
const FLAG = '--heap-growing-percent=200';

/** Call it before most of the program is loaded. */
export const collectSeldom = (): void => setFlagsFromString(FLAG);
