/**
 * Explains why a task is not running, in one sentence for operators. Pure: the task, its dependencies and the agents in, the
 * reason out. Nothing is decided by it.
 */
import { isBusy, pauseOf, type Agent } from './agent/agent.ts';
import { roomOf } from './agent/breaker.ts';
import type { AgentId, TaskId } from './ids.ts';
import { canRun } from './task/scheduling.ts';
import type { Status, Task } from './task/task.ts';

/** Why an agent gets no tasks now. */
export type Blocker = 'offline' | 'draining' | 'paused' | 'busy';

/**
 * `agent_…`: all agents that could run it have this blocker; `agents_unavailable`: they have different ones.
 * `about_to_be_assigned`: nothing blocks it. `agent_away`: it is assigned, and its agent is not connected.
 */
export type WaitingReason =
  | 'scheduled'
  | 'dependency'
  | 'dependency_failed'
  | 'backoff'
  | 'parked'
  | 'capabilities'
  | 'agent_unknown'
  | `agent_${Blocker}`
  | 'agents_unavailable'
  | 'agent_away'
  | 'about_to_be_assigned';

/** Why an agent has no valid token: all are revoked, or those that are not have expired. */
export type LockedOut = 'revoked' | 'expired';

/** An agent with its load: live assignments and unconfirmed stops. */
export interface AgentLoad {
  readonly agent: Agent;
  readonly liveCount: number;
  readonly stopCount: number;
  /** Set if it has no valid token; only looked up for offline agents. */
  readonly lockedOut?: LockedOut | undefined;
}

export interface BlockedAgent {
  readonly agentId: AgentId;
  readonly blocker: Blocker;
  readonly message: string;
}

export interface WaitingFor {
  readonly reason: WaitingReason;
  readonly message: string;
  /** When the wait ends by itself, if known. */
  readonly untilMs?: number | undefined;
  /** The dependencies that block it. */
  readonly tasks?: readonly TaskId[] | undefined;
  /** The missing capabilities. */
  readonly capabilities?: readonly string[] | undefined;
  /** Agents that could run it, with the blocker of each, in `BLOCKER_ORDER`, at most `AGENTS_NAMED_MAX`. */
  readonly agents?: readonly BlockedAgent[] | undefined;
}

/** Agents and dependencies that an explanation lists; it counts the rest. */
export const AGENTS_NAMED_MAX = 10;

/** Soonest to clear first: a busy agent becomes free by itself, an offline one perhaps never. */
const BLOCKER_ORDER: readonly Blocker[] = ['busy', 'paused', 'draining', 'offline'];

/**
 * Null for a task that waits for nothing: it is assigned to a connected agent, or has ended. `dependencies` are the tasks in `dependsOn`
 * (missing ones count as unfinished); `agents` are all known agents, or at least the one that it is assigned to.
 */
export function explainWaiting(
  task: Task,
  dependencies: readonly Pick<Task, 'id' | 'status'>[],
  agents: readonly AgentLoad[],
  nowMs: number,
): WaitingFor | null {
  switch (task.status) {
    case 'scheduled':
      return scheduledFor(task, nowMs);
    case 'blocked':
      return blockedBy(task, dependencies);
    case 'queued':
      return queuedFor(task, agents, nowMs);
    case 'assigned':
      return awayFrom(task, agents, nowMs);
    case 'completed':
    case 'cancelled':
    case 'dead_letter':
      return null;
  }
}

/** Its agent is not connected: the run may continue there unseen. */
function awayFrom(task: Task, agents: readonly AgentLoad[], nowMs: number): WaitingFor | null {
  const load = agents.find(({ agent }) => agent.id === task.assignedTo);
  if (load === undefined || load.agent.connected) return null;
  const { id, disconnectedAtMs } = load.agent;
  const ends = [task.deadlineAtMs, task.runDeadlineAtMs, task.completeByMs].flatMap((at) => at ?? []);
  const untilMs = ends.length === 0 ? undefined : Math.min(...ends);
  const away = disconnectedAtMs === null ? 'is not connected' : `has been away for ${durationText(Math.max(0, nowMs - disconnectedAtMs))}`;
  const until =
    untilMs === undefined
      ? 'it keeps the task'
      : untilMs > nowMs
        ? `unless it reconnects, the task is reclaimed in ${durationText(untilMs - nowMs)}`
        : 'its time is over, and the task is reclaimed by the next sweep, or when the quiet period after a disturbance of the hub ends';
  return {
    reason: 'agent_away',
    message: `Its agent ${id} ${away}: ${until}.`,
    untilMs,
    agents: [{ agentId: id, blocker: 'offline', message: away }],
  };
}

function scheduledFor(task: Task, nowMs: number): WaitingFor {
  const runAtMs = task.runAtMs ?? nowMs;
  if (runAtMs <= nowMs) return { reason: 'scheduled', message: 'Its run_at has come: it is queued by the next sweep.' };
  return { reason: 'scheduled', message: `It is scheduled to be queued in ${durationText(runAtMs - nowMs)} (run_at).`, untilMs: runAtMs };
}

function blockedBy(task: Task, dependencies: readonly Pick<Task, 'id' | 'status'>[]): WaitingFor {
  const statuses = new Map<TaskId, Status>(dependencies.map((dependency) => [dependency.id, dependency.status]));
  const statusOf = (id: TaskId): Status | 'unknown' => statuses.get(id) ?? 'unknown';
  const named = (ids: readonly TaskId[]): string => listText(ids.map((id) => `${id} (${statusOf(id)})`));

  const failed = task.dependsOn.filter((id) => statusOf(id) === 'dead_letter' || statusOf(id) === 'cancelled');
  if (failed.length > 0) {
    const isFinal = failed.some((id) => statusOf(id) === 'cancelled');
    const advice = isFinal ? 'cancel this task, since a cancelled one never completes' : 'retry what failed, or cancel this task';
    return { reason: 'dependency_failed', message: `It depends on ${named(failed)}, which did not complete: ${advice}.`, tasks: failed };
  }
  const pending = task.dependsOn.filter((id) => statusOf(id) !== 'completed');
  if (pending.length === 0)
    return { reason: 'dependency', message: 'All that it depends on is completed: it is queued by the next sweep.' };
  return { reason: 'dependency', message: `It waits for ${named(pending)} to complete.`, tasks: pending };
}

function queuedFor(task: Task, agents: readonly AgentLoad[], nowMs: number): WaitingFor {
  if (task.parked) {
    const message = `It was handed back or not accepted ${task.handBacks} times in a row and is parked: retry puts it back.`;
    return { reason: 'parked', message };
  }
  if (task.eligibleAtMs !== null && task.eligibleAtMs > nowMs) {
    const message = `It is retried in ${durationText(task.eligibleAtMs - nowMs)}, after a backoff.`;
    return { reason: 'backoff', message, untilMs: task.eligibleAtMs };
  }
  const { assignTo, capabilities } = task.requirement;
  const allowed = assignTo === null ? agents : agents.filter((load) => load.agent.id === assignTo);
  if (allowed.length === 0) {
    const message =
      assignTo === null ? 'No agent is known to this hub yet.' : `It is for agent ${assignTo} alone, which this hub does not know.`;
    return { reason: 'agent_unknown', message };
  }
  const able = allowed.filter((load) => canRun(task.requirement, load.agent));
  if (able.length === 0) return lackingCapabilities(capabilities, allowed, assignTo);
  return blockedByAgents(able, assignTo, nowMs);
}

function lackingCapabilities(needed: readonly string[], allowed: readonly AgentLoad[], assignTo: AgentId | null): WaitingFor {
  const unknown = needed.filter((capability) => !allowed.some((load) => load.agent.capabilities.includes(capability)));
  const lacking = unknown.length > 0 ? unknown : needed;
  const words = listText(lacking.map((capability) => JSON.stringify(capability)));
  if (assignTo !== null) {
    return { reason: 'capabilities', message: `It is for agent ${assignTo} alone, which lacks ${words}.`, capabilities: lacking };
  }
  const message = unknown.length > 0 ? `No agent has ${words}.` : `No single agent has all of ${words}.`;
  return { reason: 'capabilities', message, capabilities: lacking };
}

function blockedByAgents(able: readonly AgentLoad[], assignTo: AgentId | null, nowMs: number): WaitingFor {
  const blocked: { readonly agent: BlockedAgent; readonly untilMs: number | null }[] = [];
  for (const load of able) {
    const blocker = blockerOf(load, nowMs);
    if (blocker === null) {
      return {
        reason: 'about_to_be_assigned',
        message: `Agent ${load.agent.id} can run it and has a free slot: it is about to be assigned.`,
      };
    }
    blocked.push(blocker);
  }
  blocked.sort((a, b) => BLOCKER_ORDER.indexOf(a.agent.blocker) - BLOCKER_ORDER.indexOf(b.agent.blocker));
  const agents = blocked.map((each) => each.agent);
  const kinds = new Set(agents.map((agent) => agent.blocker));
  const [only] = kinds;
  const ends = blocked.flatMap((each) => (each.untilMs === null ? [] : [each.untilMs]));
  const clauses = listText(agents.map((agent) => `${agent.agentId} ${agent.message}`));
  const who =
    assignTo !== null
      ? 'It is for this agent alone'
      : able.length === 1
        ? 'Only one agent can run it'
        : `${able.length} agents can run it, none is free`;
  return {
    reason: kinds.size === 1 && only !== undefined ? `agent_${only}` : 'agents_unavailable',
    message: `${who}: ${clauses}.`,
    ...(ends.length === 0 ? {} : { untilMs: Math.min(...ends) }),
    agents: agents.slice(0, AGENTS_NAMED_MAX),
  };
}

/** Why this agent gets no tasks; null if it has a free slot. */
function blockerOf(load: AgentLoad, nowMs: number): { readonly agent: BlockedAgent; readonly untilMs: number | null } | null {
  const { agent, liveCount, stopCount } = load;
  const because = (blocker: Blocker, message: string, untilMs: number | null = null) => ({
    agent: { agentId: agent.id, blocker, message },
    untilMs,
  });
  if (!agent.connected) {
    if (load.lockedOut !== undefined) {
      const state = load.lockedOut === 'revoked' ? 'is revoked' : 'has expired';
      return because('offline', `cannot connect since its token ${state}`);
    }
    if (agent.disconnectedAtMs === null) return because('offline', 'has never connected');
    return because('offline', `has been offline for ${durationText(Math.max(0, nowMs - agent.disconnectedAtMs))}`);
  }
  if (agent.draining) return because('draining', 'is draining and accepts no new tasks');
  if (agent.ownDrain !== null) return because('draining', `accepts no new tasks (${agent.ownDrain})`);
  const pause = pauseOf(agent, nowMs);
  if (pause !== null) {
    const why = pause.reason === null ? '' : ` (${pause.reason})`;
    if (pause.untilMs === null) return because('paused', `is paused until its checks pass${why}`);
    return because('paused', `is paused for ${durationText(pause.untilMs - nowMs)}${why}`, pause.untilMs);
  }
  if (agent.busyUntilMs !== null && isBusy(agent, nowMs)) {
    return because(
      'busy',
      `counts as busy for ${durationText(agent.busyUntilMs - nowMs)} (${agent.busyReason ?? 'no reason given'})`,
      agent.busyUntilMs,
    );
  }
  const room = roomOf(agent);
  if (liveCount + stopCount < room) return null;
  const stops = stopCount === 0 ? '' : ` and waits for ${stopCount} to stop`;
  const probe = room < agent.slots ? '; after a pause it gets one task at a time until one succeeds' : '';
  return because('busy', `has ${liveCount} of ${agent.slots} slots at work${stops}${probe}`);
}

/** `a`, `a and b`, `a, b and c`, with a count of the items beyond the bound. */
function listText(items: readonly string[]): string {
  const shown = items.slice(0, AGENTS_NAMED_MAX);
  const rest = items.length - shown.length;
  const all = rest === 0 ? shown : [...shown, `${rest} more`];
  return all.length < 2 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}

const UNITS = [
  { word: 'd', ms: 86_400_000 },
  { word: 'h', ms: 3_600_000 },
  { word: 'min', ms: 60_000 },
  { word: 's', ms: 1_000 },
] as const;

/** A duration in the largest unit of which it has two or more, rounded; below two seconds in milliseconds. */
function durationText(ms: number): string {
  const unit = UNITS.find((candidate) => ms >= 2 * candidate.ms);
  return unit === undefined ? `${Math.round(ms)} ms` : `${Math.round(ms / unit.ms)} ${unit.word}`;
}
