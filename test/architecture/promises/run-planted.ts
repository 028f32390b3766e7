/**
 * `npm run planted [-- --only P1,P2]`: plants each fault in a copy of the tree and runs the test that must turn red by it, which
 * must be green without it. Ends with 1 when one does not.
 */
import { parseArgs } from 'node:util';
import { say, sayMachine, thisMachine, writeFigures } from '../../chaos/rig/figures.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { plantedTree } from './plant.ts';
import { PLANTED_FAULTS } from './planted-faults.ts';

const { values } = parseArgs({ options: { only: { type: 'string' } } });
const only = values.only?.split(',') ?? null;
const faults = PLANTED_FAULTS.filter(({ name }) => only?.includes(name) ?? true);

sayMachine(thisMachine(), 'no store of its own');
const tree = await plantedTree();
const bar = progressBar(faults.length);
const greenBefore = new Set<string>();
const outcomes: {
  readonly name: string;
  readonly what: string;
  readonly breaks: readonly string[];
  readonly test: string;
  readonly found: boolean;
  readonly why: string;
}[] = [];
try {
  for (const fault of faults) {
    const { name, what, breaks, test } = fault;
    const isSound = greenBefore.has(test) || (await tree.run(fault, false)) === 'green';
    if (isSound) greenBefore.add(test);
    const found = isSound && (await tree.run(fault, true)) === 'red';
    const why = found ? 'red' : isSound ? 'stays green' : 'is red without the fault';
    outcomes.push({ name, what, breaks, test, found, why });
    bar.at(outcomes.length, `${name} ${why}`);
    if (!found) say(`\n${name} (${what}): ${test} ${why}`);
  }
} finally {
  bar.end();
  await tree.remove();
}
const found = outcomes.filter((outcome) => outcome.found).length;
say(`${found} of ${faults.length} planted faults turn their test red`);
writeFigures('planted', only === null, { found, of: faults.length, faults: outcomes });
process.exitCode = found === faults.length ? 0 : 1;
