/**
 * Why a task is not running: one sentence that is true at this moment, for the operator who asks. Pure: the task, what
 * it depends on and the agents in, the reason out. Nothing decides by it.
 */
import { isBusy, pauseOf, type Agent } from './agent/agent.ts';
import { roomOf } from './agent/breaker.ts';
import type { AgentId, TaskId } from './ids.ts';
import { canRun } from './task/scheduling.ts';
import type { Status, Task } from './task/task.ts';

/** Why one agent takes nothing now. */
export type Hindrance = 'offline' | 'draining' | 'paused' | 'busy';

/**
 * `agent_…`: all agents that could run it share this hindrance; `agents_unavailable`: they have different ones.
 * `about_to_be_assigned`: nothing is in its way. `agent_away`: it is assigned, and its agent is not connected.
 */
export type WaitingReason =
  | 'scheduled'
  | 'dependency'
  | 'dependency_failed'
  | 'backoff'
  | 'parked'
  | 'capabilities'
  | 'agent_unknown'
  | `agent_${Hindrance}`
  | 'agents_unavailable'
  | 'agent_away'
  | 'about_to_be_assigned';

/** Why an agent has no token that opens anything: all are revoked, or what is left is expired. */
export type LockedOut = 'revoked' | 'expired';

/** An agent and what it has in its hands: live assignments and stops that it has not confirmed. */
export interface AgentLoad {
  readonly agent: Agent;
  readonly liveCount: number;
  readonly stopCount: number;
  /** Set when it has no token to connect with; only asked about agents that are offline. */
  readonly lockedOut?: LockedOut | undefined;
}

export interface HinderedAgent {
  readonly agentId: AgentId;
  readonly hindrance: Hindrance;
  readonly message: string;
}

export interface WaitingFor {
  readonly reason: WaitingReason;
  readonly message: string;
  /** When the wait is over by itself, where that is known. */
  readonly untilMs?: number | undefined;
  /** The dependencies that are in the way. */
  readonly tasks?: readonly TaskId[] | undefined;
  /** The capabilities that are missing. */
  readonly capabilities?: readonly string[] | undefined;
  /** Agents that could run it, with what hinders each: the most hopeful first, at most `AGENTS_NAMED_MAX`. */
  readonly agents?: readonly HinderedAgent[] | undefined;
}

/** Agents and dependencies that an explanation names one by one; it counts the rest. */
export const AGENTS_NAMED_MAX = 10;

/** Most hopeful first: a busy agent will be free by itself, an absent one perhaps never. */
const HOPE: readonly Hindrance[] = ['busy', 'paused', 'draining', 'offline'];

/**
 * Null for a task that waits for nothing: it is assigned to an agent that is connected, or has ended. `dependencies` are the tasks that `task` names
 * (those not given count as unfinished); `agents` are all that are known, or at least the one that it is assigned to.
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

/** Its agent is not here: the work may go on there, and nobody hears of it. */
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
        ? `unless it is heard of the task again, it is taken back in ${durationText(untilMs - nowMs)}`
        : 'its time is over, and the task is taken back by a sweep, or when the quiet time after a disturbance of the hub ends';
  return {
    reason: 'agent_away',
    message: `Its agent ${id} ${away}: ${until}.`,
    untilMs,
    agents: [{ agentId: id, hindrance: 'offline', message: away }],
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
    const message = `It is given out again in ${durationText(task.eligibleAtMs - nowMs)}, after a backoff.`;
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
  return hinderedBy(able, assignTo, nowMs);
}

function lackingCapabilities(needed: readonly string[], allowed: readonly AgentLoad[], assignTo: AgentId | null): WaitingFor {
  const unheard = needed.filter((capability) => !allowed.some((load) => load.agent.capabilities.includes(capability)));
  const lacking = unheard.length > 0 ? unheard : needed;
  const words = listText(lacking.map((capability) => JSON.stringify(capability)));
  if (assignTo !== null) {
    return { reason: 'capabilities', message: `It is for agent ${assignTo} alone, which lacks ${words}.`, capabilities: lacking };
  }
  const message = unheard.length > 0 ? `No agent has ${words}.` : `Each is had by some agent, but no single agent has all of ${words}.`;
  return { reason: 'capabilities', message, capabilities: lacking };
}

function hinderedBy(able: readonly AgentLoad[], assignTo: AgentId | null, nowMs: number): WaitingFor {
  const hindered: { readonly agent: HinderedAgent; readonly untilMs: number | null }[] = [];
  for (const load of able) {
    const hindrance = hindranceOf(load, nowMs);
    if (hindrance === null) {
      return {
        reason: 'about_to_be_assigned',
        message: `Agent ${load.agent.id} can run it and has a free slot: it is about to be assigned.`,
      };
    }
    hindered.push(hindrance);
  }
  hindered.sort((a, b) => HOPE.indexOf(a.agent.hindrance) - HOPE.indexOf(b.agent.hindrance));
  const agents = hindered.map((each) => each.agent);
  const kinds = new Set(agents.map((agent) => agent.hindrance));
  const [only] = kinds;
  const ends = hindered.flatMap((each) => (each.untilMs === null ? [] : [each.untilMs]));
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

/** Why this agent takes nothing; null when it has a free slot. */
function hindranceOf(load: AgentLoad, nowMs: number): { readonly agent: HinderedAgent; readonly untilMs: number | null } | null {
  const { agent, liveCount, stopCount } = load;
  const because = (hindrance: Hindrance, message: string, untilMs: number | null = null) => ({
    agent: { agentId: agent.id, hindrance, message },
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
  if (agent.draining) return because('draining', 'is draining and takes nothing new');
  if (agent.ownDrain !== null) return because('draining', `takes nothing new (${agent.ownDrain})`);
  const pause = pauseOf(agent, nowMs);
  if (pause !== null) {
    const why = pause.reason === null ? '' : ` (${pause.reason})`;
    if (pause.untilMs === null) return because('paused', `is paused until its checks pass${why}`);
    return because('paused', `is paused for ${durationText(pause.untilMs - nowMs)}${why}`, pause.untilMs);
  }
  if (agent.busyUntilMs !== null && isBusy(agent, nowMs)) {
    return because(
      'busy',
      `is taken as busy for ${durationText(agent.busyUntilMs - nowMs)} (${agent.busyReason ?? 'it said so'})`,
      agent.busyUntilMs,
    );
  }
  const room = roomOf(agent);
  if (liveCount + stopCount < room) return null;
  const stops = stopCount === 0 ? '' : ` and waits for ${stopCount} to stop`;
  const probe = room < agent.slots ? '; it gets one task at a time until one shows that it works again' : '';
  return because('busy', `has ${liveCount} of ${agent.slots} slots at work${stops}${probe}`);
}

/** `a`, `a and b`, `a, b and c`, and a count of what is beyond the bound. */
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
