/**
 * How rows are given to SQLite. Those of nearly every batch are arrays, with each value at a fixed place: names in every row would be a
 * quarter of the text, which is made here and parsed there. The others are objects.
 */
import type { StatementName } from '../statements.ts';

/** What a transition may change. The rest never does, and its indexes are left alone. */
const CHANGING = {
  status: 'status',
  parked: 'parked',
  assigned_to: 'assignedTo',
  ready_at: 'readyAt',
  due_at: 'dueAt',
  ended_at: 'endedAt',
  state: 'state',
} as const;

/** Of a row that is an array: the columns in the order of their places, each with the field that is put there. */
const PLACES = {
  insertTasks: {
    id: 'id',
    ...CHANGING,
    lane: 'lane',
    requirement_key: 'requirementKey',
    submitted_by: 'submittedBy',
    created_at: 'createdAt',
  },
  updateTasks: { id: 'id', ...CHANGING },
  insertBodies: { task_id: 'taskId', body: 'body' },
  saveResults: { task_id: 'taskId', json: 'json' },
  insertKeys: { owner: 'owner', key: 'key', digest: 'digest', task_ids: 'taskIds', created_at: 'createdAtMs' },
  insertEvents: {
    task_id: 'taskId',
    seq: 'seq',
    event: 'event',
    at: 'atMs',
    agent_id: 'agentId',
    generation: 'generation',
    session: 'session',
    details: 'details',
  },
} as const satisfies Partial<Record<StatementName, Readonly<Record<string, string>>>>;

type PlacedName = keyof typeof PLACES;
type ColumnsOf<N extends PlacedName> = Readonly<Record<keyof (typeof PLACES)[N] & string, string>>;

/** What the columns take of a row of this statement: SQL's value, or JSON text for a column in `jsonColumns`. */
export const columnsOf = <N extends PlacedName>(
  statement: N,
  ...jsonColumns: readonly (keyof (typeof PLACES)[N] & string)[]
): ColumnsOf<N> => {
  const isJson: readonly string[] = jsonColumns;
  const columns = Object.keys(PLACES[statement]);
  const taken = columns.map((column, place) => [column, `value ${isJson.includes(column) ? '->' : '->>'} '$[${place}]'`]);
  return Object.fromEntries(taken) as ColumnsOf<N>;
};

const FIELDS = new Map<string, readonly string[]>(Object.entries(PLACES).map(([statement, placed]) => [statement, Object.values(placed)]));

/** The text of a statement's parameter. */
export function parameterOf(statement: StatementName, parameter: unknown): string {
  const fields = FIELDS.get(statement);
  if (fields === undefined) return JSON.stringify(parameter);
  const rows = parameter as readonly Readonly<Record<string, unknown>>[];
  return JSON.stringify(rows.map((row) => fields.map((field) => row[field])));
}
