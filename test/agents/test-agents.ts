/**
 * `npm run test:agents -- [--only NAME...] [--case NAME...] [--jobs N]`: the real agent programs, from npm, driven
 * through a real hub and real sidecars, with a fake model on loopback. Prints a table, and exits with 1 if anything in
 * it failed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { ROOT } from '../architecture/cruise.ts';
import { tableLines } from '../../apps/cli/output/text-table.ts';
import { say, printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { agentsRun, type Outcome, type ReadyProgram } from './agents-run.ts';
import { CASES } from './cases.ts';
import { cacheFolder, install, named } from './install.ts';
import { PROGRAMS } from './agent-programs.ts';

const KEPT = join(ROOT, 'docs/results/agents.json');

const command = new Command('npm run test:agents --')
  .description('Runs the real agent programs through a real hub and real sidecars, with a fake model on loopback.')
  .addOption(new Option('--only <names...>', 'only these programs').choices(PROGRAMS.map(({ name }) => name)))
  .addOption(new Option('--case <names...>', 'only these cases').choices(CASES.map(({ name }) => name)))
  .addOption(new Option('--jobs <count>', 'programs in parallel').argParser(countOf).default(2))
  .addHelpText(
    'after',
    `
Cases:
${CASES.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}

The programs are installed by npm, pinned, into ${cacheFolder()}
(XDG_CACHE_HOME chooses another place); 3 GB for all of them. No model is called but the one on loopback, no key is needed, and
each run has a home of its own. Needs Linux. A run of all cases is kept in docs/results/agents.json; with --only, its programs are renewed there.

Exit codes: 0 all green, or not supported by a program; 1 something is red, or a program could not be installed.`,
  );
command.parse();
const { only, case: onlyCases, jobs } = command.opts<{ only?: string[]; case?: string[]; jobs: number }>();
const programs = PROGRAMS.filter(({ name }) => only?.includes(name) ?? true);
const cases = CASES.filter(({ name }) => onlyCases?.includes(name) ?? true);

printMachine(thisMachine());
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
type Ended = Readonly<Record<string, Outcome['kind']>>;
const here: Ended = Object.fromEntries([...outcomes].map(([key, { kind }]) => [key, kind]));
const seconds = Math.round((performance.now() - beganMs) / 1_000);
const keysOf = (ended: Ended, kind: Outcome['kind']): readonly string[] => Object.keys(ended).filter((key) => ended[key] === kind);
const figuresOf = (ended: Ended) => ({
  green: keysOf(ended, 'green').length,
  red: keysOf(ended, 'red').length,
  unsupported: keysOf(ended, 'unsupported').length,
  notInstalled: missing.size,
});
const { green, red, unsupported } = figuresOf(here);
say(`${green} green, ${red} red, ${unsupported} not supported, in ${seconds} s`);
for (const key of keysOf(here, 'red')) say(`RED ${key}`);

const others = onlyCases === undefined ? keptOfOthers() : null;
const ended = { ...others?.ended, ...here };
const isReached = keysOf(ended, 'red').length === 0 && missing.size === 0;
const versions = Object.fromEntries(PROGRAMS.map(({ name, npm }) => [name, named(npm)]));
const whole = { reached: isReached, ...figuresOf(ended), seconds: seconds + (others?.seconds ?? 0), versions, ended };
writeFigures('agents', others !== null, whole, 'test:agents');
process.exitCode = red === 0 && missing.size === 0 ? 0 : 1;

/**
 * For programs that were left out: what the stored result says about them. Null unless it has each case of each, in
 * its present version.
 */
function keptOfOthers(): { readonly ended: Ended; readonly seconds: number } | null {
  const left = PROGRAMS.filter((program) => !programs.includes(program));
  if (left.length === 0) return { ended: {}, seconds: 0 };
  const kept = JSON.parse(readFileSync(KEPT, 'utf8')) as {
    readonly seconds: number;
    readonly versions: Readonly<Record<string, string>>;
    readonly ended: Ended;
  };
  const keys = left.flatMap(({ name }) => CASES.map((tried) => keyOf(name, tried.name)));
  if (left.some(({ name, npm }) => kept.versions[name] !== named(npm)) || keys.some((key) => kept.ended[key] === undefined)) return null;
  return { ended: Object.fromEntries(keys.map((key) => [key, kept.ended[key] ?? 'red'])), seconds: kept.seconds };
}

function inWords(outcome: Outcome): string {
  if (outcome.kind === 'green') return `green in ${String(outcome.seconds)} s${outcome.note === undefined ? '' : ` (${outcome.note})`}`;
  return outcome.kind === 'red' ? `RED: ${outcome.why}` : `not supported: ${outcome.why}`;
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`--jobs ${text}: expected a number from 1`);
  return count;
}
