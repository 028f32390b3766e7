/** Agents: read and control them. */
import { at, type Requester } from './api-request.ts';
import type { AgentChanged, AgentJson, DrainRequest, Page, PageQuery } from './types.ts';

/** Each change may be repeated, and is: the agent is then as it was asked to be. */
export interface AgentsClient {
  /** A page of the agents; `next_cursor` gives the next. Repeated. */
  list(query?: PageQuery): Promise<Page<'agents', AgentJson>>;
  get(agentId: string): Promise<AgentJson>;
  /** It gets no new tasks. `deadline_ms`: what is still running after that is handed back, and spends no attempt; 0 at once. */
  drain(agentId: string, how?: DrainRequest): Promise<AgentChanged>;
  /** It gets tasks again, also after it was paused. */
  resume(agentId: string): Promise<AgentChanged>;
  /** Its sidecar checks whether its program could run. */
  check(agentId: string): Promise<AgentChanged>;
  /** Another machine may take its name over now. */
  takeover(agentId: string): Promise<AgentChanged>;
  /** Removes an agent that nobody can be any more, with its tokens. Not repeated once it was sent. */
  remove(agentId: string): Promise<{ readonly removed: string }>;
}

export function agentsClient({ read, act, request }: Requester): AgentsClient {
  const path = (agentId: string): string => at('/api/agents', agentId);
  return {
    list: (query) => read('/api/agents', query),
    get: (agentId) => read(path(agentId)),
    drain: (agentId, how) => act(`${path(agentId)}/drain`, how),
    resume: (agentId) => act(`${path(agentId)}/resume`),
    check: (agentId) => act(`${path(agentId)}/check`),
    takeover: (agentId) => act(`${path(agentId)}/takeover`),
    remove: (agentId) => request({ method: 'DELETE', path: path(agentId), repeatable: false }),
  };
}
