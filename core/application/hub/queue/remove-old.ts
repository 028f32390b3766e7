/**
 * Removes ended tasks, tombstones, keys and agents past their retention: after each sweep, and again while a batch was full. Each
 * removal is a batch of its own, between the batches of commands, so that no command waits for more than one of them. Nothing is
 * removed in a quiet period, nor while the store's clock is in doubt.
 */
import { AGENT_EVENTS_KEPT } from '../../../domain/agent/agent-events.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { EndedPlace } from '../../../domain/task/removal.ts';
import type { StoreUnit } from '../../../ports/task-store.ts';
import { hasDuty } from '../batch/duty.ts';
import type { HubContext } from '../batch/hub-context.ts';

/** Ended tasks that one batch examines; those that others still depend on are skipped. */
const EXAMINED_PER_BATCH = 100;
/** Batches in a row that may remove nothing before the rest is left to the next sweep. */
const FRUITLESS_MAX = 100;
/** Rows of each kind that one batch removes: what comes meanwhile waits for all of them, and for the sync of the archive. */
const REMOVED_PER_BATCH = 50;
/** A sweep that goes on is logged once for so many removed tasks. */
const TASKS_PER_LOG_LINE = 10_000;
/** However many have ended: whoever waits for a result gets it. */
const ENDED_KEPT_MS_MIN = 300_000;

/** Agents that are examined after the last batch of a sweep; each sweep continues where the last one ended, so that all have their turn. */
const AGENTS_EXAMINED_PER_BATCH = 200;

/** How far this hub has come through the ended tasks and the agents. Starts over at the end, and after a restart. */
export interface RemovalPlace {
  after: EndedPlace | null;
  agentsAfter: AgentId | null;
  /** Batches in a row that removed nothing. */
  fruitless: number;
  /** Removed, but not in the log yet. */
  unlogged: Readonly<Record<Kind, number>>;
}
type Kind = 'tasks' | 'tombstones' | 'keys' | 'secrets' | 'agents';
const NOTHING: RemovalPlace['unlogged'] = { tasks: 0, tombstones: 0, keys: 0, secrets: 0, agents: 0 };
export const removalFromTheOldest = (): RemovalPlace => ({ after: null, agentsAfter: null, fruitless: 0, unlogged: NOTHING });

/** Returns whether another batch should follow at once. One hub at a time does it. */
export async function removeOld(
  unit: StoreUnit,
  { timing, limits, log, quietPeriod, archive }: HubContext,
  place: RemovalPlace,
): Promise<boolean> {
  const { nowMs, removableMs } = unit;
  if (removableMs === null || quietPeriod.suspendsRemovals(nowMs)) return false;
  if (!(await hasDuty(unit, 'removal'))) return false;
  const removed = await unit.remove({
    nowMs,
    endedBeforeMs: removableMs - timing.endedKeptMs,
    deadBeforeMs: removableMs - timing.deadLetterKeptMs,
    surplus: limits.endedTasks === 0 ? undefined : { max: limits.endedTasks, beforeMs: removableMs - ENDED_KEPT_MS_MIN },
    tombstonesBeforeMs: removableMs - timing.tombstoneMs,
    // Counted from the submit: whatever a key names is kept, or has a tombstone, for longer.
    keysBeforeMs: removableMs - timing.tombstoneMs,
    limit: REMOVED_PER_BATCH,
    after: place.after,
    lookedMax: EXAMINED_PER_BATCH,
    archive: archive === null ? undefined : (tasks) => archive.append(tasks, nowMs),
  });
  const { next, ...counts } = removed;
  place.after = next;
  place.fruitless = counts.tasks > 0 || next === null ? 0 : place.fruitless + 1;
  const isFull = Math.max(counts.tombstones, counts.keys, counts.secrets) === REMOVED_PER_BATCH;
  const hasMore = isFull || (next !== null && place.fruitless < FRUITLESS_MAX);
  let agents = 0;
  if (!hasMore) {
    place.fruitless = 0;
    const examined = await unit.removeAgents({
      beforeMs: removableMs - timing.agentKeptMs,
      after: place.agentsAfter,
      lookedMax: AGENTS_EXAMINED_PER_BATCH,
      eventsKept: AGENT_EVENTS_KEPT,
    });
    place.agentsAfter = examined.next;
    agents = examined.agents.length;
  }
  const unlogged = sumOf(place.unlogged, { ...counts, agents });
  const isLogged = Object.values(unlogged).some((count) => count > 0) && (!hasMore || unlogged.tasks >= TASKS_PER_LOG_LINE);
  if (isLogged) log.info('removed what was past its retention', unlogged);
  place.unlogged = isLogged ? NOTHING : unlogged;
  return hasMore;
}

const sumOf = (one: RemovalPlace['unlogged'], other: RemovalPlace['unlogged']): RemovalPlace['unlogged'] => ({
  tasks: one.tasks + other.tasks,
  tombstones: one.tombstones + other.tombstones,
  keys: one.keys + other.keys,
  secrets: one.secrets + other.secrets,
  agents: one.agents + other.agents,
});
