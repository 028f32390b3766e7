/**
 * The edges of a world: hostile agents, odd submitters, a wall clock that steps, machines that die at the same step again and
 * again, cloned data folders, hubs that contend for every lock, a model service that is down, folders that refuse access, and a
 * second sidecar on one folder. They are drawn from random streams of their own, so that worlds without them do not change.
 */
import type { Chance } from './seeded-chance.ts';
import { chance } from './seeded-chance.ts';

export interface HostilePlan {
  readonly agentId: string;
  readonly version: 1 | 2;
  /** Whether it is given tasks, with which it does what it likes. */
  readonly takesTasks: boolean;
}

export interface EdgePlan {
  readonly hostiles: readonly HostilePlan[];
  /** The share of statements that are slow, so that another hub's may come between; 0: the same as without edges. */
  readonly slowStatements: number;
}

export const NO_EDGES: EdgePlan = { hostiles: [], slowStatements: 0 };

export const EDGE_ACTS = [
  'hostile',
  'clock_step',
  'clock_shake',
  'crash_loop',
  'clone',
  'odd_tasks',
  'fan_out',
  'storm',
  'rest',
  'service_away',
  'folders_refuse',
  'second_sidecar',
] as const;
export type EdgeActKind = (typeof EDGE_ACTS)[number];

export interface EdgeAct {
  readonly atMs: number;
  readonly kind: EdgeActKind;
  readonly n: readonly [number, number, number];
}

export interface Edges {
  readonly edges: EdgePlan;
  readonly acts: readonly EdgeAct[];
}

/** The share of worlds that have edges. */
const SHARE = 0.25;
const KIND_SHARE = 0.35;
/** The fewest and the most acts of each kind, if it is enabled. */
const TIMES = {
  hostile: [4, 30],
  clock_step: [1, 4],
  clock_shake: [1, 1],
  crash_loop: [1, 3],
  clone: [1, 1],
  odd_tasks: [1, 2],
  fan_out: [1, 6],
  storm: [2, 8],
} as const satisfies Partial<Record<EdgeActKind, readonly [number, number]>>;
type Drawn = keyof typeof TIMES;
/** What happens to machines and their agents from outside, in worlds with and without edges. */
const TROUBLE_SHARE = 0.3;
const TROUBLE_KIND_SHARE = 0.6;
const TROUBLES = {
  service_away: [1, 4],
  folders_refuse: [1, 10],
  second_sidecar: [1, 8],
} as const satisfies Partial<Record<EdgeActKind, readonly [number, number]>>;
/** Kinds that must be followed by a time in which nothing else happens. */
const LONG: readonly Drawn[] = ['clock_step', 'clock_shake', 'crash_loop'];
const REST_MS = [300_000, 1_200_000] as const;
const HOSTILES = [1, 3] as const;
const SLOW_STATEMENTS = 0.5;

/** The edges of a seed's world; null if it has none. `lastMs`: the time of its last act. */
export function edgesOf(seed: number, world: { readonly shared: boolean; readonly lastMs: number }): Edges | null {
  const from = chance(`edges ${seed}`);
  if (!from.is(SHARE)) return null;
  const kinds = (Object.keys(TIMES) as Drawn[]).filter((kind) => fits(kind, world.shared) && from.is(KIND_SHARE));
  const acts = kinds.flatMap((kind) => actsOf(from, kind, TIMES[kind], world.lastMs));
  if (kinds.some((kind) => LONG.includes(kind))) acts.push({ atMs: world.lastMs + from.between(...REST_MS), kind: 'rest', n: [0, 0, 0] });
  const hostiles = kinds.includes('hostile') ? from.skewed(...HOSTILES) : 0;
  return {
    edges: {
      hostiles: Array.from({ length: hostiles }, (_, place) => ({
        agentId: `mallory-${place + 1}`,
        version: from.is(0.5) ? 1 : 2,
        takesTasks: from.is(0.4),
      })),
      slowStatements: world.shared && from.is(0.5) ? SLOW_STATEMENTS : 0,
    },
    acts: acts.sort((a, b) => a.atMs - b.atMs),
  };
}

/** Also drawn from a random stream of their own. */
export function troublesOf(seed: number, lastMs: number): readonly EdgeAct[] {
  const from = chance(`troubles ${seed}`);
  if (!from.is(TROUBLE_SHARE)) return [];
  const kinds = (Object.keys(TROUBLES) as (keyof typeof TROUBLES)[]).filter(() => from.is(TROUBLE_KIND_SHARE));
  return kinds.flatMap((kind) => actsOf(from, kind, TROUBLES[kind], lastMs));
}

/** Clock acts need a hub that has its store to itself: only then is the time that of the hub's own clock. */
const fits = (kind: Drawn, shared: boolean): boolean => (kind === 'clock_step' || kind === 'clock_shake' ? !shared : true);

function actsOf(from: Chance, kind: EdgeActKind, [fewest, most]: readonly [number, number], lastMs: number): EdgeAct[] {
  const times = from.skewed(fewest, most);
  return Array.from({ length: times }, () => ({
    atMs: from.between(1_000, Math.max(2_000, lastMs)),
    kind,
    n: [from.next(), from.next(), from.next()],
  }));
}
