/** A measurement, as it is printed and stored. */
import type { Spread } from '../load/spread.ts';

/** Names of a storage and a transport, as `/health` reports them. */
export interface Pair {
  readonly storage: string;
  readonly transport: string;
}

export interface Result extends Partial<Pair> {
  readonly scenario: string;
  /** Which of the scenario's figures. */
  readonly what: string;
  readonly unit: 'tasks/s' | 'ms' | '/s' | 'MiB' | 'KiB' | '%' | '×';
  /** Operations in each run. */
  readonly n: number;
  /** The figure of each run, in order. */
  readonly runs: readonly number[];
  /** The median run's times, if single operations were timed. */
  readonly times?: Spread | undefined;
  /** Of all processes together per operation, in microseconds, and of each by its name. */
  readonly cpuUs?: { readonly all: number; readonly of: Readonly<Record<string, number>> } | undefined;
  /** The hub's largest in the runs. */
  readonly hubMiB?: number | undefined;
  /** The limit of the same run that it is related to, and its share of it (above 1: slower than the limit, if less is better). */
  readonly limit?: string | undefined;
  readonly ratio?: number | undefined;
  /** What the hub's own writing connection reported about its durability. */
  readonly durability?: string | undefined;
  /** The series that it is a point of: how a cost grows. */
  readonly series?: { readonly name: string; readonly over: string; readonly at: number } | undefined;
  /** Any other remark. */
  readonly note?: string | undefined;
}

export const isLessBetter = (unit: Result['unit']): boolean => unit !== 'tasks/s' && unit !== '/s' && unit !== '×';

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = 0] = sorted.length % 2 === 1 ? [sorted[middle], sorted[middle]] : [sorted[middle - 1], sorted[middle]];
  return (low + high) / 2;
}

/** Three significant figures, as people read them. */
export function round(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: Math.abs(value) >= 100 ? 0 : digits });
}

const times = ({ p50Ms, p99Ms, maxMs }: Spread): string => `p50 ${round(p50Ms)}, p99 ${round(p99Ms)}, max ${round(maxMs)} ms`;

/** What each process took, in brackets; nothing for a single one. */
export function partsOf(of: Readonly<Record<string, number>>): string {
  const parts = Object.entries(of).map(([name, us]) => `${name} ${round(us)}`);
  return parts.length < 2 ? '' : ` (${parts.join(', ')})`;
}

/** One line for people. */
export function lineOf(result: Result): string {
  const { unit, runs, cpuUs, hubMiB } = result;
  const pair = result.storage === undefined ? '' : ` [${result.storage} + ${result.transport}]`;
  const parts = [
    `${round(median(runs))} ${unit} (${round(Math.min(...runs))}–${round(Math.max(...runs))}, ${runs.length} runs of ${result.n})`,
    ...(result.times === undefined ? [] : [times(result.times)]),
    ...(cpuUs === undefined ? [] : [`CPU ${round(cpuUs.all)} µs${partsOf(cpuUs.of)}`]),
    ...(hubMiB === undefined ? [] : [`hub ${Math.round(hubMiB)} MiB`]),
    ...(result.ratio === undefined ? [] : [`${round(result.ratio)} × ${result.limit ?? ''}`]),
    ...(result.durability === undefined ? [] : [result.durability]),
    ...(result.note === undefined ? [] : [result.note]),
  ];
  return `${result.scenario}: ${result.what}${pair}: ${parts.join('; ')}`;
}
