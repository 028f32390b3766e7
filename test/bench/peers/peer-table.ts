/** The measurements of each queue, and their table. */
import { cell } from '../../architecture/promises/pages.ts';
import { median, partsOf, round } from '../rig/result.ts';

/** The figures of one run of a scenario. Missing: not comparable, or not requested. */
export interface Figures {
  readonly perSecond?: number | undefined;
  /** Of all processes together per task, in microseconds. */
  readonly cpuUs?: number | undefined;
  /** Of each process. */
  readonly cpuUsOf?: Readonly<Record<string, number>> | undefined;
  readonly p50Ms?: number | undefined;
  readonly p99Ms?: number | undefined;
}

/** All runs of a scenario on one queue. */
export interface PeerResult {
  readonly contestant: string;
  readonly isOurs: boolean;
  /** What the machine and JavaScript allow; not a peer. */
  readonly isYardstick?: true | undefined;
  /** Such as `singles, 64 in flight`. */
  readonly scenario: string;
  /** Tasks in each run. */
  readonly n: number;
  readonly runs: readonly Figures[];
}

/** Failed runs of a queue, none of whose figures count. */
export interface FailedRuns {
  readonly contestant: string;
  readonly runs: number;
  /** Of the last one. */
  readonly error: string;
}

/** For one line; empty without any. */
export const failedRuns = (failures: readonly FailedRuns[]): string =>
  failures.length === 0
    ? ''
    : `Runs that failed and are not in these figures: ${failures.map(({ contestant, runs, error }) => `${runs} of ${contestant} (${error.split('\n')[0]})`).join(', ')}.`;

const FIGURES = [
  { name: 'perSecond', unit: 'tasks/s', isLessBetter: false },
  { name: 'cpuUs', unit: 'CPU µs/task', isLessBetter: true },
  { name: 'p50Ms', unit: 'p50 ms', isLessBetter: true },
  { name: 'p99Ms', unit: 'p99 ms', isLessBetter: true },
] as const;
type FigureName = (typeof FIGURES)[number]['name'];

/** For one line. */
export const inWords = (figures: Figures): string =>
  FIGURES.flatMap(({ name, unit }) => {
    if (figures[name] === undefined) return [];
    return [`${round(figures[name])} ${unit}${name === 'cpuUs' ? partsOf(figures.cpuUsOf ?? {}) : ''}`];
  }).join(', ');

/** Of the runs that have it; null if none has. */
export function medianOf({ runs }: Pick<PeerResult, 'runs'>, name: FigureName): number | null {
  const values = runs.flatMap((run) => run[name] ?? []);
  return values.length === 0 ? null : median(values);
}

const isPeer = ({ isOurs, isYardstick }: PeerResult): boolean => !isOurs && isYardstick !== true;

/** The figure of the best queue that is neither AgentCom nor a yardstick; null if there is none. */
export function bestPeer(results: readonly PeerResult[], name: FigureName): number | null {
  const values = results.filter(isPeer).flatMap((result) => medianOf(result, name) ?? []);
  if (values.length === 0) return null;
  return FIGURES.some((figure) => figure.name === name && figure.isLessBetter) ? Math.min(...values) : Math.max(...values);
}

/**
 * A row for each figure of each scenario, a column for each queue: medians, with the best peer in bold; AgentCom and a
 * yardstick also as a multiple of the best peer.
 */
export function peerTable(results: readonly PeerResult[]): string {
  const contestants = [...new Set(results.map(({ contestant }) => contestant))];
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))];
  const rows = scenarios.flatMap((scenario) => {
    const ofScenario = results.filter((result) => result.scenario === scenario);
    return FIGURES.flatMap(({ name, unit }) => {
      const best = bestPeer(ofScenario, name);
      const cells = contestants.map((contestant) => {
        const result = ofScenario.find((one) => one.contestant === contestant);
        const value = result === undefined ? null : medianOf(result, name);
        if (result === undefined || value === null) return '';
        if (isPeer(result)) return value === best ? `**${round(value)}**` : round(value);
        return best === null ? round(value) : `${round(value)} (${round(value / best)} ×)`;
      });
      return cells.every((each) => each === '') ? [] : [[scenario, unit, ...cells]];
    });
  });
  const yardsticks = new Set(results.filter(({ isYardstick }) => isYardstick).map(({ contestant }) => contestant));
  const head = ['scenario', '', ...contestants.map((name) => (yardsticks.has(name) ? `${name} (yardstick)` : name))];
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map((_, n) => (n < 2 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
