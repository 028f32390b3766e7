/** What is over for long is removed with each sweep, after the batch is saved: what came back to life in it stays. */
import type { StoreUnit } from '../../ports/task-store.ts';
import type { HubContext } from './context.ts';

/** Rows of each kind that one sweep removes, so that no sweep takes long. */
const REMOVED_PER_SWEEP = 1_000;

export async function removeOld(unit: StoreUnit, nowMs: number, { timing, log }: HubContext): Promise<void> {
  const removed = await unit.remove({
    nowMs,
    endedBeforeMs: nowMs - timing.endedKeptMs,
    deadBeforeMs: nowMs - timing.deadLetterKeptMs,
    tombstonesBeforeMs: nowMs - timing.tombstoneMs,
    // Counted from the submit: whatever a key names is kept, or has a tombstone, for longer.
    keysBeforeMs: nowMs - timing.tombstoneMs,
    limit: REMOVED_PER_SWEEP,
  });
  if (removed.tasks + removed.tombstones + removed.keys > 0) log.info('what was over for long is removed', { ...removed });
}
