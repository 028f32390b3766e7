/** The tables of `docs/performance.md`: what stands between two of its markers is made from the results, the rest is written by people. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { say } from '../../chaos/rig/figures.ts';
import { plot, seriesIn, type Series } from './growth.ts';
import { median, round, type Result } from './result.ts';
import { judged } from './targets.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PAGE = join(ROOT, 'docs/performance.md');
const RESULTS = join(ROOT, 'docs/results/bench.json');
const PICTURES = 'performance';

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
  const kept = JSON.parse(readFileSync(RESULTS, 'utf8')) as KeptResults;
  const { results } = kept;
  let page = readFileSync(PAGE, 'utf8');
  for (const [, name = ''] of page.matchAll(/<!-- bench:([a-z]+) -->/g)) page = between(page, name, partOf(name, kept));
  writeFileSync(PAGE, page);
  mkdirSync(join(ROOT, 'docs', PICTURES), { recursive: true });
  for (const { file, title, over, series } of picturesOf(results))
    writeFileSync(join(ROOT, 'docs', PICTURES, file), plot(title, over, series));
  say(`written to ${PAGE}`);
}

/** The page with this text between the markers of the name; fails when the second one is missing. */
export function between(page: string, name: string, text: string): string {
  const [start, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the page has no "${start}" with "${end}" after it`);
  return `${page.slice(0, from + start.length)}\n\n${text.trimEnd()}\n\n${page.slice(to)}`;
}

function partOf(name: string, kept: KeptResults): string {
  if (name === 'environment') return environmentOf(kept);
  if (name === 'growth') return growthOf(kept.results);
  return tableOf(kept.results.filter(({ scenario }) => scenario === name));
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
  const rows = results.map((result) => used.map(([, cell]) => cell(result)));
  return [used.map(([head]) => head), used.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const partsOf = (of: Readonly<Record<string, number>>): string => {
  const parts = Object.entries(of);
  return parts.length < 2 ? '' : ` (${parts.map(([name, us]) => `${name} ${round(us)}`).join(', ')})`;
};

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
    title: `The cost of one operation over the number of ${over}`,
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
