/**
 * `npm run test:agents -- [--only NAME...] [--case NAME...] [--jobs N]`: the real agent programs, from npm, driven through a
 * real hub and real sidecars, with a made-up model on loopback. Prints a table, and ends with 1 if anything in it is red.
 */
import { Command, Option } from 'commander';
import { tableLines } from '../../apps/cli/output/text-table.ts';
import { say, sayMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { agentsRun, type Outcome, type ReadyProgram } from './agents-run.ts';
import { CASES } from './cases.ts';
import { cacheFolder, install, named } from './install.ts';
import { PROGRAMS } from './agent-programs.ts';

const command = new Command('npm run test:agents --')
  .description('Runs the real agent programs through a real hub and real sidecars, with a made-up model on loopback.')
  .addOption(new Option('--only <names...>', 'only these programs').choices(PROGRAMS.map(({ name }) => name)))
  .addOption(new Option('--case <names...>', 'only these cases').choices(CASES.map(({ name }) => name)))
  .addOption(new Option('--jobs <count>', 'programs at the same time').argParser(countOf).default(2))
  .addHelpText(
    'after',
    `
Cases:
${CASES.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}

The programs are installed by npm, pinned, into ${cacheFolder()}
(XDG_CACHE_HOME chooses another place); 3 GB for all of them. No model is called but the one on loopback, no key is needed, and
each run has a home of its own. Needs Linux.

Exit codes: 0 all green, or not supported by a program; 1 something is red, or a program could not be installed.`,
  );
command.parse();
const { only, case: onlyCases, jobs } = command.opts<{ only?: string[]; case?: string[]; jobs: number }>();
const programs = PROGRAMS.filter(({ name }) => only?.includes(name) ?? true);
const cases = CASES.filter(({ name }) => onlyCases?.includes(name) ?? true);

sayMachine(thisMachine());
const beganMs = performance.now();
const ready: ReadyProgram[] = [];
const missing = new Map<string, string>();
for (const program of programs) {
  const installed = await install(program.npm);
  const node = program.npm.node === undefined ? '' : `, on ${named(program.npm.node)} since it does not run on ${process.version}`;
  if (installed.kind === 'installed') {
    say(`${program.name}: ${named(program.npm)}${node}; says "${installed.says}"`);
    ready.push({ program, installed });
  } else {
    say(`${program.name}: NOT INSTALLED: ${named(program.npm)}${node}: ${installed.why}`);
    missing.set(program.name, installed.why);
  }
}

const outcomes = new Map<string, Outcome>();
const keyOf = (program: string, tried: string): string => `${program} ${tried}`;
await agentsRun({
  programs: ready,
  cases,
  jobs,
  onOutcome({ name }, tried, outcome) {
    outcomes.set(keyOf(name, tried.name), outcome);
    say(`${name} ${tried.name}: ${inWords(outcome)}`);
  },
});

const cellOf = (program: string, tried: string): string => {
  const outcome = outcomes.get(keyOf(program, tried));
  if (outcome === undefined) return 'not installed';
  if (outcome.kind === 'green') return `green${outcome.note === undefined ? '' : '*'} ${String(outcome.seconds)} s`;
  return outcome.kind === 'red' ? 'RED' : 'not supported';
};
say();
const columns = programs.map(({ name }) => ({ title: name, cell: (tried: { readonly name: string }) => cellOf(name, tried.name) }));
for (const line of tableLines([{ title: 'case', cell: ({ name }: { readonly name: string }) => name }, ...columns], cases, undefined))
  say(line);
say();
for (const [key, outcome] of [...outcomes].sort(([a], [b]) => (a < b ? -1 : 1))) {
  if (outcome.kind === 'unsupported') say(`${key}: not supported: ${outcome.why}`);
  if (outcome.kind === 'green' && outcome.note !== undefined) say(`* ${key}: ${outcome.note}`);
}
for (const [name, why] of missing) say(`${name}: not installed: ${why}`);
const count = (kind: Outcome['kind']): number => [...outcomes.values()].filter((outcome) => outcome.kind === kind).length;
const red = [...outcomes].filter(([, { kind }]) => kind === 'red').map(([key]) => key);
const figures = {
  green: count('green'),
  red: count('red'),
  unsupported: count('unsupported'),
  notInstalled: missing.size,
  seconds: Math.round((performance.now() - beganMs) / 1_000),
};
say(`${figures.green} green, ${figures.red} red, ${figures.unsupported} not supported, in ${figures.seconds} s`);
for (const key of red) say(`RED ${key}`);
const isReached = red.length === 0 && missing.size === 0;
const isFull = only === undefined && onlyCases === undefined;
const versions = Object.fromEntries(programs.map(({ name, npm }) => [name, named(npm)]));
const ended = Object.fromEntries([...outcomes].map(([key, { kind }]) => [key, kind]));
writeFigures('agents', isFull, { reached: isReached, ...figures, versions, ended }, 'test:agents');
process.exitCode = isReached ? 0 : 1;

function inWords(outcome: Outcome): string {
  if (outcome.kind === 'green') return `green in ${String(outcome.seconds)} s${outcome.note === undefined ? '' : ` (${outcome.note})`}`;
  return outcome.kind === 'red' ? `RED: ${outcome.why}` : `not supported: ${outcome.why}`;
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`--jobs ${text}: wanted a number from 1`);
  return count;
}
