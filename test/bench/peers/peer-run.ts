/** One run on one queue: a new store, a submitter, a worker, the scenarios, and whether anything was lost. */
import { join } from 'node:path';
import { say, withEnds } from '../../chaos/rig/chaos-figures.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { startStore, type Contestant } from './contestants.ts';
import { startParticipant, type Participant } from './participants.ts';
import { PEER_SCENARIOS, warmUp, warmUpWith, type PeerRun, type TimeWindow } from './peer-scenarios.ts';
import { inWords, type Figures } from './peer-table.ts';

export interface RunPlan {
  readonly tree: BuiltTree;
  readonly scenarios: readonly string[];
  readonly isQuick: boolean;
  /** How long each scenario runs before it is measured; 0: as soon as the general warm-up is over. */
  readonly warmUpMs: number;
  /** A folder for each process goes there. */
  readonly profiles: string | null;
}

export interface RunFound {
  readonly version: string;
  readonly durability: string;
  readonly found: readonly { readonly scenario: string; readonly n: number; readonly figures: Figures; readonly window: TimeWindow }[];
}

/** All scenarios on one queue with a new store, and whether anything was lost. */
export async function runOnce(contestant: Contestant, { tree, scenarios, isQuick, warmUpMs, profiles }: RunPlan): Promise<RunFound> {
  const { name, module, isSynchronous = false } = contestant;
  const profileOf = (process: string): string | null => (profiles === null ? null : join(profiles, process));
  const found: RunFound['found'][number][] = [];
  let taken = 0;
  const { version, durability } = await withEnds(async (end) => {
    const store = await startStore(end, contestant, tree, profileOf('hub'));
    const plan = { module: placeOf(module, tree), settings: { ...contestant.settings, ...store.settings } };
    const participant = async (role: string): Promise<Participant> => {
      const started = startParticipant(end, tree, `the ${role} of ${name}`, profileOf(role));
      await started.do('open', plan);
      return started;
    };
    const submitter = await participant('submitter');
    const worker = await participant('worker');
    const run: PeerRun = {
      submitter,
      worker,
      pids: store.pids,
      isSynchronous,
      isQuick,
      take: (count) => (taken += count) - count,
      tell(scenario, n, figures, window) {
        found.push({ scenario, n, figures, window });
        say(`${name}: ${scenario}: ${inWords(figures)}`);
      },
    };
    await warmUp(run);
    for (const scenario of scenarios) {
      await warmUpWith(run, scenario, warmUpMs);
      await PEER_SCENARIOS[scenario]?.(run);
    }
    const { unfinished, completed } = await submitter.do('counts', undefined);
    if (unfinished !== 0 || (completed !== null && completed !== taken))
      throw new Error(
        `${name}: of ${taken} tasks ${completed ?? 'an unknown number'} are completed in the store, and ${unfinished} are not`,
      );
    for (const participant of [worker, submitter]) {
      await participant.do('close', undefined);
      await participant.end();
    }
    await store.check();
    say(`  ${name}: ${taken} tasks, none lost`);
    return store;
  });
  return { version, durability, found };
}

/** TypeScript modules run compiled, in AgentCom's own tree; the others find their packages next to their source. */
const placeOf = (module: string, tree: BuiltTree): string =>
  module.endsWith('.ts') ? tree.compiled(`test/bench/peers/queues/${module}`) : join(import.meta.dirname, 'queues', module);
