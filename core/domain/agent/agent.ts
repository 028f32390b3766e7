/** An agent as the hub knows it: its identity, its current session, and its standing. Times in milliseconds since 1970. */
import type { AgentId, TaskId } from '../ids.ts';

export interface Agent {
  readonly id: AgentId;
  readonly name: string;
  readonly capabilities: readonly string[];
  /** Room for tasks at the same time, after what its token allows. */
  readonly slots: number;
  /** Counts identifies from 1; 0 when it never identified. Frames of an older session change nothing. */
  readonly sessionNumber: number;
  /** What its history tells of before was another one of its id, which was removed. Left out: nothing was. */
  readonly madeAtMs?: number | undefined;
  /** The hub that holds its socket; null when none ever did. */
  readonly hubId: string | null;
  readonly connected: boolean;
  readonly connectedAtMs: number | null;
  readonly disconnectedAtMs: number | null;
  readonly lastHeardAtMs: number | null;
  /** The machine's sidecar that holds the identity; null for version 1. */
  readonly instanceId: string | null;
  /** The process of that machine, which comes back as itself when its connection breaks; null or left out: it did not say. */
  readonly processId?: string | null | undefined;
  readonly protocolVersion: 1 | 2;
  /** When its open connection was replaced by one that names no machine, lately. */
  readonly replacedAtMs: readonly number[];
  /** That happened too often: until then another one is refused. */
  readonly conflictUntilMs: number | null;
  /** The status it last gave of itself (version 1), shown only. */
  readonly reportedStatus: string | null;
  /** An operator drains it: it gets nothing until an operator resumes it. */
  readonly draining: boolean;
  /** When what an operator's drain has left at work is to be handed back; null: the agent finishes it. */
  readonly drainUntilMs: number | null;
  /** How often an operator has drained or resumed it: the hub that holds its socket tells it what it was not told yet. */
  readonly orders: number;
  /** It takes nothing for this reason of its own, as it says itself; ends by its own word, or with its session. */
  readonly ownDrain: string | null;
  /** It said that it can do nothing: gets nothing before this time; with the reason that people read. */
  readonly pausedUntilMs: number | null;
  readonly pausedReason: string | null;
  /** The kind of failure that paused it: `auth`, `config`, `rate_limited`, `model_unavailable` or another word of its runner; null where none was given. */
  readonly pausedCause: string | null;
  /** Pauses in a row, for their doubling. While there is one it gets one task at a time. */
  readonly pauses: number;
  /** What it found when it last looked whether its program could run; null: it said nothing of it. With a failed one it gets nothing. */
  readonly checks: AgentChecks | null;
  /** How often an operator asked it to look again: the hub that holds its socket tells it. */
  readonly checksAsked: number;
  /** Taken as busy until then, whatever its slots: it refused a task, or, of version 1, has yet to say what it holds. */
  readonly busyUntilMs: number | null;
  readonly busyReason: string | null;
  /** The breaker: too many tasks in a row ended by its fault. It gets nothing before this time, whatever it says of itself. */
  readonly brokenUntilMs: number | null;
  readonly brokenReason: string | null;
  /** Different tasks in a row that ended by this machine's fault, and how often the breaker has tripped in a row. */
  readonly strikes: readonly TaskId[];
  readonly breakerTrips: number;
  /** Rejections in a row, for the doubling of the time that it is taken as busy after each. */
  readonly rejections: number;
  /** Assignments given to it ever; each 16th takes the oldest task of any lane. */
  readonly assignedCount: number;
  /** The last `resource_report`, as given. */
  readonly resources: Readonly<Record<string, unknown>> | null;
}

/** One thing that was looked at; `message` is for people and says what to do. */
export interface NamedCheck {
  readonly check: string;
  readonly message: string;
}

export interface AgentChecks {
  /** When the hub was told. */
  readonly atMs: number;
  readonly failed: readonly NamedCheck[];
  readonly passed: readonly NamedCheck[];
}

/** An assignment that was taken back and whose end its agent has not confirmed; it holds a slot until then. */
export interface PendingStop {
  readonly agentId: AgentId;
  readonly taskId: TaskId;
  /** The generation of the assignment to stop. */
  readonly generation: number;
  readonly reason: StopReason;
  readonly requestedAtMs: number;
  readonly sentAtMs: number | null;
}

export type StopReason = 'cancelled' | 'reclaimed' | 'deadline';

/** What operators see of an agent. */
export type AgentPresence = 'offline' | 'idle' | 'working' | 'stopping' | 'draining' | 'paused';

/** Until when and why it gets nothing. `untilMs` null: until its checks pass. */
export interface Pause {
  readonly untilMs: number | null;
  readonly reason: string | null;
  readonly cause: 'checks' | 'breaker' | 'agent' | (string & Record<never, never>);
}

/** Null when it is not paused. Of several reasons its failed checks, else the one that lasts longer. */
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

/** Whether it is taken as busy whatever its slots. */
export const isBusy = (agent: Agent, nowMs: number): boolean => agent.busyUntilMs !== null && agent.busyUntilMs > nowMs;

/** Whether it gets nothing new, by an operator's word or its own. */
export const isDraining = (agent: Agent): boolean => agent.draining || agent.ownDrain !== null;

/**
 * Presence from the row, how many tasks it has, and how many that were taken back it has yet to stop; only shown, never
 * decides. One that has nothing but the latter is `stopping`: its slots are not free.
 */
export function presenceOf(agent: Agent, liveCount: number, nowMs: number, stopCount = 0): AgentPresence {
  if (!agent.connected) return 'offline';
  if (isDraining(agent)) return 'draining';
  if (pauseOf(agent, nowMs) !== null) return 'paused';
  if (liveCount > 0) return 'working';
  if (stopCount > 0) return 'stopping';
  return isBusy(agent, nowMs) || agent.reportedStatus === 'working' ? 'working' : 'idle';
}

/** An agent that was never heard of before its token was made or it identified. */
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
