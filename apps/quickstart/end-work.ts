/** Agents outlive their sidecars by design, so the quickstart stops them explicitly. */
import { setTimeout as wait } from 'node:timers/promises';
import type { HubClient } from '../client/index.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** A cancelled agent has the grace period of the config to exit by itself. */
const ENDED_WITHIN_MS = 8_000;
const LOOK_MS = 100;

/** Drains these agents, cancels their tasks, waits for their processes to end, and returns the agents whose processes did not. */
export async function endWork(hub: HubClient, agentIds: readonly string[]): Promise<readonly string[]> {
  for (const agentId of agentIds) await hub.agents.drain(agentId);
  const { tasks } = await hub.tasks.list({ status: 'assigned', limit: 500 });
  for (const task of tasks) await cancelIfLive(hub, task.id);
  for (const untilMs = performance.now() + ENDED_WITHIN_MS; ;) {
    const { agents } = await hub.agents.list();
    const busy = agents.filter(({ tasks: held, pending_stops: stops }) => held.length + stops > 0);
    if (busy.length === 0 || performance.now() > untilMs) return busy.map(({ agent_id: agentId }) => agentId);
    await wait(LOOK_MS);
  }
}

async function cancelIfLive(hub: HubClient, taskId: string): Promise<void> {
  try {
    await hub.tasks.cancel(taskId);
  } catch (error) {
    const hasEnded = AgentcomError.is(error, 'AC_API') && error.details?.['status'] === 409;
    if (!hasEnded) throw error;
  }
}
