/** What the hub knows of one agent: it is asked to look at once whether its program could run, and its answer is waited for. */
import { setTimeout as pause } from 'node:timers/promises';
import type { AgentJson, HubClient } from '../../client/index.ts';

/** Its sidecar's look takes up to 5 s, and the word of it has to reach the hub. */
const ANSWER_WITHIN_MS = 8_000;
const LOOK_MS = 200;

export interface AgentAnswer {
  readonly agent: AgentJson;
  /** It has looked since it was asked; else what it found last stands in `agent`. */
  readonly isFresh: boolean;
}

export async function examineAgent(hub: HubClient, agentId: string): Promise<AgentAnswer> {
  const before = await hub.agents.get(agentId);
  if (!before.connected) return { agent: before, isFresh: false };
  await hub.agents.check(agentId);
  for (const endMs = performance.now() + ANSWER_WITHIN_MS; performance.now() < endMs;) {
    await pause(LOOK_MS);
    const agent = await hub.agents.get(agentId);
    if (agent.checks !== null && agent.checks !== undefined && agent.checks.told_at !== before.checks?.told_at)
      return { agent, isFresh: true };
    if (!agent.connected) return { agent, isFresh: false };
  }
  return { agent: await hub.agents.get(agentId), isFresh: false };
}
