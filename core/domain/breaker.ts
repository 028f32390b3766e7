/**
 * One broken machine must not drain the queue: an agent on which three different tasks in a row ended by the machine's
 * fault is paused, longer each time.
 */
import { isBusy, isDraining, pauseOf, type Agent } from './agent.ts';
import { backoffMs, type BackoffTimes } from './backoff.ts';
import type { TaskId } from './ids.ts';
import { STRIKES_MAX } from './rules.ts';

/** The ends that say something about the machine rather than the task. */
export const isMachineFault = (kind: string): boolean => kind === 'wake_failed' || kind === 'confirmation_timeout' || kind === 'lost';

/** One more task ended by the machine's fault. A second end of the same task counts once. */
export function withStrike(agent: Agent, taskId: TaskId, reason: string, nowMs: number, breaker: BackoffTimes): Agent {
  const strikes = agent.strikes.includes(taskId) ? agent.strikes : [...agent.strikes, taskId];
  if (strikes.length < STRIKES_MAX) return { ...agent, strikes };
  const breakerTrips = agent.breakerTrips + 1;
  return {
    ...agent,
    strikes: [],
    breakerTrips,
    brokenUntilMs: nowMs + backoffMs(breaker, breakerTrips),
    brokenReason: `${STRIKES_MAX} tasks in a row ended by this machine's fault, the last with: ${reason}`,
  };
}

/** A task went through to its agent's own word: the machine works. */
export const withoutStrikes = (agent: Agent): Agent =>
  agent.strikes.length === 0 && agent.breakerTrips === 0 && agent.rejections === 0
    ? agent
    : { ...agent, strikes: [], breakerTrips: 0, rejections: 0 };

/** Gets nothing until `untilMs`; a longer pause that it already has stays. */
export const withPause = (agent: Agent, untilMs: number, reason: string): Agent => ({ ...agent, ...paused(agent, untilMs, reason) });

/** Whether it may get work now, as far as its standing goes. */
export const mayWork = (agent: Agent, nowMs: number): boolean =>
  agent.connected && !isDraining(agent) && !isBusy(agent, nowMs) && pauseOf(agent, nowMs) === null;

const paused = (agent: Agent, untilMs: number, reason: string): Pick<Agent, 'pausedUntilMs' | 'pausedReason'> =>
  agent.pausedUntilMs !== null && agent.pausedUntilMs > untilMs ? agent : { pausedUntilMs: untilMs, pausedReason: reason };
