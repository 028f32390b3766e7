/** A hub on which real tasks have ended in different ways, so that its metrics have values. */
import type { RunningAgent, RunningHub } from '../running-hub.ts';

/** Submits a task for `agentId` and has it accepted; returns the fields that name the assignment. */
async function accepted(hub: RunningHub, agent: RunningAgent, agentId: string, more: Readonly<Record<string, unknown>> = {}) {
  const { task_id } = await hub.api.tasks.submit({ description: 'a task of the test', assign_to: agentId, ...more });
  const { generation } = await agent.frame('task_assign');
  const named = { task_id, generation };
  agent.send({ type: 'task_accepted', ...named });
  await agent.frame('task_ack');
  return named;
}

/** One completed, one dead-lettered, one cancelled, one requeued, one report refused because of its generation; one waiting urgent task. */
export async function runTasks(hub: RunningHub): Promise<void> {
  const agent = await hub.agent('worker-1');
  const done = await accepted(hub, agent, 'worker-1');
  agent.send({ type: 'task_complete', ...done, result: { text: 'done' } });
  await agent.frame('task_ack');
  const failed = await accepted(hub, agent, 'worker-1', { max_retries: 0 });
  agent.send({ type: 'task_failed', ...failed, error: 'it did not work', kind: 'agent_failed' });
  await agent.frame('task_ack');
  const stale = await accepted(hub, agent, 'worker-1');
  agent.send({ type: 'task_complete', ...stale, generation: 0, result: {} });
  await agent.frame('task_nack');
  await hub.api.tasks.cancel(stale.task_id);
  await agent.frame('task_cancelled');
  agent.send({ type: 'task_cancel_ack', ...stale, outcome: 'killed' });
  await hub.api.tasks.submit({ description: 'it waits', priority: 'urgent', needed_capabilities: ['nobody-has-it'] });
  const handedBack = await hub.api.tasks.submit({ description: 'not now', assign_to: 'worker-1' });
  const { generation } = await agent.frame('task_assign');
  agent.send({ type: 'task_rejected', task_id: handedBack.task_id, generation, reason: 'busy' });
  await agent.frame('task_ack');
}
