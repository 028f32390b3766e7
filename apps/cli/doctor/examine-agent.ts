/** Asks an agent, through the hub, to run its checks or to take tasks again, and waits for the results of its checks. */
import { setTimeout as pause } from 'node:timers/promises';
import type { AgentJson, HubClient } from '../../client/index.ts';

/** The checks take up to 5 s, and the results have to reach the hub. */
const ANSWER_WITHIN_MS = 8_000;
const POLL_EVERY_MS = 200;

export interface AgentAnswer {
  readonly agent: AgentJson;
  /** Whether it answered; otherwise `agent` has its last known results. */
  readonly isFresh: boolean;
}

export async function examineAgent(hub: HubClient, agentId: string): Promise<AgentAnswer> {
  const before = await hub.agents.get(agentId);
  if (!before.connected) return { agent: before, isFresh: false };
  await hub.agents.check(agentId);
  return newChecks(hub, before);
}

/** Waits until it reports other checks than those in `before`. */
export async function newChecks(hub: HubClient, before: AgentJson): Promise<AgentAnswer> {
  const { agent_id: agentId } = before;
  for (const endMs = performance.now() + ANSWER_WITHIN_MS; performance.now() < endMs;) {
    await pause(POLL_EVERY_MS);
    const agent = await hub.agents.get(agentId);
    if (agent.checks !== null && agent.checks !== undefined && agent.checks.reported_at !== before.checks?.reported_at)
      return { agent, isFresh: true };
    if (!agent.connected) return { agent, isFresh: false };
  }
  return { agent: await hub.agents.get(agentId), isFresh: false };
}
