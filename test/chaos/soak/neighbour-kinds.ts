/** The kinds of hostile neighbours of a soak, and the counters that show that each still misbehaves. */
import type { Tally } from '../../fuzz/hostile/tally.ts';

export const NEIGHBOURS = [
  'flooding agents',
  'flooding agents of version 1',
  'crash-looping agent',
  'odd submitter',
  'strangers',
  'greedy viewer',
] as const;
export type Neighbour = (typeof NEIGHBOURS)[number];
export type Tallies = Readonly<Record<Neighbour, Tally>>;

/** The orders of the hostile process: its argument is a file with them. */
export interface NeighbourOrders {
  readonly port: number;
  readonly seed: string;
  readonly agents: Readonly<Record<'flooding' | 'old' | 'crashing', readonly { readonly agentId: string; readonly token: string }[]>>;
  /** Each kind has its own tokens, with only the rights it needs. */
  readonly tokens: Readonly<Record<'crashes' | 'odd' | 'slow' | 'viewer', string>>;
}

/** A capability that only the crash-looping agent offers. */
export const HOSTILE_CAPABILITY = 'hostile';
/** Counted under these names among the answers. */
export const DEEDS = {
  dropped: 'assignment dropped',
  deadLetter: 'dead letter',
  halfOpen: 'half-open socket ended',
  slowBody: 'slow body ended',
  deafStream: 'stream not read',
} as const;

/** Tasks that depend on one other, and that the odd submitter has at the same time. */
export const DEPENDENTS = 200;
/** Of one turn of the odd submitter. */
export const REQUIREMENTS = 8;
/** Tasks that the crash-looping agent holds at the same time. */
export const CRASHES_AT_ONCE = 2;

const answers =
  (...names: readonly string[]) =>
  (tally: Tally): readonly number[] =>
    names.map((name) => tally.answers[name] ?? 0);
const statuses =
  (...wanted: readonly number[]) =>
  (tally: Tally): readonly number[] =>
    wanted.map((status) => tally.statuses[String(status)] ?? 0);

/** Each of these rises only while the hub is reachable and the neighbour misbehaves. */
const SHOWN_BY: Readonly<Record<Neighbour, (tally: Tally) => readonly number[]>> = {
  'flooding agents': (tally) => [...answers('identified')(tally), tally.frames],
  'flooding agents of version 1': (tally) => [...answers('identified')(tally), tally.frames],
  'crash-looping agent': answers('identified', DEEDS.dropped),
  'odd submitter': statuses(201, 413),
  strangers: (tally) => [...statuses(401)(tally), ...answers(DEEDS.halfOpen, DEEDS.slowBody)(tally), tally.frames],
  'greedy viewer': (tally) => [...statuses(200)(tally), ...answers(DEEDS.deafStream)(tally)],
};

/** The neighbours that have done nothing more between these two. */
export function idleBetween(earlier: Tallies, later: Tallies): readonly Neighbour[] {
  return NEIGHBOURS.filter((name) => {
    const before = SHOWN_BY[name](earlier[name]);
    return SHOWN_BY[name](later[name]).some((count, place) => count <= (before[place] ?? 0));
  });
}
