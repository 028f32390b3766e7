/** One run of an agent that is talked to: from its start to the confirmed end of its process tree. */
import {
  launchPiped,
  runEnvironment,
  stopTree,
  systemProcessTable,
  watchRun,
  type AgentEars,
  type AgentStartFacts,
  type Emit,
  type StopSignal,
  type WakeRunnerDeps,
} from '../plugin.ts';
import { acpArgv, acpVariables, type AcpOptions } from './options.ts';
import type { AcpPackage } from './sdk-package.ts';
import { politely } from './shutdown.ts';
import { talkWith } from './client-requests.ts';

export interface AcpRun {
  readonly acp: AcpPackage;
  readonly options: AcpOptions;
  /** Absolute. */
  readonly cwd: string;
  readonly facts: AgentStartFacts;
  readonly ears: AgentEars;
  readonly graceMs: number;
  readonly signal: StopSignal;
  /** Aborted when nobody listens any more. */
  readonly left: AbortSignal;
  readonly emit: Emit;
  readonly deps: WakeRunnerDeps;
}

export async function acpRun(run: AcpRun): Promise<void> {
  const { options, cwd, facts, ears, graceMs, signal, left, emit, deps } = run;
  const { runId, runDir } = facts.request;
  const table = systemProcessTable();
  const env = runEnvironment({ request: facts.request, cwd, ...acpVariables(options) });
  const launched = await launchPiped({ argv: acpArgv(options), cwd, env, runDir, table, signal });
  if (launched.kind === 'stopped') return emit({ type: 'stopped', survivors: [] });
  if (launched.kind === 'refused') {
    const { message, retryable, cause: kind, details } = launched;
    return emit({ type: 'failed', phase: 'spawn', kind, message, retryable, details });
  }
  const { main } = launched;
  await emit({ type: 'spawned', process: main });
  ears.begun?.();
  const talk = talkWith(launched, run);
  const parting = politely(talk, { ...run, ended: launched.ended });
  const { clock, log } = deps;
  const common = { runId, main, graceMs, clock, table };
  try {
    const watched = { ...common, ...parting, runDir, log, left };
    await watchRun(watched, async (event) => {
      if (event.type === 'exited' || event.type === 'stopped') await talk.lastWords();
      const lastWord = event.type === 'exited' ? await ears.ended?.(event) : undefined;
      if (lastWord !== undefined) await emit(lastWord);
      await emit(event);
    });
    // Without us it can say nothing and ask nothing, so it does not go on alone.
    if (left.aborted) await stopTree(common);
  } finally {
    parting.close();
    ears.close?.();
    talk.close();
  }
}
