/**
 * The events of an agent: what a watcher needs to know its presence and availability without polling. They are derived from the changes
 * of its row. A pause that ends by time does not change the row: `agent_paused` says until when it lasts.
 */
import { agentHistoryId, type AgentEventName, type TaskEvent } from '../task/event.ts';
import { pauseOf, type Agent } from './agent.ts';

/**
 * How many of an agent's newest events are kept: one that keeps connecting and disconnecting must not fill the store. The older events
 * that its state depends on are kept as well (`StoreUnit.removeAgents`).
 */
export const AGENT_EVENTS_KEPT = 1_000;

type Details = Readonly<Record<string, unknown>>;

/** The row that replaces `before` (undefined: the agent is new) with its new events counted, and those events. */
export function recordAgent(
  before: Agent | undefined,
  after: Agent,
  nowMs: number,
): { readonly agent: Agent; readonly events: readonly TaskEvent[] } {
  // The events of a removed agent with the same id have lower numbers.
  const lastSeq = before?.eventSeq ?? after.madeAtMs ?? 0;
  // Watchers know nothing about a row without events, so its first events give its whole state.
  const known = before?.eventSeq === undefined ? undefined : before;
  const events = changesOf(known, after, nowMs).map(([event, details], index): TaskEvent => ({
    taskId: agentHistoryId(after.id),
    seq: lastSeq + index + 1,
    event,
    atMs: nowMs,
    agentId: after.id,
    generation: null,
    session: after.sessionNumber,
    details,
  }));
  const eventSeq = events.at(-1)?.seq ?? before?.eventSeq;
  return { agent: eventSeq === after.eventSeq ? after : { ...after, eventSeq }, events };
}

function changesOf(before: Agent | undefined, after: Agent, nowMs: number): readonly (readonly [AgentEventName, Details | null])[] {
  const changes: (readonly [AgentEventName, Details | null])[] = [];
  const wasConnected = before?.connected === true;
  if (after.connected && (!wasConnected || before.sessionNumber !== after.sessionNumber))
    changes.push(['agent_connected', { hub_id: after.hubId, slots: after.slots }]);
  if (wasConnected && !after.connected) changes.push(['agent_disconnected', { disconnected_at: after.disconnectedAtMs }]);
  const [was, is] = [before === undefined ? AVAILABLE : availabilityOf(before, nowMs), availabilityOf(after, nowMs)];
  if (!isSame(was, is)) changes.push([is.event, is.details]);
  return changes;
}

/** Whether it may get tasks while it is connected, expressed as the event that reports it. */
interface Availability {
  readonly event: 'agent_resumed' | 'agent_draining' | 'agent_paused';
  readonly details: Details | null;
}

const AVAILABLE: Availability = { event: 'agent_resumed', details: null };

export function availabilityOf(agent: Agent, nowMs: number): Availability {
  if (agent.draining) return { event: 'agent_draining', details: { by: 'operator', until: agent.drainUntilMs } };
  if (agent.ownDrain !== null) return { event: 'agent_draining', details: { by: 'agent', reason: agent.ownDrain } };
  const pause = pauseOf(agent, nowMs);
  if (pause === null) return AVAILABLE;
  return { event: 'agent_paused', details: { cause: pause.cause, reason: pause.reason, until: pause.untilMs } };
}

const isSame = (one: Availability, other: Availability): boolean =>
  one.event === other.event && (one.details === other.details || JSON.stringify(one.details) === JSON.stringify(other.details));
