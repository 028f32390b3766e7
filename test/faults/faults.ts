/**
 * Fails every call of the store and of a sidecar's disk in turn, as SQLite's own tests of its I/O do:
 * `npm run faults -- [--step N] [--first N] [--scenario TEXT] [--processes N]`. Exits with 1 if anything acknowledged is missing, anything ended twice,
 * or any invariant does not hold afterwards.
 */
import { availableParallelism } from 'node:os';
import { say, printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { progressBar } from '../chaos/rig/progress-bar.ts';
import type { Outcome } from './faults-run.ts';
import { faultsInProcesses } from './in-processes.ts';
import { SCENARIOS } from './scenarios.ts';
import { refuseValue, scriptOptions } from '../rig/script-options.ts';

const SHOWN = 30;

const values = scriptOptions({
  step: { type: 'string', default: '1' },
  first: { type: 'string', default: '1' },
  scenario: { type: 'string', default: '' },
  processes: { type: 'string', default: String(availableParallelism()) },
});
const [step, first] = [wholeNumber('step', values.step), wholeNumber('first', values.first)];
const processes = wholeNumber('processes', values.processes);
const scenarios = SCENARIOS.filter(({ name }) => name.includes(values.scenario));
if (scenarios.length === 0)
  throw new Error(
    `--scenario ${values.scenario}: no scenario of that name; expected one of ${SCENARIOS.map(({ name }) => name).join('; ')}`,
  );

printMachine(thisMachine());
say(
  `${scenarios.length} scenarios; in each, call ${first} and every ${step === 1 ? '' : `${step}th `}call after it fails, one in each run; nothing is random`,
);
const beganMs = performance.now();
let bar: ReturnType<typeof progressBar> | null = null;
let reported = 0;
const onOutcome = ({ scenario, kind, violations: found }: Outcome): void => {
  for (const { nth, what } of found.slice(0, SHOWN - reported)) say(`VIOLATION ${scenario}; ${kind}, call ${nth}: ${what}`);
  reported = Math.min(SHOWN, reported + found.length);
};
const onProgress = (done: number, of: number, note: string): void => (bar ??= progressBar(of)).at(done, note);
const outcomes = await faultsInProcesses(processes, { scenarios, step, first, onProgress, onOutcome });
(bar as ReturnType<typeof progressBar> | null)?.end();
const seconds = Math.round((performance.now() - beganMs) / 1_000);

const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
const violations = outcomes.flatMap(({ scenario, kind, violations: found }) =>
  found.map(({ nth, what }) => ({ scenario, kind, nth, what })),
);
for (const kind of new Set(outcomes.map((outcome) => outcome.kind))) {
  const of = outcomes.filter((outcome) => outcome.kind === kind);
  say(`${kind}: ${of.reduce((sum, outcome) => sum + outcome.failed, 0)} calls failed in ${of.length} scenarios`);
}
say(`${failed} calls failed, ${violations.length} violations (expected 0); ${seconds} s`);
writeFigures('faults', values.scenario === '' && first === 1 && step === 1, {
  reached: violations.length === 0,
  step,
  first,
  stories: scenarios.length,
  processes,
  callsFailed: failed,
  seconds,
  violations: violations.slice(0, SHOWN),
  outcomes: outcomes.map(({ scenario, kind, failed: calls, violations: found }) => ({ scenario, kind, calls, violations: found.length })),
});
process.exitCode = violations.length === 0 ? 0 : 1;

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  refuseValue(name, text, 'a whole number from 1');
}
