/**
 * Ten million hostile values at the entry points of a sidecar, in one process: `npm run fuzz:sidecar -- [--values N]
 * [--seed TEXT]`. Exits with 1 unless nothing throws, each answer is a value within its bounds or a refusal of bounded
 * length, no value takes over a second of CPU time, and memory is back within 64 MiB after a collection. README.md
 * lists which values go where.
 */
import { readOptions, say, printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { progressBar } from '../chaos/rig/progress-bar.ts';
import { ONE_VALUE_MS, sidecarFuzz } from './sidecar/drive-doors.ts';

const FIGURE = { values: 10_000_000 };
const MEMORY_MIB = 64;
const MIB = 2 ** 20;

const { values, seed } = readOptions(FIGURE);
printMachine(thisMachine(), 'no store');
say(`${values} hostile values; seed ${seed}`);
const beganMs = performance.now();
const bar = progressBar(values);
const { doors, grownBytes, violations } = sidecarFuzz({ values, seed, onProgress: (done) => bar.at(done, 'values') });
bar.end();
const seconds = Math.round((performance.now() - beganMs) / 1_000);
const grownMiB = Math.round((grownBytes / MIB) * 10) / 10;
for (const [name, { values: given, taken, refused, longestMs }] of Object.entries(doors))
  say(`${name}: ${given}, ${taken} accepted and ${refused} refused; the longest took ${longestMs} ms`);
for (const violation of violations) say(`VIOLATION ${violation}`);
say(
  `${violations.length} violations (expected 0); ${grownMiB} MiB more in use than after the warm-up (expected under ${MEMORY_MIB}); ${seconds} s`,
);
const isReached = violations.length === 0 && grownMiB < MEMORY_MIB;
writeFigures('fuzz-sidecar', values >= FIGURE.values, {
  seed,
  reached: isReached,
  seconds,
  values,
  longestMs: Math.max(...Object.values(doors).map(({ longestMs }) => longestMs)),
  oneValueMs: ONE_VALUE_MS,
  grownMiB,
  doors,
  violations,
}, 'fuzz:sidecar'); // prettier-ignore
process.exitCode = isReached ? 0 : 1;
