/** The tables of `docs/performance.md`: its generated parts are made from the results, the rest is written by people. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../architecture/cruise.ts';
import { cell as escapedCell, withParts } from '../../architecture/promises/pages.ts';
import { say } from '../../chaos/rig/figures.ts';
import { plot, seriesIn, type Series } from './growth.ts';
import { median, partsOf, round, type Result } from './result.ts';
import { judged } from './targets.ts';

const PAGE = 'docs/performance.md';
const RESULTS = join(ROOT, 'docs/results/bench.json');
const PICTURES = 'performance';
const PARTS = [
  'environment',
  'limits',
  'submit',
  'lifecycle',
  'commits',
  'latency',
  'backlog',
  'history',
  'restart',
  'connections',
  'sidecar',
  'growth',
];

/** `docs/results/bench.json`. */
export interface KeptResults {
  readonly date: string;
  readonly command: string;
  readonly seconds: number;
  readonly environment: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly system: string;
    readonly node: string;
    readonly agentcom: string;
    readonly loadBefore: number;
    readonly packages: Readonly<Record<string, string>>;
  };
  readonly results: readonly Result[];
}

/** Writes the page's tables and pictures anew from the kept results. */
export function writePage(): void {
  const kept = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as KeptResults) : null;
  writeFileSync(join(ROOT, PAGE), withParts(PAGE, pageParts(kept)));
  mkdirSync(join(ROOT, 'docs', PICTURES), { recursive: true });
  for (const { file, title, over, series } of picturesOf(kept?.results ?? []))
    writeFileSync(join(ROOT, 'docs', PICTURES, file), plot(title, over, series));
  say(`written: ${PAGE}`);
}

/** Each generated part of the page, by its name. */
export function pageParts(kept: KeptResults | null): Readonly<Record<string, string>> {
  const parts = (of: (name: string) => string): Readonly<Record<string, string>> =>
    Object.fromEntries(PARTS.map((name) => [name, of(name)]));
  if (kept === null) return parts(() => 'Not measured yet.');
  const table = (name: string): string => tableOf(kept.results.filter(({ scenario }) => scenario === name));
  return { ...parts(table), environment: environmentOf(kept), growth: growthOf(kept.results) };
}

function environmentOf({ date, command, seconds, environment }: KeptResults): string {
  const { processor, cores, memoryGiB, system, node, agentcom, packages, loadBefore } = environment;
  return [
    `\`${command}\`, ${date.slice(0, 10)}, ${Math.round(seconds)} s; ${cores} × ${processor}, ${memoryGiB} GiB, ${system}; load of the machine before ${loadBefore}; node ${node}, agentcom ${agentcom},`,
    `${Object.entries(packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
  ].join(' ');
}

/** As wide as what was measured: a column that would be empty is left out. */
export function tableOf(results: readonly Result[]): string {
  if (results.length === 0) return 'Not measured yet.';
  const columns: readonly (readonly [string, (result: Result) => string])[] = [
    ['figure', ({ what }) => what],
    ['on', ({ storage, transport }) => (storage === undefined ? '' : `${storage} + ${transport}`)],
    ['median', ({ runs, unit }) => `${round(median(runs))} ${unit}`],
    ['min–max', ({ runs }) => (runs.length < 2 ? '' : `${round(Math.min(...runs))}–${round(Math.max(...runs))}`)],
    ['runs × N', ({ runs, n }) => `${runs.length} × ${n.toLocaleString('en-US')}`],
    ['p50 / p99 ms', ({ times }) => (times === undefined ? '' : `${round(times.p50Ms)} / ${round(times.p99Ms)}`)],
    ['CPU µs', ({ cpuUs }) => (cpuUs === undefined ? '' : `${round(cpuUs.all)}${partsOf(cpuUs.of)}`)],
    ['hub MiB', ({ hubMiB }) => (hubMiB === undefined ? '' : String(Math.round(hubMiB)))],
    ['of the limit', ({ ratio, limit }) => (ratio === undefined ? '' : `${round(ratio)} × ${limit}`)],
    ['durability', ({ durability }) => durability ?? ''],
    [
      'target',
      (result) => {
        const judgement = judged(result);
        return judgement === null ? '' : `${judgement.wanted}: ${judgement.isReached ? 'reached' : '**missed**'}`;
      },
    ],
    ['', ({ note }) => note ?? ''],
  ];
  const used = columns.filter(([, cell]) => results.some((result) => cell(result) !== ''));
  const rows = results.map((result) => used.map(([, cell]) => escapedCell(cell(result))));
  return [used.map(([head]) => head), used.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

interface Picture {
  readonly file: string;
  readonly title: string;
  readonly over: string;
  readonly series: readonly Series[];
}

function picturesOf(results: readonly Result[]): readonly Picture[] {
  const all = seriesIn(results, 'sqlite');
  return [...new Set(all.map(({ over }) => over))].map((over) => ({
    file: `over-${over.replaceAll(' ', '-')}.svg`,
    title: `What one takes over the number of ${over}`,
    over,
    series: all.filter((series) => series.over === over),
  }));
}

function growthOf(results: readonly Result[]): string {
  const pictures = picturesOf(results).map(({ file, title }) => `![${title}](${PICTURES}/${file})`);
  const rows = picturesOf(results).flatMap(({ series }) =>
    series.map(({ name, over, points, exponent }) => {
      const told = points.map(({ at, ms }) => `${at.toLocaleString('en-US')}: ${round(ms)} ms`).join(', ');
      return `| ${name} | ${over} | ${told} | ${exponent.toFixed(2)} |`;
    }),
  );
  return [...pictures, '', '| what | over the number of | one takes | exponent |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
