/** Agents that count as busy although they have a free slot: they rejected a task, or have yet to report what they hold. */
import type { Agent } from './agent.ts';
import { backoffMs, type BackoffTimes } from '../backoff.ts';

/** After a rejection: 60 s, doubling up to 10 min with each rejection in a row. */
const REJECTION_BUSY: BackoffTimes = { firstMs: 60_000, maxMs: 600_000 };
/** Version 1 agents identify as idle even if they are working. They have this long to report the task that they hold, milliseconds. */
export const SETTLE_MS = 5_000;

/** It rejected a task: busy until its next task frame, or for a time that doubles with each rejection in a row. */
export function withRejection(agent: Agent, reason: string, nowMs: number): Agent {
  const rejections = agent.rejections + 1;
  return { ...agent, rejections, ...busy(agent, nowMs + backoffMs(REJECTION_BUSY, rejections), `it rejected a task: ${reason}`) };
}

/** It rejected a task because those that it holds leave no room for another: busy until one of them ends, until it reconnects, or for that time. */
export function withoutRoom(agent: Agent, nowMs: number): Agent {
  const rejections = agent.rejections + 1;
  return { ...agent, rejections, ...busy(agent, nowMs + backoffMs(REJECTION_BUSY, rejections), NO_ROOM_LEFT) };
}

/** Whether it is busy until one of its tasks ends or it reconnects. */
export const isOutOfRoom = (agent: Agent): boolean => agent.busyUntilMs !== null && agent.busyReason === NO_ROOM_LEFT;

const NO_ROOM_LEFT = 'the tasks that it holds leave no room for another';

/** A version 1 agent has just identified. */
export const settling = (agent: Agent, nowMs: number): Agent => ({
  ...agent,
  ...busy(agent, nowMs + SETTLE_MS, 'it has yet to report what it holds'),
});

/** Whether it counts as busy only because it has just identified, not because it seems to be working. */
export const isSettling = (agent: Agent): boolean =>
  agent.busyUntilMs !== null && agent.connectedAtMs !== null && agent.busyUntilMs === agent.connectedAtMs + SETTLE_MS;

/** Ends its busy time: it sent a frame that shows what it has, or, if it was out of room, one of its tasks has ended. */
export const notBusy = (agent: Agent): Agent => (agent.busyUntilMs === null ? agent : { ...agent, busyUntilMs: null, busyReason: null });

/** A longer busy time is kept. */
const busy = (agent: Agent, untilMs: number, reason: string): Pick<Agent, 'busyUntilMs' | 'busyReason'> =>
  agent.busyUntilMs !== null && agent.busyUntilMs > untilMs ? agent : { busyUntilMs: untilMs, busyReason: reason };
