/** `agentcom why`: why a task is not running, or why an agent gets no tasks. */
import type { Command } from 'commander';
import { isAgentId } from '../../../core/domain/ids.ts';
import { taskIdBeginning } from '../../../core/domain/task/task-beginning.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { isEndedStatus } from '../../client/ended-status.ts';
import type { AgentJson, HubClient, TaskDetail } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import type { Output } from '../output/output.ts';
import { taskOutcome } from '../output/task-outcome.ts';
import { taskNamed } from '../task-names.ts';

export function addWhy(program: Command, action: Action): void {
  program.command('why <task-or-agent>').description('Say why a task is not running, or why an agent gets no tasks').action(action(why));
}

async function why(context: Context, _options: object, name: string): Promise<void> {
  const { output } = context;
  const client = await context.hub();
  const isTask = name === '@last' || name.startsWith('task-') || !isAgentId(name);
  const agent = isTask ? null : await agentNamed(client, name);
  if (agent !== null) {
    const { agent_id, status, waiting_for } = agent;
    output.data({ agent_id, status, waiting_for: waiting_for ?? null });
    output.line(`${agent_id} ${waiting_for?.message ?? `is ${status}`}`);
    if (waiting_for !== undefined) showTimes(output, waiting_for);
    return;
  }
  const task = await client.tasks.get(await taskNamed(context, client, name));
  output.data({ task_id: task.id, status: task.status, waiting_for: task.waiting_for });
  if (task.waiting_for === null || isEndedStatus(task.status)) return output.line(notWaiting(task));
  output.line(`${task.id} is ${task.status}`);
  output.line(task.waiting_for.message);
  showTimes(output, task.waiting_for);
  // The message says it of a single agent.
  const { agents = [] } = task.waiting_for;
  if (agents.length > 1) for (const { agent_id, message } of agents) output.line(`  ${agent_id}  ${message}`);
}

/** Null if there is no such agent, and the name may be the first digits of a task's ID. */
async function agentNamed(client: HubClient, name: string): Promise<AgentJson | null> {
  try {
    return await client.agents.get(name);
  } catch (thrown) {
    if (!AgentcomError.is(thrown) || thrown.details?.['error'] !== 'unknown_agent' || taskIdBeginning(name) === null) throw thrown;
    return null;
  }
}

const notWaiting = (task: TaskDetail): string =>
  isEndedStatus(task.status) ? taskOutcome(task) : `${task.id} is running at ${task.assigned_to ?? 'an agent'}`;

function showTimes(output: Output, { since, until }: { readonly since?: number | undefined; readonly until?: number | undefined }): void {
  const { moment, zone } = output.times;
  if (since !== undefined) output.line(`  since  ${moment(since)} ${zone}`);
  if (until !== undefined) output.line(`  until  ${moment(until)}${since === undefined ? ` ${zone}` : ''}`);
}
