/** Agents: read and control them. */
import { pathTo, type Requester } from './api-request.ts';
import type { AgentChanged, AgentJson, DrainRequest, Page, PageQuery } from './types.ts';

/** Every call is idempotent and is retried, except `remove`. */
export interface AgentsClient {
  /** A page of agents; `next_cursor` gives the next page. */
  list(query?: PageQuery): Promise<Page<'agents', AgentJson>>;
  get(agentId: string): Promise<AgentJson>;
  /**
   * Drains the agent: it gets no new tasks. Runs that are still active after `deadline_ms` (0: at once) are stopped and released, which
   * does not count as a retry.
   */
  drain(agentId: string, options?: DrainRequest): Promise<AgentChanged>;
  /** Ends a drain or a pause. */
  resume(agentId: string): Promise<AgentChanged>;
  /** Asks the sidecar to run its checks now. */
  check(agentId: string): Promise<AgentChanged>;
  /** Allows another machine to take over the agent's ID. */
  takeover(agentId: string): Promise<AgentChanged>;
  /**
   * Deletes an agent and its old tokens. Refused with 409 while it is connected, has tasks, pending stops or a valid token. Not retried
   * once it was sent.
   */
  remove(agentId: string): Promise<{ readonly removed: string }>;
}

export function agentsClient({ get, post, request }: Requester): AgentsClient {
  const path = (agentId: string): string => pathTo('/api/agents', agentId);
  return {
    list: (query) => get('/api/agents', query),
    get: (agentId) => get(path(agentId)),
    drain: (agentId, options) => post(`${path(agentId)}/drain`, options),
    resume: (agentId) => post(`${path(agentId)}/resume`),
    check: (agentId) => post(`${path(agentId)}/check`),
    takeover: (agentId) => post(`${path(agentId)}/takeover`),
    remove: (agentId) => request({ method: 'DELETE', path: path(agentId), idempotent: false }),
  };
}
