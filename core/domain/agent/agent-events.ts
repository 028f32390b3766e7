/**
 * The events of an agent: what a watcher needs to know its presence and availability without a poll. They follow from how its row
 * changed. The end of a pause by time is no change of the row: `agent_paused` says until when it lasts.
 */
import { agentHistoryId, type AgentEventName, type TaskEvent } from '../task/event.ts';
import { pauseOf, type Agent } from './agent.ts';

/**
 * The newest events that are kept of one agent: one that connects and disconnects all the time must not fill the store. What those before
 * them say of its state is kept as well (`StoreUnit.removeAgents`).
 */
export const AGENT_EVENTS_KEPT = 1_000;

type Details = Readonly<Record<string, unknown>>;

/** The row that replaces `before` (undefined: a new one), with its new events counted, and these. */
export function recordAgent(
  before: Agent | undefined,
  after: Agent,
  nowMs: number,
): { readonly agent: Agent; readonly events: readonly TaskEvent[] } {
  // The numbers of a removed agent with the same id are lower.
  const lastSeq = before?.eventSeq ?? after.madeAtMs ?? 0;
  // Of a row without events nothing is known to those who follow them: its first events tell its whole state.
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

/** Whether it may get tasks while it is connected, as the event that says so. */
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
