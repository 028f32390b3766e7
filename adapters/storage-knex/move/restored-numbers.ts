/** The numbers of events in a restored store: none is given twice, whatever the store that it replaces had given by then. */

/** Numbers that are skipped at least. */
const NUMBERS_SKIPPED = 1_000_000_000;
/** No hub gives more numbers in a millisecond, so that a later restore begins above all that were given since an earlier one. */
const NUMBERS_PER_MS = 1_000;

/**
 * The number that counts as the last one given. `lastId`: the highest known, of the backup and of the store that was there. Where
 * that store is gone for good, the time of the restore is what lies above all its numbers.
 */
export const lastNumberAfterRestore = (lastId: number, nowMs: number): number =>
  Math.max(lastId + NUMBERS_SKIPPED, Math.floor(nowMs) * NUMBERS_PER_MS);

/** Whoever stands below may have missed events of the store that was lost. Of an older schema the step that makes the table sees to it. */
export const noteSkipped = (lastId: number): string => `
  INSERT INTO removed_events (only_row, last_id) VALUES (1, ${lastId}) ON CONFLICT (only_row) DO UPDATE SET last_id = excluded.last_id`;
