/** The world of `wakeRunnerContract` for a runner that starts a program: real processes on this (Linux) machine. */
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { WakeRunner } from '../../core/ports/wake-runner.ts';
import type { WakeRunnerDeps } from '../../plugins/plugin.ts';
import type { Behaviour, WakeRunnerSubject } from '../contracts/wake-runner.contract.ts';
import { atWork, carriersOf, endAgent, PROBE_AGENT, runWorld } from './run-world.ts';

/**
 * The subject of a runner that starts the program of `argv`: for each behaviour of the contract an agent that behaves so,
 * or a program that there is not.
 */
export async function processSubject(
  runner: (argv: readonly string[], deps: WakeRunnerDeps) => WakeRunner | Promise<WakeRunner>,
): Promise<WakeRunnerSubject> {
  const world = await runWorld();
  const { baseDir } = world;
  const deps: WakeRunnerDeps = { agentId: 'agent-1', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog };
  const argvOf = (behaviour: Behaviour): readonly string[] =>
    behaviour === 'cannot-start' ? ['no-such-program-anywhere'] : [process.execPath, PROBE_AGENT, behaviour];
  return {
    runner: async (behaviour) => runner(argvOf(behaviour), deps),
    request: () => world.request(),
    settle: (promise) => promise,
    atWork,
    endAgent,
    livingOf: (runId) => Promise.resolve(carriersOf(runId).length),
    close: async () => {
      await world.close();
    },
  };
}
