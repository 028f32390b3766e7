/**
 * The circuit breaker: one broken machine must not drain the queue into the dead-letter queue. An agent on which `STRIKES_MAX`
 * different tasks in a row ended through a fault of its machine is paused, longer each time.
 */
import { isBusy, isDraining, pauseOf, type Agent, type AgentChecks } from './agent.ts';
import { backoffMs, type BackoffTimes } from '../backoff.ts';
import type { TaskId } from '../ids.ts';
import { STRIKES_MAX } from '../task/rules.ts';
import type { Task } from '../task/task.ts';

/** Failures of the machine rather than the task. */
export const isMachineFault = (kind: string): boolean => kind === 'wake_failed' || kind === 'confirmation_timeout' || kind === 'lost';

/** Counts a task that ended through a fault of the machine. The same task counts once. */
export function withStrike(agent: Agent, taskId: TaskId, reason: string, nowMs: number, breaker: BackoffTimes): Agent {
  const strikes = agent.strikes.includes(taskId) ? agent.strikes : [...agent.strikes, taskId];
  if (strikes.length < STRIKES_MAX) return { ...agent, strikes };
  const breakerTrips = agent.breakerTrips + 1;
  return {
    ...agent,
    strikes: [],
    breakerTrips,
    brokenUntilMs: nowMs + backoffMs(breaker, breakerTrips),
    brokenReason: `${STRIKES_MAX} tasks in a row ended because of a fault of this machine, the last with: ${reason}`,
  };
}

/** A task ended with a result or failure of its agent: the machine works. */
export const withoutStrikes = (agent: Agent): Agent =>
  agent.strikes.length === 0 && agent.breakerTrips === 0 && agent.rejections === 0 && agent.pauses === 0
    ? agent
    : { ...agent, strikes: [], breakerTrips: 0, rejections: 0, pauses: 0 };

/**
 * Pauses after an outage of the model's service: most outages are short; longer ones are probed every 5 min with one task. Neither
 * time exceeds the breaker's.
 */
const OUTAGE_PAUSE: BackoffTimes = { firstMs: 15_000, maxMs: 300_000 };
/** The shortest pause of an agent that reports its own retry time, so that one which always reports 1 ms does not spin. */
const REPORTED_PAUSE: BackoffTimes = { firstMs: 1_000, maxMs: 60_000 };
/** The longest reported retry time that is honored, milliseconds: then one task probes whether the service is back. */
const RETRY_AFTER_MAX_MS = 3_600_000;
/** A run of this length after a pause proves that the agent works, milliseconds. */
const PROVEN_MS = 120_000;

/** Causes that keep the agent from running any task: login, configuration, rate limit, outage of its model's service. */
export const isAgentFault = (cause: string | null): boolean => cause === 'auth' || cause === 'config' || endsByItself(cause);

/** Causes that only time resolves, even if the checks of the machine pass. */
const endsByItself = (cause: string | null): boolean => cause === 'rate_limited' || cause === 'model_unavailable';

/** The cause of a release that is not the agent's fault: its sidecar was stopped, and the run could not outlive it. */
export const SIDECAR_STOPPED = 'sidecar_stopped';

/** Why an agent can run nothing, as reported, and for how long. `retryAfterMs` null: unknown, so each pause in a row is longer. */
export interface AgentFault {
  readonly cause: string | null;
  readonly reason: string;
  readonly retryAfterMs: number | null;
}

/** Pauses the agent; a longer pause is kept. Tasks that fail during a pause count as one failure. */
export function withPause(agent: Agent, why: AgentFault, nowMs: number, breaker: BackoffTimes): Agent {
  const isPaused = agent.pausedUntilMs !== null && agent.pausedUntilMs > nowMs;
  const pauses = isPaused && agent.pauses > 0 ? agent.pauses : agent.pauses + 1;
  const untilMs = nowMs + pauseMs(why, pauses, breaker);
  if (agent.pausedUntilMs !== null && agent.pausedUntilMs > untilMs) return { ...agent, pauses };
  return { ...agent, pauses, pausedUntilMs: untilMs, pausedReason: why.reason, pausedCause: why.cause };
}

function pauseMs({ cause, retryAfterMs }: AgentFault, pauses: number, breaker: BackoffTimes): number {
  if (retryAfterMs === null && cause !== 'model_unavailable') return backoffMs(breaker, pauses);
  const least = cause === 'model_unavailable' ? OUTAGE_PAUSE : REPORTED_PAUSE;
  const times = { firstMs: Math.min(least.firstMs, breaker.firstMs), maxMs: Math.min(least.maxMs, breaker.maxMs) };
  return Math.max(backoffMs(times, pauses), Math.min(retryAfterMs ?? 0, RETRY_AFTER_MAX_MS));
}

/** How many tasks it may have: only one after a pause, until a task proves that it works again. */
export const roomOf = (agent: Agent): number => (agent.pauses > 0 ? Math.min(agent.slots, 1) : agent.slots);

/**
 * Whether a task proves that the agent works again: it was assigned after the pause, and has used tokens or run for `PROVEN_MS`.
 */
export const provesRecovery = (agent: Agent, task: Task, tokensUsed: number | null, nowMs: number): boolean =>
  task.assignedAtMs !== null &&
  task.assignedAtMs >= (agent.pausedUntilMs ?? 0) &&
  ((tokensUsed ?? 0) > 0 || nowMs - task.assignedAtMs >= PROVEN_MS);

/** Checks as a sidecar reports them. `passed` null: not mentioned, as in a ping. */
export type CheckReport = Omit<AgentChecks, 'passed'> & { readonly passed: AgentChecks['passed'] | null };

/**
 * Stores reported checks. Checks that pass after a failure also end a pause, except one for a rate limit or an outage, which only
 * time ends. If a report does not mention what passed, what is known to have passed and does not fail now is kept.
 */
export function withChecks(agent: Agent, report: CheckReport | null): Agent {
  const isRepaired = (agent.checks?.failed ?? []).length > 0 && report?.failed.length === 0;
  const isOver = isRepaired && !endsByItself(agent.pausedCause);
  const checks = report === null ? null : { ...report, passed: report.passed ?? stillPassed(agent, report) };
  return { ...agent, checks, ...(isOver ? NO_PAUSE : {}) };
}

const stillPassed = ({ checks }: Agent, { failed }: CheckReport): AgentChecks['passed'] =>
  (checks?.passed ?? []).filter(({ check }) => !failed.some((one) => one.check === check));

export const NO_PAUSE = { pausedUntilMs: null, pausedReason: null, pausedCause: null, pauses: 0 } as const satisfies Partial<Agent>;

/** Whether it may get tasks now, apart from its free slots. */
export const mayWork = (agent: Agent, nowMs: number): boolean =>
  agent.connected && !isDraining(agent) && !isBusy(agent, nowMs) && pauseOf(agent, nowMs) === null;
