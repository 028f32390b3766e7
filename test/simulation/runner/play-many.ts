/** Plays many seeds, prints which faults occurred and which rules broke, and returns the figures. */
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { countOf, FAULT_CLASSES, type FaultClass } from '../fault-classes.ts';
import { openPool, type Summary } from './pool.ts';

export interface ManySeeds {
  readonly from: number;
  /** Infinity: as many as fit into the minutes. */
  readonly count: number;
  readonly minutes: number;
  readonly processes: number;
  /** Ends at the first broken rule. */
  readonly untilBroken: boolean;
  /** Prints no counters. */
  readonly quiet: boolean;
}

export interface SeedFigures {
  /** Whether the target was reached; undefined for a good run of fewer seeds than required. */
  readonly reached: boolean | undefined;
  readonly seeds: number;
  readonly from: number;
  readonly broken: readonly { readonly seed: number; readonly rule: string; readonly what: string }[];
  readonly seconds: number;
  readonly virtualHours: number;
  readonly virtualToReal: number;
  readonly processes: number;
  /** How often each class of faults occurred. */
  readonly faults: Readonly<Record<string, number>>;
  /** Classes that occurred too rarely for this many seeds; none if fewer were played. */
  readonly rareFaults: readonly string[];
}

/** From this many seeds on each class of faults must occur this often. */
export const FULL_SEEDS = 2_000;
/** The target: this many seeds, and this ratio of virtual to real time. */
export const WANTED_SEEDS = 10_000;
const WANTED_VIRTUAL_TO_REAL = 500;
const MET_MIN = 100;

export async function playMany({ from, count, minutes, processes, untilBroken, quiet }: ManySeeds): Promise<SeedFigures> {
  const startedMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedMs;
  const seen = new Map<string, number>();
  const broken: { readonly seed: number; readonly rule: string; readonly what: string }[] = [];
  let [given, played, virtualMs] = [0, 0, 0];
  const isByTime = count === Infinity;
  const bar = progressBar(isByTime ? minutes * 60 : count);
  const take = (summary: Summary): 'go on' | 'stop' => {
    played += 1;
    virtualMs += summary.virtualMs;
    for (const [name, times] of summary.seen) seen.set(name, (seen.get(name) ?? 0) + times);
    bar.at(isByTime ? Math.round(elapsedMs() / 1_000) : played, isByTime ? `s, ${played} seeds` : 'seeds');
    const [violation] = summary.violations;
    if (violation === undefined) return 'go on';
    broken.push({ seed: summary.seed, rule: violation.rule, what: violation.what });
    console.log(`\nseed ${summary.seed} at ${Math.round(violation.atMs)} ms: ${violation.rule}: ${violation.what}`);
    return untilBroken ? 'stop' : 'go on';
  };
  const pool = await openPool({ processes });
  try {
    await pool.play({
      next: () => (given < count && elapsedMs() < minutes * 60_000 ? { seed: from + given++ } : null),
      onSummary: take,
    });
  } finally {
    await pool.close();
  }
  bar.end();
  const realMs = elapsedMs();
  if (!quiet) tell(seen);
  const rare = played < FULL_SEEDS ? [] : FAULT_CLASSES.filter((one) => countOf(one, seen) < MET_MIN);
  for (const { name } of rare) console.log(`occurred under ${MET_MIN} times in ${played} seeds: ${name}`);
  const virtualToReal = Math.round(virtualMs / realMs);
  console.log(
    `${played} seeds from ${from}, ${broken.length} broke a rule; ${Math.round(realMs / 1_000)} s, virtual:real ${virtualToReal}:1, ${processes} processes`,
  );
  const figures = {
    seeds: played,
    from,
    broken,
    seconds: Math.round(realMs / 1_000),
    virtualHours: Math.round(virtualMs / 3_600_000),
    virtualToReal,
    processes,
    faults: Object.fromEntries(FAULT_CLASSES.map((one) => [one.name, countOf(one, seen)])),
    rareFaults: rare.map(({ name }: FaultClass) => name),
  };
  const isShort = isGood(figures) && played < WANTED_SEEDS;
  return { reached: isShort ? undefined : isGood(figures) && virtualToReal >= WANTED_VIRTUAL_TO_REAL, ...figures };
}

/** Whether everything is as it must be. */
export const isGood = ({ broken, rareFaults }: Pick<SeedFigures, 'broken' | 'rareFaults'>): boolean =>
  broken.length === 0 && rareFaults.length === 0;

function tell(seen: ReadonlyMap<string, number>): void {
  for (const [name, times] of [...seen].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${String(times).padStart(9)}  ${name}`);
  console.log('\nfaults that occurred');
  for (const one of FAULT_CLASSES) console.log(`${String(countOf(one, seen)).padStart(9)}  ${one.name}`);
}
