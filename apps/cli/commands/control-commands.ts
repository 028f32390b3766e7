/** `agentcom drain`, `resume`, `takeover` and `forget`: whether an agent gets tasks, which machine may be it, and its end. */
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

/** Between two looks whether an agent still has something. */
const LOOK_MS = 500;

export function addStanding(program: Command, action: Action): void {
  program
    .command('drain <agents...>')
    .description('Give agents nothing new; what they have they finish')
    .option('-d, --deadline <duration>', 'what is still at work then is stopped and handed back, without spending a retry', parseDuration)
    .option('-w, --wait', 'return when they have nothing left')
    .action(action(drain));
  program
    .command('resume <agents...>')
    .description('End a drain, or the pause of a machine that failed too often')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(context, agentIds, (hub, agentId) => hub.agents.resume(agentId), 'gets tasks again');
      }),
    );
  program
    .command('takeover <agents...>')
    .description('Let another machine take the identity of one that is gone')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(context, agentIds, (hub, agentId) => hub.agents.takeover(agentId), 'may come back on another machine');
      }),
    );
  program
    .command('forget <agents...>')
    .description('Remove agents that nobody can be any more: not connected, without a task and without a live token')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(context, agentIds, (hub, agentId) => hub.agents.remove(agentId), 'is removed, with its tokens');
      }),
    );
}

async function drain(context: Context, { deadline, wait = false }: DrainOptions, agentIds: readonly string[]): Promise<void> {
  const outcome = deadline === undefined ? 'finishes what it has and gets nothing new' : 'gets nothing new, and hands back what is left';
  const told = await eachAgent(context, agentIds, (hub, agentId) => hub.agents.drain(agentId, { deadline_ms: deadline }), outcome);
  if (wait) for (const agentId of told) await waitUntilEmpty(context, agentId);
}

/** Each by itself: one that is refused is told and the others go on; the first refusal decides the exit code. Answers those that were not. */
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

/** Also what was taken back and may still run counts. */
async function waitUntilEmpty({ output, hub, surroundings, exitWith }: Context, agentId: string): Promise<void> {
  const client = await hub();
  const signal = surroundings.interrupt();
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
      output.note(`Interrupted; ${agentId} goes on draining.`);
      return exitWith(EXIT_INTERRUPTED);
    }
  }
}
