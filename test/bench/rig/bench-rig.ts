/** What every scenario has: how often to measure, on what, the limits of this machine, and where results go. */
import type { PostgresServer } from '../../adapters/storage-places/postgres-server.ts';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { Allocations } from './allocations.ts';
import { startBenchHub, type BenchHub, type BenchHubOptions } from './bench-hub.ts';
import { startLoad, type LoadProcess } from './load-process.ts';
import type { KeptProfile } from './profiler.ts';
import { median, type Pair, type Result } from './result.ts';
import type { StageTimes } from './stage-times.ts';

/** The default that people get. */
export const DEFAULT_PAIR: Pair = { storage: 'sqlite', transport: 'ws' };

export const isDefault = ({ storage, transport }: Pair): boolean =>
  storage === DEFAULT_PAIR.storage && transport === DEFAULT_PAIR.transport;

export interface Bench {
  readonly tree: BuiltTree;
  /** Small and fast: shows whether something is wrong, not how fast it is. */
  readonly isQuick: boolean;
  /** Answers in JSON alone. */
  readonly isQuiet: boolean;
  /** Overrides the sizes of scenarios. */
  readonly sizes: readonly number[] | null;
  /** With what takes hours. */
  readonly isLong: boolean;
  /** The chosen ones, for scenarios that run on each. */
  readonly pairs: readonly Pair[];
  /** Whether the scenario of this name is wanted. */
  isAsked(scenario: string): boolean;
  /** Whether the figure of this name is wanted. */
  wants(what: string): boolean;
  /** Of a scenario's runs, after the warm-up. */
  runsOf(pair: Pair): number;
  readonly profileDir: string | null;
  /** The `limits` of this run, by name; 0 before they were measured. */
  readonly limits: Map<string, number>;
  /** Started when it is first needed, and ended with the whole run. Null for SQLite. */
  postgresOf(pair: Pair): Promise<PostgresServer | null>;
  /** Prints and stores it. */
  tell(result: Result): void;
  /** Prints that a scenario could not be measured here, and stores that. */
  notShown(scenario: string, why: string): void;
  /** Prints what each stage took next to its budget, and stores it. */
  tellBudget(times: StageTimes): void;
  /** Prints what was allocated, and stores it. */
  tellAllocations(allocations: Allocations): void;
  /** Stores where the hub's time went, with its picture. */
  keepProfile(profile: KeptProfile, picture: string): void;
  /** A message for people. */
  say(text: string): void;
}

export interface Scenario {
  /** Of its scenarios: several if one store serves them all. */
  readonly names: readonly string[];
  run(bench: Bench): Promise<void>;
}

/** A hub and its load process, for as long as `work` takes; then the hub is stopped and its store checked. */
export async function withHub<T>(
  bench: Bench,
  pair: Pair,
  work: (hub: BenchHub, load: LoadProcess, another: () => LoadProcess) => Promise<T>,
  more: Pick<BenchHubOptions, 'prepare' | 'hubs' | 'limits' | 'nodeArgs' | 'isInParts'> = {},
): Promise<T> {
  return withEnds(async (end) => {
    const { tree, profileDir } = bench;
    const hub = await startBenchHub(end, { tree, pair, postgres: await bench.postgresOf(pair), profileDir, ...more });
    const load = startLoad(end, tree);
    const value = await work(hub, load, () => startLoad(end, tree));
    await load.end();
    const seen = await hub.close();
    bench.say(`  the store of ${pair.storage} + ${pair.transport} was checked: ${seen}`);
    return value;
  });
}

/** The outcome of each run, without the warm-up runs before them. */
export async function repeated<T>(bench: Bench, pair: Pair, run: (nth: number) => Promise<T>): Promise<readonly T[]> {
  await run(0);
  const outcomes: T[] = [];
  for (let nth = 1; nth <= bench.runsOf(pair); nth += 1) outcomes.push(await run(nth));
  return outcomes;
}

/** One run in numbers. */
export interface Run {
  readonly figure: number;
  readonly operations: number;
  readonly times?: Result['times'];
  readonly cost: { readonly hubCpuMs: number; readonly databaseCpuMs: number | null; readonly loadCpuMs: number; readonly hubMiB: number };
}

/** The part of a result that all figures share: the median of the runs, their cost, and the share of a limit. */
export function resultOf(
  bench: Bench,
  hub: Pick<BenchHub, 'pair' | 'durability'>,
  runs: readonly Run[],
  labels: Pick<Result, 'scenario' | 'what' | 'unit' | 'limit'>,
): Result {
  const figures = runs.map(({ figure }) => figure);
  const middle = runs.toSorted((a, b) => a.figure - b.figure)[Math.floor(runs.length / 2)];
  const us = (of: (cost: Run['cost']) => number): number => median(runs.map(({ cost, operations }) => (of(cost) * 1_000) / operations));
  const database = runs[0]?.cost.databaseCpuMs === null ? {} : { database: us((cost) => cost.databaseCpuMs ?? 0) };
  const limit = labels.limit === undefined ? undefined : bench.limits.get(labels.limit);
  return {
    ...labels,
    ...hub.pair,
    n: runs[0]?.operations ?? 0,
    runs: figures,
    times: middle?.times,
    cpuUs: {
      all: us((cost) => cost.hubCpuMs + cost.loadCpuMs + (cost.databaseCpuMs ?? 0)),
      of: { hub: us((cost) => cost.hubCpuMs), ...database, load: us((cost) => cost.loadCpuMs) },
    },
    hubMiB: Math.max(...runs.map(({ cost }) => cost.hubMiB)),
    ...(limit === undefined ? {} : { ratio: median(figures) / limit }),
    durability: hub.durability,
  };
}
