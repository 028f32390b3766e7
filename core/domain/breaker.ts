/**
 * One broken machine must not drain the queue: an agent on which three different tasks in a row ended by the machine's
 * fault is paused, longer each time.
 */
import { isBusy, isDraining, pauseOf, type Agent, type AgentChecks } from './agent.ts';
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
  agent.strikes.length === 0 && agent.breakerTrips === 0 && agent.rejections === 0 && agent.pauses === 0
    ? agent
    : { ...agent, strikes: [], breakerTrips: 0, rejections: 0, pauses: 0 };

/** Failures that say that its agent can do nothing, whatever the task: a login, a setting, an allowance. */
export const isAgentFault = (cause: string | null): boolean => cause === 'auth' || cause === 'config' || cause === 'rate_limited';

/** Why it can do nothing, as it says itself, and for how long; null: it does not know, so longer with each time in a row. */
export interface Inability {
  readonly cause: string | null;
  readonly reason: string;
  readonly retryAfterMs: number | null;
}

/** It gets nothing for a while; a longer pause that it already has stays. */
export function withPause(agent: Agent, why: Inability, nowMs: number, times: BackoffTimes): Agent {
  const pauses = why.retryAfterMs === null ? agent.pauses + 1 : agent.pauses;
  const untilMs = nowMs + (why.retryAfterMs ?? backoffMs(times, pauses));
  if (agent.pausedUntilMs !== null && agent.pausedUntilMs > untilMs) return { ...agent, pauses };
  return { ...agent, pauses, pausedUntilMs: untilMs, pausedReason: why.reason, pausedCause: why.cause };
}

/**
 * It has looked whether its agent could run. What it could not do without a person it can do again once a look that failed
 * passes; an allowance that is spent comes back with time alone.
 */
export function withChecks(agent: Agent, checks: AgentChecks | null): Agent {
  const isMended = (agent.checks?.failed ?? []).length > 0 && checks?.failed.length === 0;
  const isOver = isMended && agent.pausedCause !== 'rate_limited';
  return { ...agent, checks, ...(isOver ? NO_PAUSE : {}) };
}

export const NO_PAUSE = { pausedUntilMs: null, pausedReason: null, pausedCause: null, pauses: 0 } as const satisfies Partial<Agent>;

/** Whether it may get work now, as far as its standing goes. */
export const mayWork = (agent: Agent, nowMs: number): boolean =>
  agent.connected && !isDraining(agent) && !isBusy(agent, nowMs) && pauseOf(agent, nowMs) === null;
