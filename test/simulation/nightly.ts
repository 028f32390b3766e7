/**
 * `npm run sim:nightly [-- --seeds 10000]`: plays that many seeds, then hunts all planted bugs. Exits with 1 if a rule was broken,
 * a class of faults hardly occurred, or a bug was not found.
 */
import { availableParallelism } from 'node:os';
import { readOptions, printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { huntAll } from './runner/hunt.ts';
import { FULL_SEEDS, isGood, playMany, WANTED_SEEDS } from './runner/play-many.ts';

const processes = availableParallelism();
const { seeds: count } = readOptions({ seeds: WANTED_SEEDS });
printMachine(thisMachine(), 'simulated store');
const played = await playMany({ from: 1, count, minutes: Infinity, processes, untilBroken: false, quiet: false });
writeFigures('simulation', played.seeds >= FULL_SEEDS, { ...played }, 'sim:nightly');
const hunted = await huntAll({ seedsMax: 500, from: 1, processes, only: null });
writeFigures('sim-mutants', true, { ...hunted }, 'sim:nightly');
process.exitCode = isGood(played) && hunted.reached ? 0 : 1;
