/** Agents that are taken as busy although they have a free slot: by what they said, or have yet to say, of themselves. */
import type { Agent } from './agent.ts';
import { backoffMs, type BackoffTimes } from '../backoff.ts';

/** After a rejection: 60 s, doubling to 10 min with each in a row. */
export const REJECTION_BUSY: BackoffTimes = { firstMs: 60_000, maxMs: 600_000 };
/**
 * A version 1 agent says that it is idle at every identify, working or not. It has this long to speak of what it has,
 * milliseconds.
 */
export const SETTLE_MS = 5_000;

/** It refused a task: busy until its next task frame, or for a while that grows with each refusal in a row. */
export function withRejection(agent: Agent, reason: string, nowMs: number): Agent {
  const rejections = agent.rejections + 1;
  return { ...agent, rejections, ...busy(agent, nowMs + backoffMs(REJECTION_BUSY, rejections), `it refused a task: ${reason}`) };
}

/** A version 1 agent has just identified. */
export const settling = (agent: Agent, nowMs: number): Agent => ({
  ...agent,
  ...busy(agent, nowMs + SETTLE_MS, 'it has yet to say what it holds'),
});

/** Whether it is taken as busy for no other reason than that it has just identified: nothing shows that it is at work. */
export const isSettling = (agent: Agent): boolean =>
  agent.busyUntilMs !== null && agent.connectedAtMs !== null && agent.busyUntilMs === agent.connectedAtMs + SETTLE_MS;

/** It said something that shows that it is free, or what it has in its hands. */
export const notBusy = (agent: Agent): Agent => (agent.busyUntilMs === null ? agent : { ...agent, busyUntilMs: null, busyReason: null });

/** A longer time that it already has stays. */
const busy = (agent: Agent, untilMs: number, reason: string): Pick<Agent, 'busyUntilMs' | 'busyReason'> =>
  agent.busyUntilMs !== null && agent.busyUntilMs > untilMs ? agent : { busyUntilMs: untilMs, busyReason: reason };
