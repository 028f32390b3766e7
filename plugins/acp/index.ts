/**
 * Wakes an agent that speaks the Agent Client Protocol: `acp({ agent: 'gemini', cwd: 'project' })`, or `acp({ bin:
 * ['my-agent', '--acp'] })`.
 */
import { resolve } from 'node:path';
import {
  agentRuns,
  assertCanStartPrograms,
  defineWakeRunner,
  GRACE_MS,
  wakeEvents,
  withIgnored,
  type DefinedRunner,
  type RunnerContext,
} from '../plugin.ts';
import { acpDialect } from './dialect.ts';
import { acpOptions, acpProblems, traitsOf, type AcpOptions } from './options.ts';
import { loadAcp } from './sdk-package.ts';
import { acpRun } from './run.ts';
import { checkAcp } from './check.ts';

export type { AcpOptions } from './options.ts';

/**
 * The runner for agents with two-way pipes: their runs end with the sidecar. Needs the package
 * `@agentclientprotocol/sdk`; without it, creating the runner rejects with `AC_PACKAGE_MISSING`.
 */
export const acp = defineWakeRunner({
  name: 'acp',
  options: acpOptions,
  problems: acpProblems,
  create: (context) => createAcp(context),
});

async function createAcp({ options, ...deps }: RunnerContext<AcpOptions>): Promise<DefinedRunner> {
  assertCanStartPrograms();
  const loaded = await loadAcp();
  const cwd = resolve(deps.baseDir, options.cwd ?? '.');
  const { title, hints, usageOf } = traitsOf(options);
  const runs = agentRuns(deps, {
    name: `acp-${options.agent ?? 'agent'}`,
    title,
    settings: options,
    dialect: acpDialect({ ...options, usageOf }),
    // Sessions belong to a folder.
    sessionPlace: cwd,
    hints,
  });
  return {
    adoptable: false,
    wake: (request, signal) =>
      wakeEvents(async (emit, detachSignal) => {
        const facts = await runs.begin(request);
        if ('type' in facts) return emit(facts);
        const listener = await runs.listener(request, emit);
        const graceMs = options.graceMs ?? GRACE_MS;
        await acpRun({ acp: loaded, options, cwd, facts, listener, graceMs, signal, detachSignal, emit, deps });
      }),
    check: async (signal) => withIgnored(await checkAcp(cwd, options, signal), options.ignoreChecks),
  };
}
