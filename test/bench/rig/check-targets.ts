/**
 * The guard against slow drift: the shares of the machine's limits now, compared with the stored ones. A machine's own
 * speed cancels out; its other load does not quite, so the bands are wide.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isLessBetter, round, type Result } from './result.ts';

const STORED = resolve(import.meta.dirname, '../stored-ratios.json');
/** A figure may be this many times worse than when its ratio was stored. */
const BAND = 2.5;

/** Near a machine's limit, a time is the length of a queue that grows or not: it says nothing about drift. */
const UNSTEADY = ['2,000 tasks/s'];

export type Ratios = Readonly<Record<string, number>>;

export const nameOf = ({ scenario, what, storage, transport }: Result): string => `${scenario}: ${what} [${storage} + ${transport}]`;

export const readStored = (): Ratios => (JSON.parse(readFileSync(STORED, 'utf8')) as { readonly ratios: Ratios }).ratios;

/** Of a quick run: the same work as in the comparison. */
export function storeRatios(results: readonly Result[], here: object): void {
  const ratios = Object.fromEntries(
    results
      .filter(({ what }) => !UNSTEADY.some((words) => what.includes(words)))
      .flatMap((result) => (result.ratio === undefined ? [] : [[nameOf(result), Number(result.ratio.toPrecision(3))]])),
  );
  writeFileSync(STORED, `${JSON.stringify({ measured: here, ratios }, null, 2)}\n`);
}

/** What is worse than its band, or no longer measured; a sentence each. */
export function drifted(results: readonly Result[], stored: Ratios): readonly string[] {
  const now = new Map(results.filter(({ ratio }) => ratio !== undefined).map((result) => [nameOf(result), result]));
  return Object.entries(stored).flatMap(([name, before]) => {
    const result = now.get(name);
    if (result?.ratio === undefined) return [`${name} was not measured, and has a stored ratio`];
    const times = isLessBetter(result.unit) ? result.ratio / before : before / result.ratio;
    if (times <= BAND) return [];
    return [
      `${name} is ${round(times)} times worse than stored: ${round(result.ratio)} of "${result.limit ?? ''}", stored ${round(before)}`,
    ];
  });
}
