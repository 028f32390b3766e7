/**
 * The parts of pages that are generated from tests, planted faults, figures, the tables of routes and frames and the
 * schema of the config.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../cruise.ts';
import { THREATS } from '../../security/threats.ts';
import { MUTANTS } from '../../simulation/runner/mutants.ts';
import { FIGURES } from './result-figures.ts';
import { optionTable } from './option-table.ts';
import { frameTable, routeTable } from './rights-tables.ts';
import { PLANTED_FAULTS } from './planted-faults.ts';
import { taggedTests } from './tagged-tests.ts';

export const PROMISES_PAGE = 'docs/promises.md';
export const RELIABILITY_PAGE = 'docs/reliability.md';
export const SECURITY_PAGE = 'SECURITY.md';
/** Every page with generated parts. */
export const PAGES = [PROMISES_PAGE, RELIABILITY_PAGE, SECURITY_PAGE, 'docs/http-api.md', 'docs/protocol.md', 'docs/configuration.md'];
const RESULTS = 'docs/results';
/** Covered by docs/performance.md, with targets of their own. */
const BENCHMARK = [
  'bench.json',
  'bench-long.json',
  'bench-profile.json',
  'bench-budget.json',
  'bench-allocations.json',
  'bench-peers.json',
];

/** What proves one promise. */
export interface Proof {
  readonly promise: string;
  readonly tests: readonly { readonly file: string; readonly title: string }[];
  readonly faults: readonly { readonly name: string; readonly what: string }[];
}

const textOf = (page: string): string => readFileSync(path.join(ROOT, page), 'utf8');

/** Each promise and invariant of the page, in its order. */
export async function proofs(): Promise<readonly Proof[]> {
  const promises = [...textOf(PROMISES_PAGE).matchAll(/^- \*\*([RIJ]\d+)\*\* /gm)].map(([, promise = '']) => promise);
  const tests = await taggedTests();
  const faults = [
    ...PLANTED_FAULTS.map(({ name, what, breaks }) => ({ name, what, breaks })),
    ...MUTANTS.map(({ name, what, caughtBy }) => ({ name, what, breaks: [caughtBy] })),
  ];
  return promises.map((promise) => ({
    promise,
    tests: tests.filter(({ tags }) => tags.includes(promise)),
    faults: faults.filter(({ breaks }) => breaks.includes(promise)),
  }));
}

/** Each generated part of a page, by its name. */
export async function generatedParts(): Promise<Readonly<Record<string, string>>> {
  return {
    proofs: proofTable(await proofs()),
    figures: figureTable(),
    threats: threatTable(),
    routes: routeTable(),
    frames: frameTable(),
    options: optionTable(),
  };
}

/** The page with its generated parts up to date. */
export function withParts(page: string, parts: Readonly<Record<string, string>>): string {
  return textOf(page).replaceAll(/<!-- generated: (\w+) -->\n[^]*?<!-- end -->/g, (_all, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Error(`${page}: nothing is generated as "${name}"`);
    return `<!-- generated: ${name} -->\n\n${part}\n\n<!-- end -->`;
  });
}

/** Text escaped for a table cell. */
export const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function proofTable(rows: readonly Proof[]): string {
  const lines = rows.map(({ promise, tests, faults }) => {
    const proven = tests.map(({ file, title }) => `[${path.basename(file)}](../${file}): ${cell(title)}`).join('<br>');
    return `| **${promise}** | ${proven} | ${faults.map(({ name, what }) => `${name}: ${cell(what)}`).join('<br>')} |`;
  });
  return ['| | tests | faults that turn them red |', '|---|---|---|', ...lines].join('\n');
}

/** By attacker, in the order of the list. */
function threatTable(): string {
  const lines = THREATS.map(({ who, stoppedBy, tests }) => {
    const shown = tests.map(([file, title]) => `[${path.basename(file)}](test/${file}): ${cell(title)}`).join('<br>');
    return `| ${cell(who)} | ${cell(stoppedBy)} | ${shown} |`;
  });
  return ['| who | what stops it | tests |', '|---|---|---|', ...lines].join('\n');
}

type Result = Readonly<Record<string, unknown>> & {
  readonly command: string;
  readonly date: string;
  readonly machine: { readonly processor: string; readonly cores: number };
};

function figureTable(): string {
  const lines = FIGURES.map(({ name, wanted, script }) => {
    const file = `${RESULTS}/${name}.json`;
    if (!existsSync(path.join(ROOT, file))) return `| ${wanted} | | not measured on this version | \`npm run ${script}\` |`;
    const result = JSON.parse(textOf(file)) as Result;
    const { cores, processor } = result.machine;
    const when = `[${result.date.slice(0, 10)}](results/${name}.json), ${cores} × ${cell(processor)}`;
    return `| ${wanted} | ${holds(result)} | ${cell(measured(result))} (${when}) | \`${result.command}\` |`;
  });
  return ['| target | met | measured | command |', '|---|---|---|---|', ...lines].join('\n');
}

const NOT_FIGURES = ['figure', 'command', 'date', 'machine', 'reached'];

/** Where there is a target at all. */
const holds = ({ reached }: Result): string => (reached === true ? 'yes' : reached === false ? '**no**' : '');

/** The top-level numbers and words of a result; lists and nested values are in the file. */
function measured(result: Result): string {
  const parts = Object.entries(result).flatMap(([name, value]) => {
    if (NOT_FIGURES.includes(name)) return [];
    const { words, unit } = wordsOf(name);
    if (typeof value === 'number')
      return [
        `${words} ${(Number.isInteger(value) ? value : Number(value.toPrecision(4))).toLocaleString('en-US', { useGrouping: name !== 'seed', maximumFractionDigits: 6 })}${unit}`,
      ];
    if (typeof value === 'boolean') return [`${words}: ${value ? 'yes' : 'no'}`];
    return typeof value === 'string' ? [`${words} ${value}`] : [];
  });
  return parts.join(' · ');
}

/** Suffixes of names of figures, and the units that they stand for. */
const UNITS: readonly (readonly [end: RegExp, unit: string])[] = [
  [/Ms$/, ' ms'],
  [/MiB$/, ' MiB'],
  [/(?:^|(?<=[a-z]))[Ss]econds$/, ' s'],
  [/(?:^|(?<=[a-z]))[Mm]inutes$/, ' min'],
  [/Hours$/, ' h'],
  [/Percent$/, ' %'],
];

/** `rssMaxMiB`: `rss max`, MiB. A name that is nothing but its unit is the duration. */
function wordsOf(name: string): { readonly words: string; readonly unit: string } {
  const [end, unit] = UNITS.find(([pattern]) => pattern.test(name)) ?? [null, ''];
  const bare = end === null ? name : name.replace(end, '');
  const words = (bare === '' ? 'took' : bare).replaceAll(/[A-Z]+/g, (letters) => ` ${letters.toLowerCase()}`);
  return { words: words.replace(/^rss\b/, 'RSS'), unit };
}

/** Results that belong to no figure of the page. */
export function resultsWithoutFigure(): readonly string[] {
  const folder = path.join(ROOT, RESULTS);
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : [];
  return files.filter((file) => !BENCHMARK.includes(file) && !FIGURES.some(({ name }) => `${name}.json` === file));
}
