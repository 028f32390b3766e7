/** `agentcom why`: why a task is not running, or why an agent gets no tasks. */
import type { Command } from 'commander';
import { isTaskId } from '../../../core/domain/ids.ts';
import { isEndedStatus } from '../../client/ended-status.ts';
import type { TaskDetail } from '../../client/index.ts';
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
  // Digits alone may be the ID of an agent.
  const id = name === '@last' || name.startsWith('task-') ? await taskNamed(context, client, name) : name;
  if (!isTaskId(id)) {
    const { agent_id, status, waiting_for } = await client.agents.get(id);
    output.data({ agent_id, status, waiting_for: waiting_for ?? null });
    output.line(`${agent_id} ${waiting_for?.message ?? `is ${status}`}`);
    if (waiting_for !== undefined) showTimes(output, waiting_for);
    return;
  }
  const task = await client.tasks.get(id);
  output.data({ task_id: task.id, status: task.status, waiting_for: task.waiting_for });
  if (task.waiting_for === null || isEndedStatus(task.status)) return output.line(notWaiting(task));
  output.line(`${task.id} is ${task.status}`);
  output.line(task.waiting_for.message);
  showTimes(output, task.waiting_for);
  for (const { agent_id, message } of task.waiting_for.agents ?? []) output.line(`  ${agent_id}  ${message}`);
}

const notWaiting = (task: TaskDetail): string =>
  isEndedStatus(task.status) ? taskOutcome(task) : `${task.id} is running at ${task.assigned_to ?? 'an agent'}`;

function showTimes(output: Output, { since, until }: { readonly since?: number | undefined; readonly until?: number | undefined }): void {
  const { moment, zone } = output.times;
  if (since !== undefined) output.line(`  since  ${moment(since)} ${zone}`);
  if (until !== undefined) output.line(`  until  ${moment(until)}${since === undefined ? ` ${zone}` : ''}`);
}
