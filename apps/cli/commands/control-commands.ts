/** `agentcom drain`, `resume`, `takeover` and `forget`. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { HubClient } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED, exitCodeOf } from '../exit-codes.ts';
import { parseDuration } from '../parse.ts';

interface DrainOptions {
  readonly deadline?: number;
  readonly wait?: boolean;
}

/** Interval between polls of a draining agent, milliseconds. */
const LOOK_MS = 500;

export function addAgentControl(program: Command, action: Action): void {
  program
    .command('drain <agents...>')
    .description('Stop giving agents new tasks; they finish those they have')
    .option(
      '-d, --deadline <duration>',
      'after this time, stop active runs and hand their tasks back, without using up a retry',
      parseDuration,
    )
    .option('-w, --wait', 'wait until they have nothing left')
    .action(action(drain));
  program
    .command('resume <agents...>')
    .description('End a drain or a pause')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(context, agentIds, (hub, agentId) => hub.agents.resume(agentId), 'gets tasks again');
      }),
    );
  program
    .command('takeover <agents...>')
    .description('Let another machine take over the ID of an agent whose machine is gone')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(context, agentIds, (hub, agentId) => hub.agents.takeover(agentId), 'can connect from another machine');
      }),
    );
  program
    .command('forget <agents...>')
    .description('Remove unused agents: not connected, without a task and without a live token')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(context, agentIds, (hub, agentId) => hub.agents.remove(agentId), 'was removed, with its tokens');
      }),
    );
}

async function drain(context: Context, { deadline, wait = false }: DrainOptions, agentIds: readonly string[]): Promise<void> {
  const outcome =
    deadline === undefined ? 'finishes what it has and gets no new tasks' : 'gets no new tasks and hands back what is left at the deadline';
  const drained = await eachAgent(context, agentIds, (hub, agentId) => hub.agents.drain(agentId, { deadline_ms: deadline }), outcome);
  if (wait) for (const agentId of drained) await waitUntilEmpty(context, agentId);
}

/** Acts on each agent; a failure is printed and the rest continue. The first failure decides the exit code. Returns the agents that succeeded. */
async function eachAgent(
  { output, hub, exitWith }: Context,
  agentIds: readonly string[],
  act: (hub: HubClient, agentId: string) => Promise<unknown>,
  outcome: string,
): Promise<readonly string[]> {
  const client = await hub();
  const done: string[] = [];
  let firstFailure: unknown;
  for (const agentId of agentIds) {
    try {
      output.data(await act(client, agentId));
      output.line(`${agentId} ${outcome}`);
      done.push(agentId);
    } catch (thrown) {
      firstFailure ??= thrown;
      output.error(thrown);
    }
  }
  if (firstFailure !== undefined) exitWith(exitCodeOf(firstFailure));
  return done;
}

/** Reclaimed runs that may still be active count too. */
async function waitUntilEmpty({ output, hub, environment, exitWith }: Context, agentId: string): Promise<void> {
  const client = await hub();
  const signal = environment.interrupt();
  for (;;) {
    const agent = await client.agents.get(agentId);
    if (agent.tasks.length + agent.pending_stops === 0) {
      output.data(agent);
      return output.line(`${agentId} has nothing left`);
    }
    try {
      await pause(LOOK_MS, undefined, { signal });
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
      output.note(`Interrupted; ${agentId} continues to drain.`);
      return exitWith(EXIT_INTERRUPTED);
    }
  }
}
