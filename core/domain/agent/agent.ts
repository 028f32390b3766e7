/** An agent as stored by the hub: its identity, session and availability. Times in milliseconds since 1970. */
import type { AgentId, TaskId } from '../ids.ts';

/** An agent as stored by the hub. Times are milliseconds since 1970 (UTC). */
export interface Agent {
  readonly id: AgentId;
  readonly name: string;
  readonly capabilities: readonly string[];
  /** How many tasks it may run at once, within what its token allows. */
  readonly slots: number;
  /** How often it has identified; 0: never. Frames of an older session change nothing. */
  readonly sessionNumber: number;
  /** Events from before this time belong to a removed agent with the same id. Missing in agents of older versions. */
  readonly madeAtMs?: number | undefined;
  /** The number of its newest event; left out: it has none. */
  readonly eventSeq?: number | undefined;
  /** The hub that it is or was last connected to; null: none yet. */
  readonly hubId: string | null;
  readonly connected: boolean;
  readonly connectedAtMs: number | null;
  readonly disconnectedAtMs: number | null;
  readonly lastHeardAtMs: number | null;
  /** The sidecar installation that uses the agent id; null for version 1. */
  readonly instanceId: string | null;
  /** The sidecar process, which stays the same when its connection breaks; null or left out: not reported. */
  readonly processId?: string | null | undefined;
  /** It is a function of that process, which begins as soon as a task is accepted. Default false. */
  readonly inProcess?: boolean | undefined;
  /** The public key of the machine that it is bound to: no other machine can identify as it. Null or left out: it is not bound. */
  readonly deviceKey?: string | null | undefined;
  readonly protocolVersion: 1 | 2;
  /** When its open connection was recently replaced by another one. */
  readonly replacedAtMs: readonly number[];
  /** Set after too many replacements: until then another connection is refused. */
  readonly conflictUntilMs: number | null;
  /** The status that it last reported; shown only. Null: none since it connected. */
  readonly reportedStatus: string | null;
  /** An operator drains it: it gets no tasks until an operator resumes it. */
  readonly draining: boolean;
  /** When tasks that still run during an operator's drain are released; null: the agent finishes them. */
  readonly drainUntilMs: number | null;
  /** How often an operator has drained or resumed it: the hub that it is connected to sends it what it has not received yet. */
  readonly orders: number;
  /** Why it drains itself, as it reported; valid until its next report or the end of its session. */
  readonly ownDrain: string | null;
  /** It reported that it can run nothing: it gets no tasks before this time. The reason is for people. */
  readonly pausedUntilMs: number | null;
  readonly pausedReason: string | null;
  /** The failure that paused it: `auth`, `config`, `rate_limited`, `model_unavailable` or another cause of its runner; null: none reported. */
  readonly pausedCause: string | null;
  /** Pauses in a row, from which their length is doubled. While it is above 0, the agent gets one task at a time. */
  readonly pauses: number;
  /** The results of the last checks of whether its program can run; null: none reported. While a check fails, it gets no tasks. */
  readonly checks: AgentChecks | null;
  /** How often an operator has requested new checks: the hub that it is connected to passes that on. */
  readonly checksAsked: number;
  /** Counts as busy until then, even with free slots: it rejected a task, or (version 1) has yet to report what it holds. */
  readonly busyUntilMs: number | null;
  readonly busyReason: string | null;
  /** The breaker: too many tasks in a row ended because of a fault of its machine. It gets no tasks before this time, regardless of its reports. */
  readonly brokenUntilMs: number | null;
  readonly brokenReason: string | null;
  /** Different tasks in a row that ended through a fault of this machine, and how often the breaker has tripped in a row. */
  readonly strikes: readonly TaskId[];
  readonly breakerTrips: number;
  /** Rejections in a row; each doubles the time for which it counts as busy. */
  readonly rejections: number;
  /** How many assignments it has ever had; each 16th takes the oldest task of any priority. */
  readonly assignedCount: number;
  /** The last `resource_report`, as sent. */
  readonly resources: Readonly<Record<string, unknown>> | null;
}

/** One check; `message` says what to do. */
export interface NamedCheck {
  readonly check: string;
  readonly message: string;
}

/** The results of a sidecar's checks of whether its agent can run. */
export interface AgentChecks {
  /** When the hub received them. */
  readonly atMs: number;
  readonly failed: readonly NamedCheck[];
  readonly passed: readonly NamedCheck[];
}

/** A reclaimed or cancelled assignment whose end the agent has not confirmed; it takes a slot until then. */
export interface PendingStop {
  readonly agentId: AgentId;
  readonly taskId: TaskId;
  /** The generation of the assignment to stop. */
  readonly generation: number;
  readonly reason: StopReason;
  readonly requestedAtMs: number;
  readonly sentAtMs: number | null;
}

/** Why an assignment has to be stopped. */
export type StopReason = 'cancelled' | 'reclaimed' | 'deadline';

/** What operators see of an agent. */
export type AgentPresence = 'offline' | 'idle' | 'working' | 'stopping' | 'draining' | 'paused';

/** Until when and why it gets no tasks. `untilMs` null: until its checks pass. */
export interface Pause {
  readonly untilMs: number | null;
  readonly reason: string | null;
  readonly cause: 'checks' | 'breaker' | 'agent' | (string & Record<never, never>);
}

/** Null if it is not paused. If there are several pauses: its failed checks or, if there are none, the longer pause. */
export function pauseOf(agent: Agent, nowMs: number): Pause | null {
  const failed = agent.checks?.failed ?? [];
  if (failed.length > 0) {
    return { untilMs: null, reason: failed.map(({ check, message }) => `${check}: ${message}`).join('; '), cause: 'checks' };
  }
  const pausedMs = agent.pausedUntilMs ?? 0;
  const brokenMs = agent.brokenUntilMs ?? 0;
  if (Math.max(pausedMs, brokenMs) <= nowMs) return null;
  return pausedMs > brokenMs
    ? { untilMs: pausedMs, reason: agent.pausedReason, cause: agent.pausedCause ?? 'agent' }
    : { untilMs: brokenMs, reason: agent.brokenReason, cause: 'breaker' };
}

/** Whether it counts as busy, even with free slots. */
export const isBusy = (agent: Agent, nowMs: number): boolean => agent.busyUntilMs !== null && agent.busyUntilMs > nowMs;

/** Whether it is drained, by an operator or by itself. */
export const isDraining = (agent: Agent): boolean => agent.draining || agent.ownDrain !== null;

/**
 * Presence from the row, the number of live tasks, and the number of pending stops. For display only; no decision depends on it. An agent
 * with only pending stops is `stopping`: its slots are not free.
 */
export function presenceOf(agent: Agent, liveCount: number, nowMs: number, stopCount = 0): AgentPresence {
  if (!agent.connected) return 'offline';
  if (isDraining(agent)) return 'draining';
  if (pauseOf(agent, nowMs) !== null) return 'paused';
  if (liveCount > 0) return 'working';
  if (stopCount > 0) return 'stopping';
  return isBusy(agent, nowMs) || agent.reportedStatus === 'working' ? 'working' : 'idle';
}

/** A new agent: its token was just created, or it identified for the first time. */
export function newAgent(id: AgentId, name: string = id, madeAtMs?: number): Agent {
  return {
    id,
    name,
    ...(madeAtMs === undefined ? {} : { madeAtMs }),
    capabilities: [],
    slots: 1,
    sessionNumber: 0,
    hubId: null,
    connected: false,
    connectedAtMs: null,
    disconnectedAtMs: null,
    lastHeardAtMs: null,
    instanceId: null,
    protocolVersion: 2,
    replacedAtMs: [],
    conflictUntilMs: null,
    reportedStatus: null,
    draining: false,
    drainUntilMs: null,
    orders: 0,
    ownDrain: null,
    pausedUntilMs: null,
    pausedReason: null,
    pausedCause: null,
    pauses: 0,
    checks: null,
    checksAsked: 0,
    busyUntilMs: null,
    busyReason: null,
    brokenUntilMs: null,
    brokenReason: null,
    strikes: [],
    breakerTrips: 0,
    rejections: 0,
    assignedCount: 0,
    resources: null,
  };
}
