/** Finds old ended tasks, and removes agents that no sidecar can use any more, with their tokens. */
import type { Agent, PendingStop } from '../../core/domain/agent/agent.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import { agentHistoryId, PRESENCE_EVENT_NAMES, type StoredEvent } from '../../core/domain/task/event.ts';
import type { KeptResult } from '../../core/domain/task/kept-results.ts';
import { utf8Bytes } from '../../core/domain/encoded-text.ts';
import type { AgentRemoval, Removal, RemovedAgents, WholeTask } from '../../core/domain/task/removal.ts';
import { isEnded, type Task } from '../../core/domain/task/task.ts';
import { isOverBy, type TokenRecord } from '../../core/ports/agent-store.ts';

import { byId, type KeptTask, type MemoryDatabase } from './memory-database.ts';

interface Rows<V> {
  values(): Iterable<V>;
  delete(key: string): unknown;
}
export interface RowsOfAgents {
  readonly agents: Rows<Agent> & { get(id: AgentId): Agent | undefined };
  readonly tokens: Rows<TokenRecord>;
  readonly current: Pick<Rows<KeptTask>, 'values'>;
  readonly stops: Pick<Rows<PendingStop>, 'values'>;
}

/** Removes unneeded agents, of those with an id after `after`. `tryLock`: false if another transaction holds the row, which is then skipped. */
export function removeAgents(
  rows: RowsOfAgents,
  { beforeMs, after, lookedMax }: AgentRemoval,
  tryLock: (id: AgentId) => boolean = () => true,
): RemovedAgents & { readonly looked: readonly AgentId[] } {
  const ids = [...rows.agents.values()].sort(byId).map(({ id }) => id);
  const looked = ids.filter((id) => after === null || id > after).slice(0, lookedMax);
  const agents = looked.filter((id) => isUnused(rows, id, beforeMs) && tryLock(id));
  for (const id of agents) dropAgent(rows, id);
  const next = looked.length === lookedMax ? (looked.at(-1) ?? null) : null;
  return { agents, next, looked };
}

export function isUnused({ agents, tokens, current, stops }: RowsOfAgents, id: AgentId, beforeMs: number): boolean {
  const own = [...tokens.values()].filter(({ agentId }) => agentId === id);
  const holds = [...current.values()].some(({ task }) => task.status === 'assigned' && task.assignedTo === id);
  const isStopping = [...stops.values()].some(({ agentId }) => agentId === id);
  return agents.get(id)?.connected !== true && !holds && !isStopping && own.length > 0 && own.every((token) => isOverBy(token, beforeMs));
}

/**
 * Keeps the newest `kept` events of the agent and, of those before them, the ones that give its state; none if `kept` is 0. Always keeps
 * the newest event of the store.
 */
export function dropAgentEvents({ events, eventsOf }: Pick<MemoryDatabase, 'events' | 'eventsOf'>, id: AgentId, kept: number): void {
  const own = eventsOf.get(agentHistoryId(id)) ?? [];
  const newest = events.at(-1);
  const old = own.slice(0, Math.max(0, own.length - kept));
  const isPresence = ({ event }: StoredEvent): boolean => PRESENCE_EVENT_NAMES.includes(event);
  const state = kept === 0 ? [] : [old.findLast(isPresence), old.findLast((event) => !isPresence(event))];
  const dropped = new Set(old.filter((event) => event !== newest && !state.includes(event)));
  if (dropped.size === 0) return;
  events.splice(0, events.length, ...events.filter((event) => !dropped.has(event)));
  eventsOf.set(
    agentHistoryId(id),
    own.filter((event) => !dropped.has(event)),
  );
}

export function dropAgent({ agents, tokens }: RowsOfAgents, id: AgentId): void {
  agents.delete(id);
  for (const token of [...tokens.values()]) if (token.agentId === id) tokens.delete(token.id);
}

export const byEnd = (one: Task, other: Task): number => one.updatedAtMs - other.updatedAtMs || byId(one, other);
export const byGeneration = (one: KeptResult, other: KeptResult): number =>
  one.generation - other.generation || (one.agentId < other.agentId ? -1 : 1);

/** Returns whether a task is old enough to be removed, given all stored tasks. */
export function oldBy({ endedBeforeMs, deadBeforeMs, surplus }: Removal, all: readonly KeptTask[]): (task: Task) => boolean {
  const finished = all.map(({ task }) => task).filter(({ status }) => status === 'completed' || status === 'cancelled');
  const excess = Math.max(0, surplus === undefined ? 0 : finished.length - surplus.max);
  const first = new Set(excess === 0 ? [] : finished.sort(byEnd).slice(0, excess));
  return (task) => {
    if (!isEnded(task)) return false;
    if (first.has(task) && task.updatedAtMs <= (surplus?.beforeMs ?? 0)) return true;
    return task.updatedAtMs <= (task.status === 'dead_letter' ? deadBeforeMs : endedBeforeMs);
  };
}

export const bytesOfWhole = ({ body, result, kept }: WholeTask): number =>
  utf8Bytes(JSON.stringify(body)) + utf8Bytes(result ?? '') + kept.reduce((sum, { bytes }) => sum + bytes, 0);
