/** Plants each bug in a copy of the tree and plays seeds until its rule is broken. */
import { progressBar } from '../../chaos/rig/progress-bar.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import { plainTree, type Change, type PlainTree } from '../plain-copy.ts';
import { openPool, type Summary } from './pool.ts';

export interface Hunt {
  /** Seeds played for each, at most. */
  readonly seedsMax: number;
  readonly from: number;
  readonly processes: number;
  /** Names of the mutants; null: all. */
  readonly only: readonly string[] | null;
}

/** The outcome for one planted bug. */
export interface Hunted {
  readonly name: string;
  readonly what: string;
  readonly file: string;
  /** The rule that catches it, and the lowest seed in which it does; null: none. */
  readonly rule: string;
  readonly seed: number | null;
  readonly found: string | null;
  /** Seeds played until then. */
  readonly played: number;
}

export interface HuntFigures {
  /** Whether all were found. */
  readonly reached: boolean;
  readonly caught: number;
  readonly of: number;
  readonly mutants: readonly Hunted[];
}

export async function huntAll(hunt: Hunt): Promise<HuntFigures> {
  const chosen = MUTANTS.filter(({ name }) => hunt.only?.includes(name) ?? true);
  const mutants: Hunted[] = [];
  console.log(`${'mutant'.padEnd(8)}${'seeds'.padEnd(7)}${'seed'.padEnd(7)}rule`);
  const tree = await plainTree();
  for (const mutant of chosen) {
    const hunted = await huntOne(mutant, tree, hunt);
    mutants.push(hunted);
    const { name, played, seed, rule, found } = hunted;
    const place = seed === null ? `NOT FOUND by ${rule}` : `${String(seed).padEnd(7)}${rule}: ${found}`;
    console.log(`${name.padEnd(8)}${String(played).padEnd(7)}${place}\n        (${mutant.what})`);
  }
  const caught = mutants.filter(({ seed }) => seed !== null).length;
  console.log(`${caught} of ${chosen.length} planted bugs were found`);
  return { reached: caught === chosen.length, caught, of: chosen.length, mutants };
}

async function huntOne(mutant: Mutant, tree: PlainTree, { seedsMax, from, processes }: Hunt): Promise<Hunted> {
  const { name, what, file, caughtBy: rule } = mutant;
  const ofRule = (summary: Summary) => summary.violations.find((violation) => violation.rule === rule);
  const pool = await openPool({ processes, tree, change: planting(mutant) });
  const bar = progressBar(seedsMax);
  const others = new Map<string, number>();
  let caught: Summary | null = null;
  let [given, played] = [0, 0];
  try {
    await pool.play({
      next: () => (given < seedsMax ? { seed: from + given++ } : null),
      onSummary(summary) {
        played += 1;
        bar.at(played, `seeds for ${name}`);
        const [other] = summary.violations;
        if (other === undefined) return 'go on';
        if (ofRule(summary) === undefined) {
          others.set(other.rule, summary.seed);
          return 'go on';
        }
        if (caught === null || summary.seed < caught.seed) caught = summary;
        return 'stop';
      },
    });
  } finally {
    await pool.close();
  }
  if (process.stdout.isTTY) process.stdout.write('\r\u001b[K');
  for (const [otherRule, seed] of others) console.log(`        (seed ${seed} broke ${otherRule})`);
  const summary = caught as Summary | null;
  const found = summary === null ? null : (ofRule(summary)?.what ?? null);
  return { name, what, file, rule, seed: summary?.seed ?? null, found, played };
}

/** The one replacement in the one file; fails unless its text occurs exactly once. */
const planting = ({ name, file, find, replace }: Mutant): Change => {
  return (copied, text) => {
    if (copied !== file) return text;
    const places = text.split(find).length - 1;
    if (places === 1) return text.replace(find, () => replace);
    throw new Error(
      `${name} looks for a text that occurs ${places} times in ${file}; it must occur exactly once. Fix test/simulation/runner/mutants.ts.`,
    );
  };
};
