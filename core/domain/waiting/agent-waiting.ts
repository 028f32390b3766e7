/**
 * Explains why an agent gets no tasks. Pure, and built on the predicates that the dispatcher uses (`mayWork`, `roomOf`): an agent is free
 * here exactly if a task may be assigned to it.
 */
import { isBusy, pauseOf, type Agent } from '../agent/agent.ts';
import { mayWork, roomOf } from '../agent/breaker.ts';
import type { AgentId, TaskId } from '../ids.ts';
import type { Task } from '../task/task.ts';
import { durationText, listText } from './words.ts';

/** Why an agent gets no tasks now. */
export type Blocker = 'offline' | 'draining' | 'paused' | 'busy';

/** The same in more detail. */
export const AGENT_KINDS = [
  'never_connected',
  'offline',
  'token_revoked',
  'token_expired',
  /** An operator drains it. */
  'draining',
  /** It drains itself. */
  'draining_itself',
  /** A check of its program fails. */
  'checks_failed',
  /** It reported that it can run nothing. */
  'paused',
  /** Too many tasks in a row ended through its fault: the circuit breaker. */
  'broken',
  /** It rejected a task, or has yet to report what it holds. */
  'busy',
  /** Its slots are taken. */
  'slots_taken',
] as const;
export type AgentKind = (typeof AGENT_KINDS)[number];

/** Why an agent has no valid token: all are revoked, or those that are not have expired. */
export type LockedOut = 'revoked' | 'expired';

/** An agent with its load: live assignments and unconfirmed stops. */
export interface AgentLoad {
  readonly agent: Agent;
  readonly liveCount: number;
  readonly stopCount: number;
  /** The live assignments, to name them. */
  readonly live?: readonly Pick<Task, 'id' | 'assignedAtMs'>[] | undefined;
  /** Set if it has no valid token; only looked up for offline agents. */
  readonly lockedOut?: LockedOut | undefined;
}

export interface BlockedAgent {
  readonly agentId: AgentId;
  readonly blocker: Blocker;
  readonly kind: AgentKind;
  /** Continues a sentence that begins with the agent. */
  readonly message: string;
  /** Since when, and when it ends by itself, if known. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** What it works on, at most `TASKS_NAMED_MAX`. */
  readonly tasks?: readonly TaskId[] | undefined;
}

/** What `GET /api/agents/:id` shows: why it gets no tasks, or `free`. */
export interface AgentWaiting extends Omit<BlockedAgent, 'agentId' | 'blocker' | 'kind'> {
  readonly kind: AgentKind | 'free';
}

/** Tasks of a busy agent that an explanation names. */
const TASKS_NAMED_MAX = 3;

export function explainAgent(load: AgentLoad, nowMs: number): AgentWaiting {
  const blocked = blockedAgent(load, nowMs);
  if (blocked === null) {
    const free = roomOf(load.agent) - load.liveCount - load.stopCount;
    return { kind: 'free', message: `has ${free} free ${free === 1 ? 'slot' : 'slots'} and gets the next task that it can run` };
  }
  const { agentId: _id, blocker: _blocker, ...waiting } = blocked;
  return waiting;
}

/** Why this agent gets no tasks; null if it has a free slot. */
export function blockedAgent(load: AgentLoad, nowMs: number): BlockedAgent | null {
  const { agent, liveCount, stopCount } = load;
  if (mayWork(agent, nowMs) && liveCount + stopCount < roomOf(agent)) return null;
  const because = (blocker: Blocker, kind: AgentKind, message: string, more: Partial<BlockedAgent> = {}): BlockedAgent => ({
    agentId: agent.id,
    blocker,
    kind,
    message,
    ...more,
  });
  if (!agent.connected) return offline(load, nowMs, because);
  if (agent.draining) return because('draining', 'draining', 'is draining and accepts no new tasks', until(agent.drainUntilMs, nowMs));
  if (agent.ownDrain !== null) return because('draining', 'draining_itself', `accepts no new tasks (${agent.ownDrain})`);
  const pause = pauseOf(agent, nowMs);
  if (pause !== null) {
    const why = pause.reason === null ? '' : ` (${pause.reason})`;
    if (pause.untilMs === null)
      return because('paused', 'checks_failed', `is paused until its checks pass${why}`, since(agent.checks?.atMs ?? null));
    const kind = pause.cause === 'breaker' ? 'broken' : 'paused';
    return because('paused', kind, `is paused for ${durationText(pause.untilMs - nowMs)}${why}`, until(pause.untilMs, nowMs));
  }
  if (agent.busyUntilMs !== null && isBusy(agent, nowMs)) {
    const message = `counts as busy for ${durationText(agent.busyUntilMs - nowMs)} (${agent.busyReason ?? 'no reason given'})`;
    return because('busy', 'busy', message, until(agent.busyUntilMs, nowMs));
  }
  const stops = stopCount === 0 ? '' : ` and waits for ${stopCount} to stop`;
  const probe = roomOf(agent) < agent.slots ? '; after a pause it gets one task at a time until one succeeds' : '';
  return because('busy', 'slots_taken', `has ${liveCount} of ${agent.slots} slots in use${workText(load, nowMs)}${stops}${probe}`, {
    ...since(Math.min(...(load.live ?? []).flatMap(({ assignedAtMs }) => assignedAtMs ?? []))),
    ...(load.live === undefined || load.live.length === 0 ? {} : { tasks: load.live.slice(0, TASKS_NAMED_MAX).map(({ id }) => id) }),
  });
}

type Because = (blocker: Blocker, kind: AgentKind, message: string, more?: Partial<BlockedAgent>) => BlockedAgent;

function offline({ agent, lockedOut }: AgentLoad, nowMs: number, because: Because): BlockedAgent {
  const sinceMs = since(agent.disconnectedAtMs);
  if (lockedOut === 'revoked') return because('offline', 'token_revoked', 'cannot connect because its token is revoked', sinceMs);
  if (lockedOut === 'expired') return because('offline', 'token_expired', 'cannot connect because its token has expired', sinceMs);
  if (agent.disconnectedAtMs === null) return because('offline', 'never_connected', 'has never connected');
  return because('offline', 'offline', `has been offline for ${durationText(Math.max(0, nowMs - agent.disconnectedAtMs))}`, sinceMs);
}

/** ` (task-… for 5 min)` */
function workText({ live = [] }: AgentLoad, nowMs: number): string {
  const named = live.slice(0, TASKS_NAMED_MAX).map(({ id, assignedAtMs }) => {
    return assignedAtMs === null ? id : `${id} for ${durationText(Math.max(0, nowMs - assignedAtMs))}`;
  });
  if (live.length > named.length) named.push(`${live.length - named.length} more`);
  return named.length === 0 ? '' : ` (${listText(named)})`;
}

const since = (sinceMs: number | null): Pick<BlockedAgent, 'sinceMs'> => (sinceMs === null || !Number.isFinite(sinceMs) ? {} : { sinceMs });
const until = (untilMs: number | null, nowMs: number): Pick<BlockedAgent, 'untilMs'> =>
  untilMs === null || untilMs <= nowMs ? {} : { untilMs };
