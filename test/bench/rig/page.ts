/** The tables of `docs/performance.md`: its generated parts come from the results, the rest is written by hand. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT } from '../../architecture/cruise.ts';
import { cell as escapedCell, withParts } from '../../architecture/promises/pages.ts';
import { say } from '../../chaos/rig/chaos-figures.ts';
import { allocationsPart, type KeptAllocations } from './allocations.ts';
import { budgetPart, type KeptBudget } from './budget-table.ts';
import { failedRuns, peerTable, type FailedRuns, type PeerResult } from '../peers/peer-table.ts';
import { plot, seriesIn, type Series } from './growth.ts';
import type { KeptProfile } from './profiler.ts';
import { median, partsOf, round, type Result } from './result.ts';
import { judged } from './targets.ts';

const PAGE = 'docs/performance.md';
/** Where results, page and pictures are stored. */
export const DOCS = join(ROOT, 'docs');
/** All in the folder of the page. */
const RESULTS = 'results/bench.json';
/** Of a run with ten million, which takes longer than a whole run of everything else. */
const LONG_RESULTS = 'results/bench-long.json';
const LONG_PICTURES = 'long-';
const PROFILE = 'results/bench-profile.json';
const BUDGET = 'results/bench-budget.json';
const ALLOCATIONS = 'results/bench-allocations.json';
const PEERS = 'results/bench-peers.json';
const PICTURES = 'performance';
export const FLAME_GRAPH = `${PICTURES}/lifecycle.svg`;
const NOTHING = 'Not measured yet.';
export const PARTS = [
  'environment',
  'limits',
  'submit',
  'lifecycle',
  'commits',
  'latency',
  'backlog',
  'history',
  'restart',
  'agents',
  'connections',
  'sidecar',
  'journal',
  'neighbours',
  'removal',
  'growth',
  'long',
  'profile',
  'budget',
  'allocations',
  'peers',
];

/** `docs/results/bench.json`. */
export interface KeptResults {
  readonly date: string;
  readonly command: string;
  readonly seconds: number;
  /** Of each scenario. */
  readonly secondsOf: Readonly<Record<string, number>>;
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
  /** Why a scenario has no figure. */
  readonly notShown: Readonly<Record<string, string>>;
  readonly results: readonly Result[];
}

/** `docs/results/bench-peers.json`. */
export interface KeptPeers extends Pick<KeptResults, 'date' | 'command' | 'seconds' | 'environment'> {
  /** How long each scenario ran before it was measured. */
  readonly warmUpSeconds: number;
  /** Of each queue. */
  readonly settings: readonly { readonly contestant: string; readonly store: string; readonly worker: string }[];
  readonly results: readonly PeerResult[];
  readonly failures?: readonly FailedRuns[];
}

interface KeptProfileRun {
  readonly date: string;
  readonly command: string;
  readonly profile: KeptProfile;
}

/** Regenerates the tables and pictures of the page in that folder, from the results that are stored there; its text is that of `docs`. */
export function writePage(into: string): void {
  const read = (file: string): unknown => (existsSync(join(into, file)) ? JSON.parse(readFileSync(join(into, file), 'utf8')) : null);
  const kept = read(RESULTS) as KeptResults | null;
  const long = read(LONG_RESULTS) as KeptResults | null;
  const page = readFileSync(join(ROOT, PAGE), 'utf8');
  const parts = {
    ...pageParts(kept),
    long: longOf(long),
    profile: profileOf(read(PROFILE) as KeptProfileRun | null, sentencesIn(page)),
    budget: budgetOf(read(BUDGET) as KeptBudget | null),
    allocations: allocationsOf(read(ALLOCATIONS) as KeptAllocations | null),
    peers: peersOf(read(PEERS) as KeptPeers | null),
  };
  mkdirSync(join(into, PICTURES), { recursive: true });
  for (const { file, title, over, series } of [...picturesOf(kept?.results ?? []), ...picturesOf(long?.results ?? [], LONG_PICTURES)])
    writeFileSync(join(into, PICTURES, file), plot(title, over, series));
  const written = join(into, basename(PAGE));
  writeFileSync(written, withParts(PAGE, parts));
  say(`written: ${written}`);
}

/** Regenerates the comparison with other queues, and nothing else of the page. */
export function writePeers(): void {
  const kept = JSON.parse(readFileSync(join(DOCS, PEERS), 'utf8')) as KeptPeers;
  const file = join(ROOT, PAGE);
  const part = `<!-- generated: peers -->\n\n${peersOf(kept)}\n\n<!-- end -->`;
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(/<!-- generated: peers -->\n[^]*?<!-- end -->/, () => part),
  );
  say(`written: ${file}`);
}

/** Each generated part of the page, by its name. */
export function pageParts(kept: KeptResults | null): Readonly<Record<string, string>> {
  const parts = (of: (name: string) => string): Readonly<Record<string, string>> =>
    Object.fromEntries(PARTS.map((name) => [name, of(name)]));
  if (kept === null) return parts(() => NOTHING);
  const table = (name: string): string => {
    const why = kept.notShown[name];
    return why === undefined ? tableOf(kept.results.filter(({ scenario }) => scenario === name)) : `Not shown: ${why}.`;
  };
  return { ...parts(table), environment: environmentOf(kept), growth: growthOf(kept.results) };
}

/** Hand-written notes on each function, by its name and file. */
export function sentencesIn(page: string): ReadonlyMap<string, string> {
  const part = /<!-- generated: profile -->([^]*?)<!-- end -->/.exec(page)?.[1] ?? '';
  return new Map([...part.matchAll(/^\| `([^`]+)` \|[^|]*\| (.*?) \|$/gm)].map(([, frame = '', sentence = '']) => [frame, sentence]));
}

/** The table of the hottest functions, with the notes on them. */
export function profileOf(run: KeptProfileRun | null, sentences: ReadonlyMap<string, string>): string {
  if (run === null) return NOTHING;
  const { tasks, busyMs, nativeMs, idleMs, hottest } = run.profile;
  const wholeMs = busyMs + nativeMs + idleMs;
  const share = (ms: number): string => `${round((ms * 100) / wholeMs)} %`;
  const rows = hottest.map(({ what, selfMs }) => {
    // Lines move; the function stays.
    const frame = what.replace(/:[0-9]+$/, '');
    return `| \`${frame}\` | ${share(selfMs)} | ${sentences.get(frame) ?? ''} |`;
  });
  return [
    `\`${run.command}\`, ${run.date.slice(0, 10)}: ${tasks.toLocaleString('en-US')} tasks in ${round(wholeMs / 1_000)} s, with the profiler running. Of that time the hub's own`,
    `thread spent ${share(busyMs)} in functions, ${share(nativeMs)} outside of them (system calls, add-ons) and ${share(idleMs)} waiting. Point at a bar`,
    `of the picture to see how long it took.`,
    '',
    `![Flame graph of the hub's own thread](${FLAME_GRAPH})`,
    '',
    '| function | in itself, of the time | |',
    '| --- | --: | --- |',
    ...rows,
  ].join('\n');
}

const budgetOf = (kept: KeptBudget | null): string => (kept === null ? NOTHING : budgetPart(kept));
const allocationsOf = (kept: KeptAllocations | null): string => (kept === null ? NOTHING : allocationsPart(kept));

/** Other queues next to AgentCom, with what they ran on. */
export function peersOf(kept: KeptPeers | null): string {
  if (kept === null) return NOTHING;
  const { date, command, seconds, warmUpSeconds, environment, settings, results, failures = [] } = kept;
  const { processor, cores, memoryGiB, system, node, agentcom, loadBefore } = environment;
  const rows = settings.map(({ contestant, store, worker }) => `| ${[contestant, store, worker].map(escapedCell).join(' | ')} |`);
  return [
    `\`${command}\`, ${date.slice(0, 10)}, ${seconds} s; ${cores} × ${processor}, ${memoryGiB} GiB, ${system}; load of the machine before ${loadBefore}; node ${node}, agentcom ${agentcom}.`,
    `Medians of ${Math.max(...results.map(({ runs }) => runs.length))} runs. Each scenario ran for ${warmUpSeconds} s before it was measured. ${failedRuns(failures)}`.trimEnd(),
    '',
    peerTable(results),
    '',
    '| queue | store | worker |',
    '| --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function environmentOf({ date, command, seconds, secondsOf, environment }: KeptResults): string {
  const { processor, cores, memoryGiB, system, node, agentcom, packages, loadBefore } = environment;
  return [
    `\`${command}\`, ${date.slice(0, 10)}, ${Math.round(seconds)} s; ${cores} × ${processor}, ${memoryGiB} GiB, ${system}; load of the machine before ${loadBefore}; node ${node}, agentcom ${agentcom},`,
    `${Object.entries(packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    `Seconds of each scenario: ${Object.entries(secondsOf)
      .map(([name, taken]) => `${name} ${taken}`)
      .join(', ')}.`,
  ].join(' ');
}

/** As wide as the measurements need: a column that would be empty is left out. */
export function tableOf(results: readonly Result[]): string {
  if (results.length === 0) return NOTHING;
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

/** The results of a run with ten million, each next to its value in a smaller store of the same run. */
const longOf = (kept: KeptResults | null): string =>
  kept === null ? NOTHING : [environmentOf(kept), '', growthOf(kept.results, LONG_PICTURES)].join('\n');

function picturesOf(results: readonly Result[], prefix = ''): readonly Picture[] {
  const all = seriesIn(results, 'sqlite');
  return [...new Set(all.map(({ over }) => over))].map((over) => ({
    file: `${prefix}over-${over.replaceAll(' ', '-')}.svg`,
    title: `Time of one operation by the number of ${over}`,
    over,
    series: all.filter((series) => series.over === over),
  }));
}

function growthOf(results: readonly Result[], prefix = ''): string {
  const pictures = picturesOf(results, prefix).map(({ file, title }) => `![${title}](${PICTURES}/${file})`);
  const rows = picturesOf(results).flatMap(({ series }) =>
    series.map(({ name, over, points, exponent }) => {
      const message = points.map(({ at, ms }) => `${at.toLocaleString('en-US')}: ${round(ms)} ms`).join(', ');
      return `| ${name} | ${over} | ${message} | ${exponent.toFixed(2).replace('-0.00', '0.00')} |`;
    }),
  );
  if (rows.length === 0) return NOTHING;
  return [...pictures, '', '| what | over the number of | one takes | exponent |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
