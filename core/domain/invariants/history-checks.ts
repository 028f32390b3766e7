/**
 * Invariants of the order of all events. Each is told the events one by one, lowest id first, and keeps what is held at the
 * moment, not what was: agents, their live assignments and their stops.
 */
import type { Agent } from '../agent/agent.ts';
import type { StoredEvent } from '../task/event.ts';
import type { AgentId, TaskId } from '../ids.ts';
import { toldBy, UNTOLD, type Told } from './history-fold.ts';
import { ofAgent, type Violation } from './view.ts';

export interface HistoryCheck {
  /** What is wrong with this event, after those before it. */
  see(event: StoredEvent): readonly Violation[];
  /** What is wrong after the last. */
  end(): readonly Violation[];
}

/** New ones, for one reading of the events. `agents` are as they are now. */
export const historyChecks = (agents: ReadonlyMap<AgentId, Agent>): readonly HistoryCheck[] => [
  slotsSuffice(agents),
  sessionsGrow(agents),
  idsGrow(),
];

/** I4: at each assignment of an agent's present session its assignments and stops fit its slots. */
function slotsSuffice(agents: ReadonlyMap<AgentId, Agent>): HistoryCheck {
  const holds = new Map<AgentId, Set<string>>();
  /** Of live tasks only: an assignment tells its generation by itself. */
  const live = new Map<TaskId, Told>();

  const hold = (agentId: AgentId): Set<string> => {
    const held = holds.get(agentId) ?? new Set();
    holds.set(agentId, held);
    return held;
  };
  const follow = (event: StoredEvent): void => {
    const before = live.get(event.taskId) ?? UNTOLD;
    const after = toldBy(before, event);
    if (after.status === 'assigned') live.set(event.taskId, after);
    else live.delete(event.taskId);
    if (before.assignedTo !== null && (after.assignedTo !== before.assignedTo || after.status !== 'assigned'))
      hold(before.assignedTo).delete(`${event.taskId} ${before.generation}`);
  };

  return {
    see(event) {
      follow(event);
      const { agentId } = event;
      if (agentId === null) return [];
      const name = `${event.taskId} ${event.generation}`;
      if (event.event === 'assigned' || event.event === 'stop_requested') hold(agentId).add(name);
      if (event.event === 'stop_confirmed') hold(agentId).delete(name);
      const agent = agents.get(agentId);
      if (event.event !== 'assigned' || agent === undefined || event.session !== agent.sessionNumber) return [];
      const taken = hold(agentId).size;
      return taken <= agent.slots
        ? []
        : [ofAgent('I4', agentId, `event ${event.id} is assignment or stop ${taken} in ${agent.slots} slots`)];
    },
    end: () => [],
  };
}

/** I6, of agents: a session that was replaced changes nothing any more. Of agents that were removed nothing can be said. */
function sessionsGrow(agents: ReadonlyMap<AgentId, Agent>): HistoryCheck {
  const latest = new Map<AgentId, number>();
  const isOfAnother = (agentId: AgentId, atMs: number): boolean => {
    const agent = agents.get(agentId);
    return agent === undefined || atMs < (agent.madeAtMs ?? 0);
  };
  return {
    see({ id, agentId, session, event, atMs }) {
      if (agentId === null || session === null || isOfAnother(agentId, atMs)) return [];
      const highest = Math.max(latest.get(agentId) ?? 0, session);
      latest.set(agentId, highest);
      return session < highest ? [ofAgent('I6', agentId, `event ${id} ${event} is of session ${session}, after ${highest}`)] : [];
    },
    end: () =>
      [...latest].flatMap(([agentId, session]) => {
        const known = agents.get(agentId)?.sessionNumber ?? 0;
        if (session <= known) return [];
        return [ofAgent('I6', agentId, `session ${session} changed a task, the agent is in session ${known}`)];
      }),
  };
}

/** I14, of the order: no number is given twice. */
function idsGrow(): HistoryCheck {
  let last = 0;
  return {
    see({ id, taskId }) {
      const found: Violation[] =
        id > last ? [] : [{ invariant: 'I14', what: `event ${id} comes after event ${last}`, taskId, agentId: null }];
      last = id;
      return found;
    },
    end: () => [],
  };
}
