/**
 * Removes ended tasks, tombstones, keys and agents past their retention: after each sweep, and again as long as batches are full. Each
 * removal is a batch of its own, between the batches of commands, so that no command waits for more than one of them. Nothing is
 * removed in a quiet period, nor while the store's clock is in doubt.
 */
import { AGENT_EVENTS_KEPT } from '../../../domain/agent/agent-events.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { EndedPlace } from '../../../domain/task/removal.ts';
import type { Log } from '../../../ports/log.ts';
import type { StoreUnit } from '../../../ports/task-store.ts';
import { hasDuty } from '../batch/duty.ts';
import type { HubContext } from '../batch/hub-context.ts';

/** Ended tasks that one batch examines; those that others still depend on are skipped. */
const EXAMINED_PER_BATCH = 100;
/** Batches in a row that may remove nothing before the rest is left to the next sweep. */
const FRUITLESS_MAX = 100;
/** Rows of each kind that one batch removes: commands that arrive meanwhile wait for all of them, and for the archive to be synced. */
const REMOVED_PER_BATCH = 50;
/** A removal in progress is logged once for this many removed tasks. */
const TASKS_PER_LOG_LINE = 10_000;
/** The least age of a task that is removed because too many have ended: a client that waits for its result still gets it. */
const ENDED_KEPT_MS_MIN = 300_000;

/** Agents that are examined after the last batch of a sweep; each sweep continues where the last one ended, so that all have their turn. */
const AGENTS_EXAMINED_PER_BATCH = 200;

/** How far this hub has come through the ended tasks and the agents. Starts over at the end, and after a restart. */
export interface RemovalPlace {
  readonly after: EndedPlace | null;
  readonly agentsAfter: AgentId | null;
  /** Batches in a row that removed nothing. */
  readonly fruitless: number;
  /** What was removed, but is not in the log yet. */
  readonly unlogged: Readonly<Record<Kind, number>>;
}
type Kind = 'tasks' | 'tombstones' | 'keys' | 'secrets' | 'agents';
const NOTHING: RemovalPlace['unlogged'] = { tasks: 0, tombstones: 0, keys: 0, secrets: 0, agents: 0 };
export const FROM_THE_OLDEST: RemovalPlace = { after: null, agentsAfter: null, fruitless: 0, unlogged: NOTHING };

/** What one batch removed, and where the next one continues once this one is committed. */
export interface Removal {
  readonly place: RemovalPlace;
  /** Another batch should follow at once. */
  readonly more: boolean;
}

/** Only one hub at a time removes. Changes nothing in memory: the batch may be retried. */
export async function removeOld(
  unit: StoreUnit,
  { timing, limits, quietPeriod, archive }: HubContext,
  place: RemovalPlace,
): Promise<Removal> {
  const { nowMs, removableMs } = unit;
  if (removableMs === null || quietPeriod.suspendsRemovals(nowMs)) return { place, more: false };
  if (!(await hasDuty(unit, 'removal'))) return { place, more: false };
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
  const fruitless = counts.tasks > 0 || next === null ? 0 : place.fruitless + 1;
  const isFull = Math.max(counts.tombstones, counts.keys, counts.secrets) === REMOVED_PER_BATCH;
  if (isFull || (next !== null && fruitless < FRUITLESS_MAX))
    return { place: { ...place, after: next, fruitless, unlogged: sumOf(place.unlogged, { ...counts, agents: 0 }) }, more: true };
  const examined = await unit.removeAgents({
    beforeMs: removableMs - timing.agentKeptMs,
    after: place.agentsAfter,
    lookedMax: AGENTS_EXAMINED_PER_BATCH,
    eventsKept: AGENT_EVENTS_KEPT,
  });
  const unlogged = sumOf(place.unlogged, { ...counts, agents: examined.agents.length });
  return { place: { after: next, agentsAfter: examined.next, fruitless: 0, unlogged }, more: false };
}

/** Logs what committed batches removed: after the last of them, and now and then before. Returns the place without what it logged. */
export function logRemoved({ place, more }: Removal, log: Log): RemovalPlace {
  const { unlogged } = place;
  const isDue = Object.values(unlogged).some((count) => count > 0) && (!more || unlogged.tasks >= TASKS_PER_LOG_LINE);
  if (!isDue) return place;
  log.info('removed data that was past its retention', unlogged);
  return { ...place, unlogged: NOTHING };
}

const sumOf = (one: RemovalPlace['unlogged'], other: RemovalPlace['unlogged']): RemovalPlace['unlogged'] => ({
  tasks: one.tasks + other.tasks,
  tombstones: one.tombstones + other.tombstones,
  keys: one.keys + other.keys,
  secrets: one.secrets + other.secrets,
  agents: one.agents + other.agents,
});
