/** Agents: read and control them. */
import { at, type Requester } from './api-request.ts';
import type { AgentChanged, AgentJson, DrainRequest, Page, PageQuery } from './types.ts';

/** Changes are idempotent, and are retried. */
export interface AgentsClient {
  /** A page of agents; `next_cursor` gives the next page. Retried. */
  list(query?: PageQuery): Promise<Page<'agents', AgentJson>>;
  get(agentId: string): Promise<AgentJson>;
  /** Stops giving it new tasks. `deadline_ms`: what is still running after that is handed back without spending an attempt; 0 means at once. */
  drain(agentId: string, how?: DrainRequest): Promise<AgentChanged>;
  /** Ends a drain or a pause. */
  resume(agentId: string): Promise<AgentChanged>;
  /** Has its sidecar run its checks. */
  check(agentId: string): Promise<AgentChanged>;
  /** Lets another machine take over its ID. */
  takeover(agentId: string): Promise<AgentChanged>;
  /** Removes an unused agent with its tokens. Not retried once it was sent. */
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
