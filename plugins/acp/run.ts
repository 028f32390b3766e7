/** One run of an agent with two-way pipes: from its start to the confirmed end of its process tree. */
import {
  launchPiped,
  runEnvironment,
  stopTree,
  systemProcessTable,
  watchRun,
  type OutputListener,
  type AgentStartContext,
  type Emit,
  type StopSignal,
  type WakeRunnerDeps,
} from '../plugin.ts';
import { acpArgv, acpVariables, type AcpOptions } from './options.ts';
import type { AcpPackage } from './sdk-package.ts';
import { gracefulShutdown } from './shutdown.ts';
import { connectAgent } from './client-requests.ts';

export interface AcpRun {
  readonly acp: AcpPackage;
  readonly options: AcpOptions;
  /** Absolute. */
  readonly cwd: string;
  readonly facts: AgentStartContext;
  readonly listener: OutputListener;
  readonly graceMs: number;
  readonly signal: StopSignal;
  /** Aborted when the listener has left. */
  readonly detachSignal: AbortSignal;
  readonly emit: Emit;
  readonly deps: WakeRunnerDeps;
}

export async function acpRun(run: AcpRun): Promise<void> {
  const { options, cwd, facts, listener, graceMs, signal, detachSignal, emit, deps } = run;
  const { runId, runDir } = facts.request;
  const table = systemProcessTable();
  const env = runEnvironment({ request: facts.request, cwd, ...acpVariables(options) });
  const launched = await launchPiped({ argv: acpArgv(options), cwd, env, runId, runDir, table, signal });
  if (launched.kind === 'aborted') return emit({ type: 'stopped', survivors: [] });
  if (launched.kind === 'failed') {
    const { message, retryable, cause: kind, details } = launched;
    return emit({ type: 'failed', phase: 'spawn', kind, message, retryable, details });
  }
  const { main } = launched;
  await emit({ type: 'spawned', process: main });
  listener.onStarted?.();
  const agent = connectAgent(launched, run);
  const shutdown = gracefulShutdown(agent, { ...run, exited: launched.exited });
  const { clock, log } = deps;
  const common = { runId, main, graceMs, clock, table };
  try {
    const watched = { ...common, ...shutdown, runDir, log, detachSignal };
    await watchRun(watched, async (event) => {
      if (event.type === 'exited' || event.type === 'stopped') await agent.flushed();
      const finalEvent = event.type === 'exited' ? await listener.onEnd?.(event, true) : undefined;
      if (finalEvent !== undefined) await emit(finalEvent);
      await emit(event);
    });
    // Without the sidecar the agent can neither report nor ask, so it must not continue alone.
    if (detachSignal.aborted) await stopTree(common);
  } finally {
    shutdown.close();
    listener.close?.();
    agent.close();
  }
}
