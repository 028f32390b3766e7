/** Every agent, page by page. */
import type { AgentId } from '../../core/domain/ids.ts';
import type { AgentRow, AgentStore } from '../../core/ports/agent-store.ts';

export async function allAgents(agents: Pick<AgentStore, 'listAgents'>, pageRows: number): Promise<readonly AgentRow[]> {
  const all: AgentRow[] = [];
  let after: AgentId | undefined;
  for (;;) {
    const page = await agents.listAgents({ after, limit: pageRows });
    all.push(...page);
    if (page.length < pageRows) return all;
    after = page.at(-1)?.agent.id;
  }
}
