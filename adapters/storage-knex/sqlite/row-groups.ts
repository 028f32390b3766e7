/**
 * Consecutive rows of one kind that differ only in their task form a group: what they share is written and parsed once, along with the ids
 * of their tasks. Tasks that are submitted, assigned or completed in one batch are mostly alike, since they share its time.
 *
 * A group is an array like a row (parameters.ts), with a list of ids in place of the id.
 */
import type { EventRow } from '../rows/event-rows.ts';
import { columnsOf, fieldsOf } from './parameters.ts';
import { earlierCount, isUnused } from './statements.ts';

/** The first column of each is the id. */
type GroupedKind = 'insertTasks' | 'updateTasks' | 'insertEvents';

/** If groups have fewer rows than this on average, each row is written by itself: SQLite takes longer for a group of one than for a row. */
const ROWS_IN_GROUP = 2;

const namesOf = (kind: GroupedKind): readonly string[] => Object.keys(columnsOf(kind)).slice(1);
/** The groups, each with its columns; as a table of its own, so that SQLite extracts them from the JSON once per group, not once per row. */
const groups = (kind: GroupedKind, ...more: readonly string[]): string => {
  const [[, ids] = [], ...others] = Object.entries<string>(columnsOf(kind));
  const columns = others.map(([column, taken]) => `${taken} AS ${column}`);
  return `(SELECT ${ids} AS ids, ${[...columns, ...more].join(', ')} FROM jsonb_each(?1) LIMIT -1 OFFSET 0) AS grp`;
};
const taken = (columns: readonly string[]): string => columns.map((column) => `grp.${column}`).join(', ');
const TASKS = namesOf('insertTasks');
const EVENTS = namesOf('insertEvents').filter((column) => column !== 'number');
const EVENTS_IN_ROW = `1 + ${earlierCount(columnsOf('insertEvents').earlier)} AS events`;

/** The same as the statements for rows (statements.ts). */
export const GROUP_STATEMENTS: Readonly<Record<GroupedKind, string>> = {
  insertTasks: `
    INSERT INTO tasks (id, ${TASKS.join(', ')})
    SELECT given.value, ${taken(TASKS)} FROM ${groups('insertTasks')} CROSS JOIN json_each(grp.ids) AS given
    WHERE ${isUnused('given.value', 'grp.submitted_by')}
    ON CONFLICT (id) DO NOTHING`,
  // Not with a join with the ids, for which SQLite would scan all tasks.
  updateTasks: `
    UPDATE tasks SET ${namesOf('updateTasks')
      .map((column) => `${column} = grp.${column}`)
      .join(', ')}
    FROM ${groups('updateTasks')} WHERE tasks.id IN (SELECT value FROM json_each(grp.ids))`,
  // Every row of a group has the same number of events.
  insertEvents: `
    INSERT INTO task_events (id, task_id, ${EVENTS.join(', ')})
    SELECT ?2 + grp.number + given.key * grp.events, given.value, ${taken(EVENTS)}
    FROM ${groups('insertEvents', EVENTS_IN_ROW)} CROSS JOIN json_each(grp.ids) AS given WHERE true
    ON CONFLICT (task_id, seq) DO NOTHING`,
};

type Fields = Readonly<Record<string, unknown>>;
/** The number of a row follows from that of its group. */
const PLACE: keyof EventRow = 'number';

/** Maximum number of groups that this many rows may have: with more, they are better written as rows. */
export const groupsMax = (rows: number): number => Math.floor(rows / ROWS_IN_GROUP);

/** The rows as groups; null if there are more than `max`. */
export function groupsOf(kind: GroupedKind, rows: readonly object[], max: number): readonly (readonly unknown[])[] | null {
  const [id = '', ...others] = fieldsOf(kind);
  const found: (readonly unknown[])[] = [];
  let first: Fields | null = null;
  let ids: unknown[] = [];
  for (const row of rows as readonly Fields[]) {
    if (first === null || !isAlike(first, row, others)) {
      if (found.length >= max) return null;
      first = row;
      ids = [];
      found.push([ids, ...others.map((field) => row[field])]);
    }
    ids.push(row[id]);
  }
  return found;
}

function isAlike(one: Fields, other: Fields, fields: readonly string[]): boolean {
  for (const field of fields) if (field !== PLACE && !isSame(one[field], other[field])) return false;
  return true;
}

/** Whether both are the same as JSON. Objects with undefined fields may count as different. */
function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) || Array.isArray(other)) return Array.isArray(one) && Array.isArray(other) && isSameList(one, other);
  let names = 0;
  for (const name in one) {
    const value = (one as Fields)[name];
    if (value === undefined || !isSame(value, (other as Fields)[name])) return false;
    names += 1;
  }
  for (const _ in other) names -= 1;
  return names === 0;
}

function isSameList(one: readonly unknown[], other: readonly unknown[]): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (!isSame(one[at], other[at])) return false;
  return true;
}
