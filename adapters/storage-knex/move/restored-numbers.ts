/** The numbers of events in a restored store: none is assigned twice, whatever the store that it replaces had assigned by then. */

/** How many numbers are skipped, at least. */
const NUMBERS_SKIPPED = 1_000_000_000;
/** No hub assigns more numbers in a millisecond, so that a later restore begins above all that were assigned since an earlier one. */
const NUMBERS_PER_MS = 1_000;

/**
 * The number that counts as the last one assigned. `lastId`: the highest known, of the backup and of the replaced store. If that store is
 * lost, the number made from the time of the restore is above all of its numbers.
 */
export const lastNumberAfterRestore = (lastId: number, nowMs: number): number =>
  Math.max(lastId + NUMBERS_SKIPPED, Math.floor(nowMs) * NUMBERS_PER_MS);

/** A reader below this number may have missed events of the lost store. In an older schema, the step that creates the table does this. */
export const noteSkipped = (lastId: number): string => `
  INSERT INTO removed_events (only_row, last_id) VALUES (1, ${lastId}) ON CONFLICT (only_row) DO UPDATE SET last_id = excluded.last_id`;
