/**
 * A connection that replaces an open one of the same agent. A machine whose connection died unnoticed must be let in again. But two
 * processes with the same agent id (a copied data directory, or a version 1 sidecar that runs twice) would replace each other forever,
 * each time at the cost of the other's work: replacements are limited, and refused if they indicate a conflict.
 */
import type { Agent } from './agent.ts';
import type { Task } from '../task/task.ts';

/** Replacements of a live connection within the window; one more is refused. */
const REPLACEMENTS_MAX = 3;
/** A replaced sidecar waits a minute before it reconnects, so two of them replace each other once a minute. Milliseconds. */
const WINDOW_MS = 600_000;
/** The same for connections whose instance id is missing or differs, milliseconds. */
const ANONYMOUS_WINDOW_MS = 60_000;
/** How long further connections are then refused, milliseconds. */
const CONFLICT_MS = 300_000;

/** `agent`: with the counters updated. */
export type ReplacementDecision = { readonly kind: 'admitted' | 'refused'; readonly agent: Agent };

export interface IncomingSession {
  readonly instanceId: string | null;
  readonly processId: string | null;
  /** Whether the open connection has received anything within the heartbeat. */
  readonly isOpenAlive: boolean;
  /** A live task that the agent has accepted and the incoming session does not hold. */
  readonly missingTask: Task | undefined;
}

/**
 * Decides whether a connection may replace an open one. A process of the same machine holds everything that the machine has accepted,
 * because it was journaled first. One that does not is a different process, regardless of the ID that it sends, or its identify was sent
 * over an earlier connection and arrives only now: admitting it would lose the work of the open one.
 */
export function decideReplacement(agent: Agent, incoming: IncomingSession, nowMs: number): ReplacementDecision {
  const isSameMachine = incoming.instanceId !== null && agent.instanceId === incoming.instanceId;
  // The same process, even if its open connection is still alive.
  const isSameProcess = isSameMachine && incoming.processId !== null && agent.processId === incoming.processId;
  if (!agent.connected || (isSameMachine && !incoming.isOpenAlive) || (isSameProcess && incoming.missingTask === undefined))
    return { kind: 'admitted', agent };
  if (isConflict(agent, nowMs) || (isSameMachine && incoming.missingTask !== undefined)) return { kind: 'refused', agent };
  const windowMs = isSameMachine ? WINDOW_MS : ANONYMOUS_WINDOW_MS;
  const recentMs = agent.replacedAtMs.filter((atMs) => atMs > nowMs - windowMs);
  if (recentMs.length >= REPLACEMENTS_MAX) {
    return { kind: 'refused', agent: { ...agent, replacedAtMs: [], conflictUntilMs: nowMs + CONFLICT_MS } };
  }
  return { kind: 'admitted', agent: { ...agent, replacedAtMs: [...recentMs, nowMs], conflictUntilMs: null } };
}

/** Whether two machines seem to share the identity, so that its open connection may not be replaced now. */
export const isConflict = (agent: Agent, nowMs: number): boolean => agent.conflictUntilMs !== null && agent.conflictUntilMs > nowMs;
