/**
 * One broken machine must not drain the queue: an agent on which three different tasks in a row ended by the machine's
 * fault is paused, longer each time.
 */
import { isBusy, isDraining, pauseOf, type Agent, type AgentChecks } from './agent.ts';
import { backoffMs, type BackoffTimes } from '../backoff.ts';
import type { TaskId } from '../ids.ts';
import { STRIKES_MAX } from '../task/rules.ts';
import type { Task } from '../task/task.ts';

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

/**
 * After its model's service was away: most outages are over soon, and the others are looked at every 5 min, with one task.
 * Nobody waits longer at first, or at most, than the breaker.
 */
export const OUTAGE_PAUSE: BackoffTimes = { firstMs: 15_000, maxMs: 300_000 };
/** The least pause of an agent that says how long by itself, so that one which says "1 ms" each time does not spin. */
export const SAID_PAUSE: BackoffTimes = { firstMs: 1_000, maxMs: 60_000 };
/** The longest that it is believed, milliseconds: then one task shows whether the service is right about the rest. */
export const RETRY_AFTER_MAX_MS = 3_600_000;
/** A task that lasts this long after a pause shows that its agent works, milliseconds. */
export const PROVEN_MS = 120_000;

/** Failures that say that its agent can do nothing, whatever the task: a login, a setting, an allowance, its model's service. */
export const isAgentFault = (cause: string | null): boolean => cause === 'auth' || cause === 'config' || endsByItself(cause);

/** What is over with time alone, whatever a look at the machine says. */
const endsByItself = (cause: string | null): boolean => cause === 'rate_limited' || cause === 'model_unavailable';

/** The cause of a release that says nothing of its agent: its sidecar was stopped, and the run could not outlive that. */
export const SIDECAR_STOPPED = 'sidecar_stopped';

/** Why it can do nothing, as it says itself, and for how long; null: it does not know, so longer with each time in a row. */
export interface Inability {
  readonly cause: string | null;
  readonly reason: string;
  readonly retryAfterMs: number | null;
}

/** It gets nothing for a while; a longer pause that it already has stays. Tasks that fail together are one failure. */
export function withPause(agent: Agent, why: Inability, nowMs: number, breaker: BackoffTimes): Agent {
  const isPaused = agent.pausedUntilMs !== null && agent.pausedUntilMs > nowMs;
  const pauses = isPaused && agent.pauses > 0 ? agent.pauses : agent.pauses + 1;
  const untilMs = nowMs + pauseMs(why, pauses, breaker);
  if (agent.pausedUntilMs !== null && agent.pausedUntilMs > untilMs) return { ...agent, pauses };
  return { ...agent, pauses, pausedUntilMs: untilMs, pausedReason: why.reason, pausedCause: why.cause };
}

function pauseMs({ cause, retryAfterMs }: Inability, pauses: number, breaker: BackoffTimes): number {
  if (retryAfterMs === null && cause !== 'model_unavailable') return backoffMs(breaker, pauses);
  const least = cause === 'model_unavailable' ? OUTAGE_PAUSE : SAID_PAUSE;
  const times = { firstMs: Math.min(least.firstMs, breaker.firstMs), maxMs: Math.min(least.maxMs, breaker.maxMs) };
  return Math.max(backoffMs(times, pauses), Math.min(retryAfterMs ?? 0, RETRY_AFTER_MAX_MS));
}

/** How many tasks it may have: after a pause one, until that shows that it works again. */
export const roomOf = (agent: Agent): number => (agent.pauses > 0 ? Math.min(agent.slots, 1) : agent.slots);

/**
 * A task that was given to it after its pause has used its model, or has lasted: it works again. What is older says nothing of
 * the time since.
 */
export const isProof = (agent: Agent, task: Task, tokensUsed: number | null, nowMs: number): boolean =>
  task.assignedAtMs !== null &&
  task.assignedAtMs >= (agent.pausedUntilMs ?? 0) &&
  ((tokensUsed ?? 0) > 0 || nowMs - task.assignedAtMs >= PROVEN_MS);

/**
 * It has looked whether its agent could run. What it could not do without a person it can do again once a look that failed
 * passes; an allowance that is spent, or a service that is away, comes back with time alone.
 */
export function withChecks(agent: Agent, checks: AgentChecks | null): Agent {
  const isMended = (agent.checks?.failed ?? []).length > 0 && checks?.failed.length === 0;
  const isOver = isMended && !endsByItself(agent.pausedCause);
  return { ...agent, checks, ...(isOver ? NO_PAUSE : {}) };
}

export const NO_PAUSE = { pausedUntilMs: null, pausedReason: null, pausedCause: null, pauses: 0 } as const satisfies Partial<Agent>;

/** Whether it may get work now, as far as its standing goes. */
export const mayWork = (agent: Agent, nowMs: number): boolean =>
  agent.connected && !isDraining(agent) && !isBusy(agent, nowMs) && pauseOf(agent, nowMs) === null;
