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
const EXAMINED_PER_BATCH = 2_000;
/** Batches in a row that may remove nothing before the rest is left to the next sweep. */
const FRUITLESS_MAX = 5;
/** Rows of each kind that one batch removes. */
const REMOVED_PER_BATCH = 500;
/** The same where tasks are archived: other commands wait until they are on disk. */
const ARCHIVED_PER_BATCH = 100;
/** However many have ended: whoever waits for a result gets it. */
const ENDED_KEPT_MS_MIN = 300_000;

/** Agents that one batch examines; each sweep continues where the last one ended, so that all have their turn. */
const AGENTS_EXAMINED_PER_BATCH = 200;

/** How far this hub has come through the ended tasks and the agents. Starts over at the end, and after a restart. */
export interface RemovalPlace {
  after: EndedPlace | null;
  agentsAfter: AgentId | null;
  /** Batches in a row that removed nothing. */
  fruitless: number;
}
export const removalFromTheOldest = (): RemovalPlace => ({ after: null, agentsAfter: null, fruitless: 0 });

/** Returns whether another batch should follow at once. One hub at a time does it. */
export async function removeOld(
  unit: StoreUnit,
  { timing, limits, log, quietPeriod, archive }: HubContext,
  place: RemovalPlace,
): Promise<boolean> {
  const { nowMs, removableMs } = unit;
  if (removableMs === null || quietPeriod.suspendsRemovals(nowMs)) return false;
  if (!(await hasDuty(unit, 'removal'))) return false;
  const limit = archive === null ? REMOVED_PER_BATCH : ARCHIVED_PER_BATCH;
  const removed = await unit.remove({
    nowMs,
    endedBeforeMs: removableMs - timing.endedKeptMs,
    deadBeforeMs: removableMs - timing.deadLetterKeptMs,
    surplus: limits.endedTasks === 0 ? undefined : { max: limits.endedTasks, beforeMs: removableMs - ENDED_KEPT_MS_MIN },
    tombstonesBeforeMs: removableMs - timing.tombstoneMs,
    // Counted from the submit: whatever a key names is kept, or has a tombstone, for longer.
    keysBeforeMs: removableMs - timing.tombstoneMs,
    limit,
    after: place.after,
    lookedMax: EXAMINED_PER_BATCH,
    archive: archive === null ? undefined : (tasks) => archive.append(tasks, nowMs),
  });
  const { agents, next: nextAgent } = await unit.removeAgents({
    beforeMs: removableMs - timing.agentKeptMs,
    after: place.agentsAfter,
    lookedMax: AGENTS_EXAMINED_PER_BATCH,
    eventsKept: AGENT_EVENTS_KEPT,
  });
  const { tasks, tombstones, keys, secrets, next } = removed;
  if (tasks + tombstones + keys + secrets + agents.length > 0)
    log.info('removed what was past its retention', { tasks, tombstones, keys, secrets, agents: agents.length });
  place.after = next;
  place.agentsAfter = nextAgent;
  place.fruitless = tasks > 0 || next === null ? 0 : place.fruitless + 1;
  if (Math.max(tombstones, keys, secrets) === limit) return true;
  if (next === null) return false;
  if (place.fruitless < FRUITLESS_MAX) return true;
  place.fruitless = 0;
  return false;
}
