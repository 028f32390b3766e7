/** Makes a failing plan as small as possible while the same rule is broken: acts, faults, machines and hubs are removed. */
import type { Act, FaultPlan, Plan } from '../plan.ts';
import { runPlan } from './run-plan.ts';

export interface Shrunk {
  readonly plan: Plan;
  readonly runs: number;
}

export interface ShrinkOptions {
  /** Plans tried at most. */
  readonly runsMax: number;
  readonly onSmaller?: ((plan: Plan) => void) | undefined;
}

/** `rule`: the one that must still be broken. */
export async function shrink(plan: Plan, rule: string, options: ShrinkOptions): Promise<Shrunk> {
  let smallest = plan;
  let runs = 0;

  const keepIfBroken = async (candidate: Plan): Promise<boolean> => {
    if (runs >= options.runsMax) return false;
    runs += 1;
    const { violations } = await runPlan(candidate);
    if (violations[0]?.rule !== rule) return false;
    smallest = candidate;
    options.onSmaller?.(candidate);
    return true;
  };

  const withoutActs = async (): Promise<void> => {
    for (let size = Math.ceil(smallest.acts.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < smallest.acts.length;) {
        const acts: readonly Act[] = [...smallest.acts.slice(0, from), ...smallest.acts.slice(from + size)];
        if (!(await keepIfBroken({ ...smallest, acts }))) from += size;
      }
    }
  };

  const withoutFaults = async (): Promise<void> => {
    for (const fault of Object.keys(smallest.faults) as (keyof FaultPlan)[]) {
      const harmless = fault === 'commitMs' ? 1 : 0;
      if (smallest.faults[fault] !== harmless) await keepIfBroken({ ...smallest, faults: { ...smallest.faults, [fault]: harmless } });
    }
  };

  const withoutMachines = async (): Promise<void> => {
    for (let place = smallest.machines.length - 1; place >= 0 && smallest.machines.length > 1; place -= 1)
      await keepIfBroken({ ...smallest, machines: smallest.machines.toSpliced(place, 1) });
  };

  const withoutHubs = async (): Promise<void> => {
    for (let place = smallest.hubs.length - 1; place >= 0 && smallest.hubs.length > 1; place -= 1)
      await keepIfBroken({ ...smallest, hubs: smallest.hubs.toSpliced(place, 1) });
  };

  if (smallest.liveness) await keepIfBroken({ ...smallest, liveness: false });
  for (let before = -1; before !== sizeOf(smallest) && runs < options.runsMax;) {
    before = sizeOf(smallest);
    await withoutActs();
    await withoutMachines();
    await withoutHubs();
    await withoutFaults();
  }
  return { plan: smallest, runs };
}

const sizeOf = (plan: Plan): number =>
  plan.acts.length + plan.machines.length + plan.hubs.length + Object.values(plan.faults).filter((share) => share !== 0).length;
