/**
 * Removes what has been over for long: after each sweep, and again at once as long as there is a full portion of it. Each
 * portion is a batch of its own, in turn with the batches of commands, so that nobody waits for more than one of them. Nothing is removed in a quiet time,
 * nor while the store's clock is in doubt.
 */
import type { AgentId } from '../../../domain/ids.ts';
import type { EndedPlace, StoreUnit } from '../../../ports/task-store.ts';
import { hasDuty } from '../batch/duty.ts';
import type { HubContext } from '../batch/hub-context.ts';

/** Ended tasks that one batch looks at: those that others still depend on stay, and are stepped over. */
const LOOKED_PER_BATCH = 2_000;
/** Batches that may find nothing to remove before the rest is left to the next sweep. */
const FRUITLESS_MAX = 5;
/** Rows of each kind that one batch removes. */
const REMOVED_PER_BATCH = 500;

/** Agents that one batch looks at; each sweep looks at the next ones, so that all are looked at in time. */
const AGENTS_LOOKED_PER_BATCH = 200;

/** Where the removal of this hub is among the ended tasks, and among the agents. It begins anew once it is through, and after a restart. */
export interface RemovalPlace {
  after: EndedPlace | null;
  agentsAfter: AgentId | null;
  /** Portions in a row that found nothing. */
  fruitless: number;
}
export const removalFromTheOldest = (): RemovalPlace => ({ after: null, agentsAfter: null, fruitless: 0 });

/** Answers whether another portion is wanted at once. One hub at a time does it. */
export async function removeOld(unit: StoreUnit, { timing, log, silence }: HubContext, place: RemovalPlace): Promise<boolean> {
  const { nowMs, removableMs } = unit;
  if (removableMs === null || silence.holdsRemovals(nowMs)) return false;
  if (!(await hasDuty(unit, 'removal'))) return false;
  const removed = await unit.remove({
    nowMs,
    endedBeforeMs: removableMs - timing.endedKeptMs,
    deadBeforeMs: removableMs - timing.deadLetterKeptMs,
    tombstonesBeforeMs: removableMs - timing.tombstoneMs,
    // Counted from the submit: whatever a key names is kept, or has a tombstone, for longer.
    keysBeforeMs: removableMs - timing.tombstoneMs,
    limit: REMOVED_PER_BATCH,
    after: place.after,
    lookedMax: LOOKED_PER_BATCH,
  });
  const { agents, next: nextAgent } = await unit.removeAgents({
    beforeMs: removableMs - timing.agentKeptMs,
    after: place.agentsAfter,
    lookedMax: AGENTS_LOOKED_PER_BATCH,
  });
  const { tasks, tombstones, keys, secrets, next } = removed;
  if (tasks + tombstones + keys + secrets + agents.length > 0)
    log.info('what was over for long is removed', { tasks, tombstones, keys, secrets, agents: agents.length });
  place.after = next;
  place.agentsAfter = nextAgent;
  place.fruitless = tasks > 0 || next === null ? 0 : place.fruitless + 1;
  if (Math.max(tombstones, keys, secrets) === REMOVED_PER_BATCH) return true;
  if (next === null) return false;
  if (place.fruitless < FRUITLESS_MAX) return true;
  place.fruitless = 0;
  return false;
}
