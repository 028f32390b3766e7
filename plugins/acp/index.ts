/** Wakes an agent that speaks the Agent Client Protocol: `acp({ agent: 'gemini', cwd: 'project' })`, or `acp({ bin: ['my-agent', '--acp'] })`. */
import { resolve } from 'node:path';
import { agentRuns, defineWakeRunner, GRACE_MS, wakeEvents, withIgnored, type DefinedRunner, type RunnerContext } from '../plugin.ts';
import { acpDialect } from './dialect.ts';
import { acpOptions, acpProblems, traitsOf, type AcpOptions } from './options.ts';
import { loadAcp } from './sdk-package.ts';
import { acpRun } from './run.ts';
import { checkAcp } from './check.ts';

export type { AcpOptions } from './options.ts';

/**
 * The runner of agents that are talked to, by pipes both ways: their runs end with the sidecar. Needs the package
 * `@agentclientprotocol/sdk`; without it, making the runner fails with `AC_PACKAGE_MISSING`.
 */
export const acp = defineWakeRunner({
  name: 'acp',
  options: acpOptions,
  problems: acpProblems,
  create: (context) => createAcp(context),
});

async function createAcp({ options, ...deps }: RunnerContext<AcpOptions>): Promise<DefinedRunner> {
  const loaded = await loadAcp();
  const cwd = resolve(deps.baseDir, options.cwd ?? '.');
  const { title, cures, usageOf } = traitsOf(options);
  const runs = agentRuns(deps, {
    name: `acp-${options.agent ?? 'agent'}`,
    title,
    settings: options,
    dialect: acpDialect({ ...options, usageOf }),
    // A session is opened for a folder.
    sessionPlace: cwd,
    cures,
  });
  return {
    adoptable: false,
    wake: (request, signal) =>
      wakeEvents(async (emit, left) => {
        const facts = await runs.begin(request);
        if ('type' in facts) return emit(facts);
        const ears = await runs.ears(request, emit);
        const graceMs = options.graceMs ?? GRACE_MS;
        await acpRun({ acp: loaded, options, cwd, facts, ears, graceMs, signal, left, emit, deps });
      }),
    check: async (signal) => withIgnored(await checkAcp(cwd, options, signal), options.ignoreChecks),
  };
}
