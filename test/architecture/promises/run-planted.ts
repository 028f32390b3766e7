/**
 * `npm run planted [-- --only P1,P2 | --missing]`: plants each fault in a copy of the tree and runs the test that must
 * turn red because of it, and that must be green without it. The result is stored after each fault; `--missing` runs
 * those without a stored result. Exits with 1 if one is not found.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { say, printMachine, thisMachine, writeFigures } from '../../chaos/rig/chaos-figures.ts';
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { ROOT } from '../cruise.ts';
import { plantedTree, type PlantedTree } from './plant.ts';
import { PLANTED_FAULTS, type PlantedFault } from './planted-faults.ts';
import { digestOf, type PlantedOutcome, type PlantedResult } from './planted-result.ts';
import { scriptOptions } from '../../rig/script-options.ts';

const RESULT = path.join(ROOT, 'docs/results/planted.json');

/** Stored results of earlier runs, for faults that are still planted unchanged. */
function keptOutcomes(): Map<string, PlantedOutcome> {
  if (!existsSync(RESULT)) return new Map();
  const { faults } = JSON.parse(readFileSync(RESULT, 'utf8')) as PlantedResult;
  const digests = new Map(PLANTED_FAULTS.map((fault) => [fault.name, digestOf(fault)]));
  return new Map(faults.filter(({ name, digest }) => digests.get(name) === digest).map((outcome) => [outcome.name, outcome]));
}

async function outcomeOf(tree: PlantedTree, fault: PlantedFault, green: Set<string>): Promise<PlantedOutcome> {
  const { name, what, breaks, test } = fault;
  const isSound = green.has(test) || (await tree.run(fault, false)) === 'green';
  if (isSound) green.add(test);
  const found = isSound && (await tree.run(fault, true)) === 'red';
  const why = found ? 'red' : isSound ? 'stays green' : 'is red without the fault';
  return { name, what, breaks, test, digest: digestOf(fault), found, why };
}

/** Stored after each fault: a long run that is stopped is not lost. */
function keep(outcomes: ReadonlyMap<string, PlantedOutcome>): void {
  const faults = PLANTED_FAULTS.flatMap(({ name }) => outcomes.get(name) ?? []);
  const found = faults.filter((outcome) => outcome.found).length;
  writeFigures('planted', true, { reached: found === PLANTED_FAULTS.length, found, of: PLANTED_FAULTS.length, faults });
}

const values = scriptOptions({ only: { type: 'string' }, missing: { type: 'boolean' } });
const only = values.only?.split(',') ?? null;
const outcomes = keptOutcomes();
const isChosen = ({ name }: PlantedFault): boolean =>
  (only === null || only.includes(name)) && (values.missing !== true || outcomes.get(name)?.found !== true);
const chosen = PLANTED_FAULTS.filter(isChosen);

printMachine(thisMachine(), 'no store of its own');
const tree = await plantedTree();
const bar = progressBar(chosen.length);
const green = new Set<string>();
let done = 0;
try {
  for (const fault of chosen) {
    const outcome = await outcomeOf(tree, fault, green);
    outcomes.set(fault.name, outcome);
    bar.at((done += 1), `${outcome.name} ${outcome.why}`);
    if (!outcome.found) say(`\n${outcome.name} (${outcome.what}): ${outcome.test} ${outcome.why}`);
  }
} finally {
  bar.end();
  await tree.remove();
  if (done > 0) keep(outcomes);
}
const found = chosen.filter(({ name }) => outcomes.get(name)?.found === true).length;
say(`${found} of ${chosen.length} planted faults turn their test red`);
process.exitCode = found === chosen.length ? 0 : 1;
