/** Tasks that agents have rejected wait in queues of their own: their key includes these agents, sorted (`waitingRequirement`). */
import type { Migration } from '../rows/migration.ts';

export const rejectedApart: Migration = {
  name: '0014-rejected-apart',
  sqlite: [
    `UPDATE tasks SET requirement_key = requirement_key || (
      SELECT json_group_array(value) FROM (SELECT value FROM json_each(state, '$.rejectedBy') ORDER BY value))
    WHERE state LIKE '%"rejectedBy":["%' AND json_valid(state)`,
  ],
  postgres: [
    `UPDATE tasks SET requirement_key = requirement_key || (
      SELECT '[' || string_agg(value::text, ',' ORDER BY value::text COLLATE "C") || ']' FROM json_array_elements(state::json -> 'rejectedBy') AS value)
    WHERE state LIKE '%"rejectedBy":["%'`,
  ],
};
