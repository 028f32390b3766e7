/**
 * A complete runner for an agent program that prints its progress: its dialect parses the output, everything else is
 * here.
 */
import type { WakeRunner } from '../../../core/ports/wake-runner.ts';
import { startedProgram, type ProgramRunnerDeps, type ProgramStart } from '../started-program.ts';
import { GRACE_MS } from '../process/watch-run.ts';
import { withIgnored } from './check-program.ts';
import { agentRuns, type AgentRunsDeps, type AgentRunsOptions, type AgentStartContext } from './agent-runs.ts';

/** A program that is started once for each task and prints what it does. */
export interface AgentProgramOptions<State> extends AgentRunsOptions<State> {
  /** What to start. Standard input is the prompt unless `start` sets another. */
  start(facts: AgentStartContext): ProgramStart;
  readonly check?: WakeRunner['check'];
}

/** Dependencies of such a runner. */
export interface AgentProgramDeps extends ProgramRunnerDeps, AgentRunsDeps {}

/**
 * A runner that meets all obligations of `WakeRunner`. A run is settled by the first outcome of its dialect and by
 * nothing else; then the program has a moment to exit before its process tree is stopped.
 */
export function agentProgram<State>(deps: AgentProgramDeps, options: AgentProgramOptions<State>): WakeRunner {
  const runs = agentRuns(deps, options);
  const { check, settings } = options;
  return startedProgram(deps, {
    graceMs: settings.graceMs ?? GRACE_MS,
    check: check === undefined ? undefined : async (signal) => withIgnored(await check(signal), settings.ignoreChecks),
    async start(request) {
      const facts = await runs.begin(request);
      return 'type' in facts ? facts : { input: facts.prompt, ...options.start(facts) };
    },
    listener: runs.listener,
  });
}
