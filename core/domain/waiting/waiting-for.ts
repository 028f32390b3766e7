/**
 * Explains why a task is not running, in one sentence for operators and as data. Pure: the task, its dependencies and the agents in, the
 * reason out. No decision depends on it. It is built on the predicates that decide (`isClaimable`, `isOver`, `canRun`, `mayWork`,
 * `roomOf`): it says `ready` exactly if the dispatcher would assign the task.
 */
import type { AgentId, TaskId } from '../ids.ts';
import { isWaiting, readyAtMs } from '../task/claimable.ts';
import { canRun, mayTake } from '../task/scheduling.ts';
import type { Status, Task } from '../task/task.ts';
import { isOver } from '../transitions/due.ts';
import { AGENT_KINDS, blockedAgent, type AgentKind, type AgentLoad, type BlockedAgent, type Blocker } from './agent-waiting.ts';
import { durationText, listText, NAMED_MAX, quoted } from './words.ts';

/**
 * `agent_…`: all agents that could run it have this blocker; `agents_unavailable`: they have different ones.
 * `about_to_be_assigned`: nothing blocks it. `agent_away`: it is assigned, and its agent is not connected. `not_stopped`: it is cancelled,
 * and its agent has not confirmed that its run has ended.
 */
export type WaitingReason =
  | 'scheduled'
  | 'dependency'
  | 'dependency_failed'
  | 'backoff'
  | 'parked'
  | 'deadline'
  | 'capabilities'
  | 'rejected'
  | 'agent_unknown'
  | `agent_${Blocker}`
  | 'agents_unavailable'
  | 'agent_away'
  | 'not_accepted'
  | 'not_woken'
  | 'not_stopped'
  | 'about_to_be_assigned';

/** The same in more detail. For a queued task that agents could run: the kind that all these agents share, or `agents_unavailable`. */
export const WAITING_KINDS = [
  'not_due',
  'blocked',
  /** A dependency was dead-lettered: until it is retried and completes. */
  'blocked_by_dead_letter',
  /** A dependency was cancelled: forever. */
  'blocked_forever',
  'parked',
  'backoff',
  /** Its `ttl_ms` or `complete_by` has passed: the next sweep dead-letters it. */
  'deadline_passed',
  'no_agent',
  'assignee_unknown',
  'assignee_lacks_capability',
  /** At least one capability is missing from every agent. */
  'capability_missing',
  /** Each capability is available, but no single agent has all of them. */
  'capabilities_apart',
  /** The policies of all agents that could run it have rejected it. */
  'rejected',
  ...AGENT_KINDS,
  'agents_unavailable',
  'ready',
  'agent_away',
  'not_accepted',
  'not_woken',
  'not_stopped',
] as const;
export type WaitingKind = (typeof WAITING_KINDS)[number];

export interface WaitingFor {
  readonly reason: WaitingReason;
  readonly kind: WaitingKind;
  readonly message: string;
  /** When the wait ends by itself, if known. */
  readonly untilMs?: number | undefined;
  /** The dependencies that block it. */
  readonly tasks?: readonly TaskId[] | undefined;
  /** The missing capabilities. */
  readonly capabilities?: readonly string[] | undefined;
  /** Agents that could run it, with the blocker of each, in `BLOCKER_ORDER`, at most `NAMED_MAX`. */
  readonly agents?: readonly BlockedAgent[] | undefined;
  /** How many agents could run it; if none can, how many are known. */
  readonly agentCount?: number | undefined;
  /** The agent that lacks the fewest capabilities. */
  readonly nearest?: { readonly agentId: AgentId; readonly lacks: readonly string[] } | undefined;
  /** Queued tasks that may go before it. */
  readonly ahead?: TasksAhead | undefined;
}

/** Queued tasks of a higher priority, and others of the same one. Not all of them compete for the same agents. */
export interface TasksAhead {
  readonly higher: number;
  readonly same: number;
}

/** What an explanation needs to know besides the task. */
export interface WaitingView {
  /** The tasks in `dependsOn`; missing ones count as unfinished. Only for a blocked task. */
  readonly dependencies: readonly Pick<Task, 'id' | 'status'>[];
  /** All known agents, or at least the one that it is assigned to; of a cancelled task, the one that has yet to confirm a stop, if any. */
  readonly agents: readonly AgentLoad[];
  readonly nowMs: number;
  /** The end of the hub's quiet period. Default: in the past. */
  readonly quietUntilMs?: number | undefined;
  /** Default: not counted. */
  readonly ahead?: TasksAhead | undefined;
}

/** Soonest to clear first: a busy agent becomes free by itself, an offline one perhaps never. */
const BLOCKER_ORDER: readonly Blocker[] = ['busy', 'paused', 'draining', 'offline'];

/** Null for a task that waits for nothing: its agent works on it, or it has ended and, if it was cancelled, been stopped. */
export function explainWaiting(task: Task, view: WaitingView): WaitingFor | null {
  switch (task.status) {
    case 'scheduled':
      return scheduledFor(task, view);
    case 'blocked':
      return blockedBy(task, view.dependencies);
    case 'queued':
      return queuedFor(task, view);
    case 'assigned':
      return assignedFor(task, view);
    case 'cancelled':
      return stopAwaited(view.agents);
    case 'completed':
    case 'dead_letter':
      return null;
  }
}

/** Only an agent that is connected can be stopped, and confirm it. */
function stopAwaited(agents: readonly AgentLoad[]): WaitingFor | null {
  const load = agents.find(({ stopCount }) => stopCount > 0);
  if (load === undefined) return null;
  const { id, connected } = load.agent;
  const message = connected
    ? `${id} has yet to confirm that its agent has stopped.`
    : `${id} is offline, so its agent may still be running.`;
  return { reason: 'not_stopped', kind: 'not_stopped', message };
}

function assignedFor(task: Task, view: WaitingView): WaitingFor | null {
  const load = view.agents.find(({ agent }) => agent.id === task.assignedTo);
  if (load === undefined) return null;
  if (!load.agent.connected) return awayFrom(task, load, view);
  const { id } = load.agent;
  const agoText = (sinceMs: number | null): string => durationText(Math.max(0, view.nowMs - (sinceMs ?? view.nowMs)));
  if (task.acceptedAtMs === null) {
    const untilMs = task.deadlineAtMs ?? undefined;
    const message = `It was sent to ${id} ${agoText(task.assignedAtMs)} ago and has not been accepted yet.`;
    return { reason: 'not_accepted', kind: 'not_accepted', message, untilMs };
  }
  if (task.wokenAtMs !== null || task.progressCount > 0 || load.agent.inProcess === true) return null;
  const message = `Agent ${id} accepted it ${agoText(task.acceptedAtMs)} ago and has not yet reported that its program has started.`;
  return { reason: 'not_woken', kind: 'not_woken', message };
}

/** Its agent is not connected: the run may continue there unseen. */
function awayFrom(task: Task, { agent }: AgentLoad, { nowMs, quietUntilMs = 0 }: WaitingView): WaitingFor {
  const { id, disconnectedAtMs } = agent;
  // A sweep in a quiet period postpones what it would reclaim; `complete_by` is not postponed.
  const reclaims = [task.deadlineAtMs, task.runDeadlineAtMs].flatMap((at) => (at === null ? [] : [Math.max(at, quietUntilMs)]));
  const ends = [...reclaims, ...(task.completeByMs === null ? [] : [task.completeByMs])];
  const untilMs = ends.length === 0 ? undefined : Math.min(...ends);
  const away = disconnectedAtMs === null ? 'is not connected' : `has been away for ${durationText(Math.max(0, nowMs - disconnectedAtMs))}`;
  const until =
    untilMs === undefined
      ? 'it keeps the task'
      : untilMs > nowMs
        ? `unless it reconnects, the task is reclaimed in ${durationText(untilMs - nowMs)}`
        : 'its deadline has passed, and the task is reclaimed by the next sweep, or when the quiet period after a hub disturbance ends';
  return {
    reason: 'agent_away',
    kind: 'agent_away',
    message: `Its agent ${id} ${away}: ${until}.`,
    untilMs,
    agents: [
      {
        agentId: id,
        blocker: 'offline',
        kind: 'offline',
        message: away,
        ...(disconnectedAtMs === null ? {} : { sinceMs: disconnectedAtMs }),
      },
    ],
  };
}

function scheduledFor(task: Task, { nowMs }: WaitingView): WaitingFor {
  const runAtMs = task.runAtMs ?? nowMs;
  const about = { reason: 'scheduled', kind: 'not_due' } as const;
  if (runAtMs <= nowMs) return { ...about, message: 'Its run_at has passed: the next sweep queues it.' };
  return { ...about, message: `It is scheduled to start in ${durationText(runAtMs - nowMs)} (run_at).`, untilMs: runAtMs };
}

function blockedBy(task: Task, dependencies: WaitingView['dependencies']): WaitingFor {
  const statuses = new Map<TaskId, Status>(dependencies.map((dependency) => [dependency.id, dependency.status]));
  const statusOf = (id: TaskId): Status | 'unknown' => statuses.get(id) ?? 'unknown';
  const named = (ids: readonly TaskId[]): string => listText(ids.map((id) => `${id} (${statusOf(id)})`));

  const failed = task.dependsOn.filter((id) => statusOf(id) === 'dead_letter' || statusOf(id) === 'cancelled');
  if (failed.length > 0) {
    const isFinal = failed.some((id) => statusOf(id) === 'cancelled');
    const advice = isFinal ? 'cancel this task, since a cancelled one never completes' : 'retry what failed, or cancel this task';
    const kind = isFinal ? 'blocked_forever' : 'blocked_by_dead_letter';
    return {
      reason: 'dependency_failed',
      kind,
      message: `It depends on ${named(failed)}, which did not complete: ${advice}.`,
      tasks: failed,
    };
  }
  const pending = task.dependsOn.filter((id) => statusOf(id) !== 'completed');
  const about = { reason: 'dependency', kind: 'blocked' } as const;
  if (pending.length === 0) return { ...about, message: 'All its dependencies have completed: the next sweep queues it.' };
  return { ...about, message: `It waits for ${named(pending)} to complete.`, tasks: pending };
}

function queuedFor(task: Task, view: WaitingView): WaitingFor {
  const { agents, nowMs } = view;
  if (isOver(task, nowMs)) {
    const message = 'Its deadline has passed (ttl_ms, complete_by, or the wait after a rejection): the next sweep dead-letters it.';
    return { reason: 'deadline', kind: 'deadline_passed', message };
  }
  if (!isWaiting(task)) {
    const message = `It was handed back or not accepted ${task.handBacks} times in a row and is parked: retry requeues it.`;
    return { reason: 'parked', kind: 'parked', message };
  }
  const readyMs = readyAtMs(task);
  if (readyMs > nowMs) {
    const after = task.lastError === null ? '' : ` The last attempt ended with: ${quoted(task.lastError)}`;
    return {
      reason: 'backoff',
      kind: 'backoff',
      message: `It is retried in ${durationText(readyMs - nowMs)}, after a backoff.${after}`,
      untilMs: readyMs,
    };
  }
  const { assignTo } = task.requirement;
  const allowed = assignTo === null ? agents : agents.filter((load) => load.agent.id === assignTo);
  if (allowed.length === 0) {
    const about = { reason: 'agent_unknown', agentCount: agents.length } as const;
    if (assignTo === null) return { ...about, kind: 'no_agent', message: 'No agent is known to this hub yet.' };
    return { ...about, kind: 'assignee_unknown', message: `It may run only on agent ${assignTo}, which this hub does not know.` };
  }
  const able = allowed.filter((load) => canRun(task.requirement, load.agent));
  if (able.length === 0) return lackingCapabilities(task, allowed);
  const willing = able.filter((load) => mayTake(task, load.agent));
  if (willing.length === 0) return rejectedByAll(able, task, nowMs);
  return blockedByAgents(willing, task, view);
}

function rejectedByAll(able: readonly AgentLoad[], { rejectedBy, lastError, expiresAtMs }: Task, nowMs: number): WaitingFor {
  const who = able.length === 1 ? 'The only agent that could run it' : `Each of the ${able.length} agents that could run it`;
  const last = lastError === null ? '' : ` It was ${quoted(lastError)}`;
  const until =
    expiresAtMs === null ? '' : ` Unless another agent takes it, it is dead-lettered in ${durationText(Math.max(0, expiresAtMs - nowMs))}.`;
  return {
    reason: 'rejected',
    kind: 'rejected',
    message: `${who} has rejected it by its policy (${listText(rejectedBy)}).${last}${last === '' || /[.!?…]$/.test(last) ? '' : '.'}${until}`,
    ...(expiresAtMs === null ? {} : { untilMs: expiresAtMs }),
    agentCount: able.length,
  };
}

function lackingCapabilities({ requirement }: Task, allowed: readonly AgentLoad[]): WaitingFor {
  const { capabilities: needed, assignTo } = requirement;
  const quotedList = (capabilities: readonly string[]): string => listText(capabilities.map((capability) => JSON.stringify(capability)));
  const unknown = needed.filter((capability) => !allowed.some((load) => load.agent.capabilities.includes(capability)));
  const lacking = unknown.length > 0 ? unknown : needed;
  const about = { reason: 'capabilities', capabilities: lacking } as const;
  if (assignTo !== null) {
    const message = `It may run only on agent ${assignTo}, which lacks ${quotedList(lacking)}.`;
    return { ...about, kind: 'assignee_lacks_capability', message };
  }
  const nearest = nearestOf(needed, allowed);
  const near =
    nearest === undefined || nearest.lacks.length === needed.length
      ? ''
      : ` The nearest agent, ${nearest.agentId}, lacks only ${quotedList(nearest.lacks)}.`;
  const words = quotedList(lacking);
  const among = allowed.length === 1 ? 'the only agent lacks it' : `all ${allowed.length} agents lack it`;
  return {
    ...about,
    kind: unknown.length > 0 ? 'capability_missing' : 'capabilities_apart',
    message: `${unknown.length === 0 ? `No single agent has all of ${words}.` : unknown.length === 1 ? `No agent has ${words}: ${among}.` : `No agent has ${words}.`}${near}`,
    agentCount: allowed.length,
    ...(near === '' || nearest === undefined ? {} : { nearest: { ...nearest, lacks: nearest.lacks.slice(0, NAMED_MAX) } }),
  };
}

function nearestOf(needed: readonly string[], agents: readonly AgentLoad[]): WaitingFor['nearest'] {
  let nearest: WaitingFor['nearest'];
  for (const { agent } of agents) {
    const lacks = needed.filter((capability) => !agent.capabilities.includes(capability));
    if (nearest === undefined || lacks.length < nearest.lacks.length) nearest = { agentId: agent.id, lacks };
  }
  return nearest;
}

function blockedByAgents(able: readonly AgentLoad[], { requirement }: Task, { nowMs, ahead }: WaitingView): WaitingFor {
  const blocked: BlockedAgent[] = [];
  for (const load of able) {
    const one = blockedAgent(load, nowMs);
    if (one === null) {
      return {
        reason: 'about_to_be_assigned',
        kind: 'ready',
        message: `Agent ${load.agent.id} can run it and has a free slot: it is about to be assigned.`,
      };
    }
    blocked.push(one);
  }
  blocked.sort((a, b) => BLOCKER_ORDER.indexOf(a.blocker) - BLOCKER_ORDER.indexOf(b.blocker));
  const blockers = new Set(blocked.map(({ blocker }) => blocker));
  const kinds = new Set(blocked.map(({ kind }) => kind));
  const [blocker] = blockers;
  const [kind] = kinds;
  const ends = blocked.flatMap(({ untilMs }) => untilMs ?? []);
  const clauses = listText(blocked.map((agent) => `${agent.agentId} ${agent.message}`));
  const who =
    requirement.assignTo !== null
      ? `Only ${requirement.assignTo} may run it, and `
      : able.length === 1
        ? 'Only one agent can run it: '
        : `${able.length} agents can run it; none is free: `;
  return {
    reason: blockers.size === 1 && blocker !== undefined ? `agent_${blocker}` : 'agents_unavailable',
    kind: kinds.size === 1 && kind !== undefined ? (kind satisfies AgentKind) : 'agents_unavailable',
    message: `${who}${clauses}.${aheadText(ahead)}`,
    ...(ends.length === 0 ? {} : { untilMs: Math.min(...ends) }),
    agents: blocked.slice(0, NAMED_MAX),
    agentCount: able.length,
    ...(ahead === undefined ? {} : { ahead }),
  };
}

function aheadText(ahead: TasksAhead | undefined): string {
  if (ahead === undefined || ahead.higher === 0) return '';
  return ` Tasks of higher priority go first; ${ahead.higher} ${ahead.higher === 1 ? 'is' : 'are'} queued.`;
}
