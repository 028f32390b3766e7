/**
 * Since when the longest-waiting task of each lane has been waiting: one lookup in the index for each requirement and lane, however many
 * tasks wait.
 */
import { OLDEST_REQUIREMENTS_MAX } from '../../core/ports/task-store.ts';

const WAITS = `status = 'queued' AND parked = 0`;

/** Rows: `lane`, `ready_at`, the earliest, even if it is in the future. `byIndex`: makes the database use the index of waiting tasks. */
export const oldestReadyText = (byIndex: string): string => {
  const firstKey = (condition: string): string =>
    `(SELECT requirement_key FROM tasks ${byIndex} WHERE ${WAITS} ${condition} ORDER BY requirement_key LIMIT 1)`;
  return `
    WITH RECURSIVE keys (requirement_key, place) AS (
      SELECT ${firstKey('')}, 1
      UNION ALL
      SELECT ${firstKey('AND requirement_key > keys.requirement_key')}, keys.place + 1
      FROM keys WHERE keys.requirement_key IS NOT NULL AND keys.place < ${OLDEST_REQUIREMENTS_MAX}
    ), firsts AS (
      SELECT lanes.lane, (
        SELECT min(t.ready_at) FROM tasks AS t ${byIndex}
        WHERE t.requirement_key = keys.requirement_key AND t.lane = lanes.lane AND ${WAITS}) AS ready_at
      FROM keys CROSS JOIN (SELECT 0 AS lane UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS lanes
      WHERE keys.requirement_key IS NOT NULL
    )
    SELECT lane, min(ready_at) AS ready_at FROM firsts GROUP BY lane`;
};
