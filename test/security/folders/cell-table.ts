/** The cells of the table. */
import { PATHS, STEPS, type Cell, type ResultChannel } from './cell.ts';
import { OPERATIONS } from './operations.ts';

/** What its runner reads from an agent that it listens to. */
const HEARD = ['its results folder', 'its run folder', 'its standard input', 'its standard output', 'its standard error'];
const channelsAt = (path: string): readonly ResultChannel[] => [
  ...(path.startsWith('its standard') ? [] : (['by file'] as const)),
  ...(HEARD.includes(path) ? (['by line'] as const) : []),
];

/** The short table has one of this many rows; not a factor of the number of operations, so that each is covered at several paths. */
const SHORT = 5;

/** Every operation at every path in every step. */
export function wholeTable(): readonly Cell[] {
  return Object.keys(PATHS).flatMap((path) =>
    channelsAt(path).flatMap((channel) =>
      STEPS.flatMap((step) => Object.keys(OPERATIONS).map((operation): Cell => ({ channel, path, operation, step }))),
    ),
  );
}

/** Each operation at a fifth of the paths, at a rotating step: what fits into an ordinary test run. */
export function shortTable(): readonly Cell[] {
  const rows = new Map<string, Cell[]>();
  for (const cell of wholeTable()) {
    const row = `${cell.channel} ${cell.path} ${cell.operation}`;
    rows.set(row, [...(rows.get(row) ?? []), cell]);
  }
  return [...rows.values()].filter((_, n) => n % SHORT === 0).map((steps, n) => steps[n % steps.length] as Cell);
}
