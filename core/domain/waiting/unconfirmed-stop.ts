/** From the history of a task: whether an agent has yet to confirm that it has stopped a run of it. */
import type { AgentId } from '../ids.ts';
import type { TaskEvent } from '../task/event.ts';

/** The agent of the newest stop that is not confirmed; null: each is, as far as these events show. `events`: oldest first. */
export function unconfirmedStop(events: readonly TaskEvent[]): AgentId | null {
  const open = new Map<string, AgentId>();
  for (const { event, agentId, generation } of events) {
    if (agentId === null) continue;
    if (event === 'stop_requested') open.set(`${agentId} ${generation}`, agentId);
    else if (event === 'stop_confirmed') open.delete(`${agentId} ${generation}`);
  }
  return [...open.values()].at(-1) ?? null;
}
