/**
 * Connections that name no machine: the newest wins. Two machines with the same identity would go on taking it from each
 * other, so that is bounded.
 */
import type { Agent } from './agent.ts';

/** Replacements of an open connection within `WINDOW_MS`; one more is refused. */
const REPLACEMENTS_MAX = 3;
const WINDOW_MS = 60_000;
/** How long every further one is refused then, milliseconds. */
const CONFLICT_MS = 300_000;

/** The agent with what the newcomer did to it. */
export type Replacing = { readonly kind: 'admitted' | 'refused'; readonly agent: Agent };

/** Judges a connection that may replace an open one. Two that name the same machine are one machine come back. */
export function decideReplacing(agent: Agent, instanceId: string | null, nowMs: number): Replacing {
  const isSameMachine = instanceId !== null && agent.instanceId === instanceId;
  if (!agent.connected || isSameMachine) return { kind: 'admitted', agent };
  if (isConflict(agent, nowMs)) return { kind: 'refused', agent };
  const recentMs = agent.replacedAtMs.filter((atMs) => atMs > nowMs - WINDOW_MS);
  if (recentMs.length >= REPLACEMENTS_MAX) {
    return { kind: 'refused', agent: { ...agent, replacedAtMs: [], conflictUntilMs: nowMs + CONFLICT_MS } };
  }
  return { kind: 'admitted', agent: { ...agent, replacedAtMs: [...recentMs, nowMs], conflictUntilMs: null } };
}

/** Whether two machines seem to use the identity, so that nobody may replace its open connection now. */
export const isConflict = (agent: Agent, nowMs: number): boolean => agent.conflictUntilMs !== null && agent.conflictUntilMs > nowMs;
