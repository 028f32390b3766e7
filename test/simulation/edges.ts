/**
 * What comes in at the edges of a world: hostile agents, odd submitters, a wall clock that steps, machines that die at one
 * step again and again, cloned data folders, hubs that meet at every lock, a model's service that is away, folders that
 * refuse, and a second sidecar on one folder. Drawn from choices of their own: worlds without them are what they are.
 */
import type { Chance } from './seeded-chance.ts';
import { chance } from './seeded-chance.ts';

export interface HostilePlan {
  readonly agentId: string;
  readonly version: 1 | 2;
  /** It is given tasks, and does with them what it likes. */
  readonly takesTasks: boolean;
}

export interface EdgePlan {
  readonly hostiles: readonly HostilePlan[];
  /** Statements that another hub's may come between, as a share of all; 0: as in every world. */
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

/** Worlds that have edges, as a share of all. */
const SHARE = 0.25;
const KIND_SHARE = 0.35;
/** Acts of each kind that is on. */
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
/** What befalls machines and their agents from outside, in worlds with edges and without. */
const TROUBLE_SHARE = 0.3;
const TROUBLE_KIND_SHARE = 0.6;
const TROUBLES = {
  service_away: [1, 4],
  folders_refuse: [1, 10],
  second_sidecar: [1, 8],
} as const satisfies Partial<Record<EdgeActKind, readonly [number, number]>>;
/** They need time after them in which nothing else happens. */
const LONG: readonly Drawn[] = ['clock_step', 'clock_shake', 'crash_loop'];
const REST_MS = [300_000, 1_200_000] as const;
const HOSTILES = [1, 3] as const;
const SLOW_STATEMENTS = 0.5;

/** What a seed's world has of it; `lastMs`: when its last act is. */
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

/** Drawn from choices of their own once more. */
export function troublesOf(seed: number, lastMs: number): readonly EdgeAct[] {
  const from = chance(`troubles ${seed}`);
  if (!from.is(TROUBLE_SHARE)) return [];
  const kinds = (Object.keys(TROUBLES) as (keyof typeof TROUBLES)[]).filter(() => from.is(TROUBLE_KIND_SHARE));
  return kinds.flatMap((kind) => actsOf(from, kind, TROUBLES[kind], lastMs));
}

/** A clock that is asked for the time is that of a hub alone; rows are locked where hubs share a store. */
const fits = (kind: Drawn, shared: boolean): boolean => (kind === 'clock_step' || kind === 'clock_shake' ? !shared : true);

function actsOf(from: Chance, kind: EdgeActKind, [fewest, most]: readonly [number, number], lastMs: number): EdgeAct[] {
  const times = from.skewed(fewest, most);
  return Array.from({ length: times }, () => ({
    atMs: from.between(1_000, Math.max(2_000, lastMs)),
    kind,
    n: [from.next(), from.next(), from.next()],
  }));
}
