/**
 * `npm run sim:mutants [-- --seeds 500] [--only M7,M8]`: plants each bug in a copy of the tree and plays seeds until its
 * rule is broken. Exits with 1 if a bug is not found.
 */
import { availableParallelism } from 'node:os';
import { printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { huntAll } from './runner/hunt.ts';
import { scriptOptions } from '../rig/script-options.ts';

const FULL_SEEDS = 2_000;

const values = scriptOptions({
  seeds: { type: 'string', default: String(FULL_SEEDS) },
  from: { type: 'string', default: '1' },
  only: { type: 'string' },
  processes: { type: 'string', default: String(availableParallelism()) },
});

printMachine(thisMachine(), 'simulated store');
const only = values.only?.split(',') ?? null;
const figures = await huntAll({
  seedsMax: Number(values.seeds),
  from: Number(values.from),
  processes: Number(values.processes),
  only,
});
writeFigures('sim-mutants', only === null && Number(values.seeds) >= FULL_SEEDS, { ...figures });
process.exitCode = figures.reached ? 0 : 1;
