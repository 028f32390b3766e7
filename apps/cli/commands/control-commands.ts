/** `agentcom drain`, `resume`, `takeover` and `forget`. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { HubClient } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { newChecks } from '../doctor/examine-agent.ts';
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
        await eachAgent(context, agentIds, resume);
      }),
    );
  program
    .command('takeover <agents...>')
    .description('Let another machine take over the ID of an agent whose machine is gone')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(
          context,
          agentIds,
          withOutcome('can connect from another machine', (hub, agentId) => hub.agents.takeover(agentId)),
        );
      }),
    );
  program
    .command('forget <agents...>')
    .description('Remove unused agents: not connected, without a task and without a live token')
    .action(
      action(async (context, _options: object, agentIds: readonly string[]) => {
        await eachAgent(
          context,
          agentIds,
          withOutcome('was removed, with its tokens', (hub, agentId) => hub.agents.remove(agentId)),
        );
      }),
    );
}

async function drain(context: Context, { deadline, wait = false }: DrainOptions, agentIds: readonly string[]): Promise<void> {
  const outcome =
    deadline === undefined ? 'finishes what it has and gets no new tasks' : 'gets no new tasks and hands back what is left at the deadline';
  const drained = await eachAgent(
    context,
    agentIds,
    withOutcome(outcome, (hub, agentId) => hub.agents.drain(agentId, { deadline_ms: deadline })),
  );
  if (wait) for (const agentId of drained) await waitUntilEmpty(context, agentId);
}

/** An agent whose checks failed gets tasks again only once they pass; waits until its sidecar has repeated them. */
async function resume(hub: HubClient, agentId: string): Promise<Acted> {
  const before = await hub.agents.get(agentId);
  const resumed = await hub.agents.resume(agentId);
  if (before.checks?.ok !== false) return { answer: resumed, outcome: 'gets tasks again' };
  const { agent, isFresh } = await newChecks(hub, before);
  const answer = { ...resumed, checks: agent.checks };
  if (!isFresh) return { answer, outcome: 'gets tasks again once its checks pass' };
  const { ok = true, failed = [] } = agent.checks ?? {};
  const failures = failed.map(({ check, message }) => `${check}: ${message}`).join('; ');
  return { answer, outcome: ok ? 'gets tasks again' : `gets no tasks yet, because its checks still fail (${failures})` };
}

interface Acted {
  readonly answer: unknown;
  /** Printed after the agent. */
  readonly outcome: string;
}

type Act = (hub: HubClient, agentId: string) => Promise<Acted>;

const withOutcome =
  (outcome: string, act: (hub: HubClient, agentId: string) => Promise<unknown>): Act =>
  async (hub, agentId) => ({ answer: await act(hub, agentId), outcome });

/** Acts on each agent; a failure is printed and the rest continue. The first failure decides the exit code. Returns the agents that succeeded. */
async function eachAgent({ output, hub, exitWith }: Context, agentIds: readonly string[], act: Act): Promise<readonly string[]> {
  const client = await hub();
  const done: string[] = [];
  let firstFailure: unknown;
  for (const agentId of agentIds) {
    try {
      const { answer, outcome } = await act(client, agentId);
      output.data(answer);
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
