/**
 * Invariants over the order of all events. Each gets the events one by one, lowest id first, and keeps only the current state:
 * agents, their live assignments and their stops.
 */
import type { Agent } from '../agent/agent.ts';
import { availabilityOf } from '../agent/agent-events.ts';
import { agentHistoryId, isAgentEvent, PRESENCE_EVENT_NAMES, type StoredEvent } from '../task/event.ts';
import type { AgentId, TaskId } from '../ids.ts';
import { foldHistory, EMPTY_HISTORY, type FoldedHistory } from './history-fold.ts';
import { ofAgent, type Violation } from './view.ts';

export interface HistoryCheck {
  /** Violations caused by this event, given the events before it. */
  next(event: StoredEvent): readonly Violation[];
  /** Violations after the last event. */
  end(): readonly Violation[];
  /** Events of this task, or `agentHistoryId`, are lost: nothing can be said about it, and it holds no slot. */
  omit(taskId: TaskId): void;
}

/** New checks, for one pass over the events. `agents`: their current rows. */
export const historyChecks = (agents: ReadonlyMap<AgentId, Agent>): readonly HistoryCheck[] => [
  slotsSuffice(agents),
  sessionsGrow(agents),
  idsGrow(),
  agentsAgree(agents),
];

/** I4: at each assignment in an agent's current session its assignments and stops fit its slots. */
function slotsSuffice(agents: ReadonlyMap<AgentId, Agent>): HistoryCheck {
  const holds = new Map<AgentId, Set<string>>();
  /** Live tasks only: the event of an assignment contains its generation. */
  const live = new Map<TaskId, FoldedHistory>();

  const hold = (agentId: AgentId): Set<string> => {
    const held = holds.get(agentId) ?? new Set();
    holds.set(agentId, held);
    return held;
  };
  const follow = (event: StoredEvent): void => {
    const before = live.get(event.taskId) ?? EMPTY_HISTORY;
    const after = foldHistory(before, event);
    if (after.status === 'assigned') live.set(event.taskId, after);
    else live.delete(event.taskId);
    if (before.assignedTo !== null && (after.assignedTo !== before.assignedTo || after.status !== 'assigned'))
      hold(before.assignedTo).delete(`${event.taskId} ${before.generation}`);
  };

  return {
    next(event) {
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
    omit(taskId) {
      live.delete(taskId);
      for (const held of holds.values()) for (const name of held) if (name.startsWith(`${taskId} `)) held.delete(name);
    },
  };
}

/** I6, for agents: a replaced session changes nothing. Removed agents cannot be checked. */
function sessionsGrow(agents: ReadonlyMap<AgentId, Agent>): HistoryCheck {
  const latest = new Map<AgentId, number>();
  const isOfRemovedAgent = (agentId: AgentId, atMs: number): boolean => {
    const agent = agents.get(agentId);
    return agent === undefined || atMs < (agent.madeAtMs ?? 0);
  };
  return {
    next({ id, agentId, session, event, atMs }) {
      if (agentId === null || session === null || isOfRemovedAgent(agentId, atMs)) return [];
      const highest = Math.max(latest.get(agentId) ?? 0, session);
      latest.set(agentId, highest);
      return session < highest ? [ofAgent('I6', agentId, `event ${id} ${event} is of session ${session}, after ${highest}`)] : [];
    },
    end: () =>
      [...latest].flatMap(([agentId, session]) => {
        const known = agents.get(agentId)?.sessionNumber ?? 0;
        if (session <= known) return [];
        return [ofAgent('I6', agentId, `session ${session} changed a task, but the agent is in session ${known}`)];
      }),
    omit: () => undefined,
  };
}

/** I16: the events of an agent agree with its current state. Agents without events cannot be checked. */
function agentsAgree(agents: ReadonlyMap<AgentId, Agent>): HistoryCheck {
  const lastOf = new Map<AgentId, { last: StoredEvent; connected: boolean; availability: StoredEvent | null }>();
  const omitted = new Set<TaskId>();
  return {
    next(event) {
      if (event.agentId === null || !isAgentEvent(event)) return [];
      const before = lastOf.get(event.agentId);
      const isPresence = PRESENCE_EVENT_NAMES.includes(event.event);
      lastOf.set(event.agentId, {
        last: event,
        connected: isPresence ? event.event === 'agent_connected' : (before?.connected ?? false),
        availability: isPresence ? (before?.availability ?? null) : event,
      });
      return [];
    },
    end() {
      const found: Violation[] = [];
      for (const { id, eventSeq, connected, ...agent } of agents.values()) {
        const known = lastOf.get(id);
        if (eventSeq === undefined || omitted.has(agentHistoryId(id))) continue;
        const say = (what: string): void => void found.push(ofAgent('I16', id, what));
        if (known?.last.seq !== eventSeq) say(`its newest event is number ${known?.last.seq ?? 'none'}, but it counts ${eventSeq}`);
        else if (known.connected !== connected) say(`it is ${connected ? 'connected' : 'away'}, but its events do not say so`);
        else {
          const is = availabilityOf({ id, connected, ...agent }, known.last.atMs);
          const last = known.availability?.event ?? 'agent_resumed';
          // A pause may have ended by time.
          if (is.event !== last && (is.event !== 'agent_resumed' || last === 'agent_draining'))
            say(`its last event is ${last}, not ${is.event}`);
        }
      }
      return found;
    },
    omit: (taskId) => void omitted.add(taskId),
  };
}

/** I14, for the order of all events: their ids grow. */
function idsGrow(): HistoryCheck {
  let last = 0;
  return {
    next({ id, taskId }) {
      const found: Violation[] =
        id > last ? [] : [{ invariant: 'I14', what: `event ${id} comes after event ${last}`, taskId, agentId: null }];
      last = id;
      return found;
    },
    end: () => [],
    omit: () => undefined,
  };
}
