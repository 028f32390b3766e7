/**
 * A connection that replaces an open one of the same agent. A machine whose connection died unseen comes back so, and must be
 * let in. Two processes with the same identity (a copied data directory, or a version 1 sidecar that runs twice) would go on
 * taking it from each other, and each time cost the other its work: that is bounded, and refused where it shows.
 */
import type { Agent } from './agent.ts';
import type { Task } from '../task/task.ts';

/** Replacements, within `WINDOW_MS`, of a connection that was heard within the heartbeat; one more is refused. */
const REPLACEMENTS_MAX = 3;
/** Our sidecar waits a minute after it was replaced, so that two of them take over once a minute. Milliseconds. */
const WINDOW_MS = 600_000;
/** The same for connections that name no machine, milliseconds. */
const NAMELESS_WINDOW_MS = 60_000;
/** How long every further one is refused then, milliseconds. */
const CONFLICT_MS = 300_000;

/** The agent with what the newcomer did to it. */
export type Replacing = { readonly kind: 'admitted' | 'refused'; readonly agent: Agent };

export interface Newcomer {
  readonly instanceId: string | null;
  readonly processId: string | null;
  /** Whether the open connection gave a sign of life within the heartbeat. */
  readonly isHeard: boolean;
  /** A live task that the agent has accepted and the newcomer does not hold. */
  readonly lacks: Task | undefined;
}

/**
 * Judges a connection that may replace an open one. A process of the same machine holds what that machine has accepted: the
 * journal had it first. One that does not is another process, whatever id it gives, or what a process said over an earlier
 * connection and comes only now: it would lose the work of the one that is open.
 */
export function decideReplacing(agent: Agent, newcomer: Newcomer, nowMs: number): Replacing {
  const isSameMachine = newcomer.instanceId !== null && agent.instanceId === newcomer.instanceId;
  // Nobody but the process itself: whatever became of the hub or the line of its open connection.
  const isSameProcess = isSameMachine && newcomer.processId !== null && agent.processId === newcomer.processId;
  if (!agent.connected || (isSameMachine && !newcomer.isHeard) || (isSameProcess && newcomer.lacks === undefined))
    return { kind: 'admitted', agent };
  if (isConflict(agent, nowMs) || (isSameMachine && newcomer.lacks !== undefined)) return { kind: 'refused', agent };
  const windowMs = isSameMachine ? WINDOW_MS : NAMELESS_WINDOW_MS;
  const recentMs = agent.replacedAtMs.filter((atMs) => atMs > nowMs - windowMs);
  if (recentMs.length >= REPLACEMENTS_MAX) {
    return { kind: 'refused', agent: { ...agent, replacedAtMs: [], conflictUntilMs: nowMs + CONFLICT_MS } };
  }
  return { kind: 'admitted', agent: { ...agent, replacedAtMs: [...recentMs, nowMs], conflictUntilMs: null } };
}

/** Whether two machines seem to use the identity, so that nobody may replace its open connection now. */
export const isConflict = (agent: Agent, nowMs: number): boolean => agent.conflictUntilMs !== null && agent.conflictUntilMs > nowMs;
