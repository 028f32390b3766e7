/**
 * How rows are passed to SQLite. Those of nearly every batch are arrays, with each value at a fixed place: names in every row would be a
 * quarter of the text, which is serialized here and parsed there. The others are objects.
 */
import {
  BODY_COLUMNS,
  CHANGED_COLUMNS,
  EVENT_ROW_COLUMNS,
  KEY_COLUMNS,
  RESULT_COLUMNS,
  TASK_COLUMNS,
  type Columns,
} from '../rows/columns.ts';
import type { CountingStatementName, StatementName } from '../statements.ts';

/**
 * For a row that is an array: its columns in the order of their places. The commit log that a killed hub left has such rows, so a column is added
 * at the end only.
 */
const PLACES = {
  insertTasks: TASK_COLUMNS,
  updateTasks: CHANGED_COLUMNS,
  insertBodies: BODY_COLUMNS,
  saveResults: RESULT_COLUMNS,
  insertKeys: KEY_COLUMNS,
  insertEvents: EVENT_ROW_COLUMNS,
} as const satisfies Partial<Record<StatementName, Columns>>;

type PlacedName = keyof typeof PLACES;
type ColumnsOf<N extends PlacedName> = Readonly<Record<keyof (typeof PLACES)[N] & string, string>>;

/** The SQL for what each column takes from a row of this statement: its value, or JSON text if the row has an object or an array there. */
export const columnsOf = <N extends PlacedName>(statement: N): ColumnsOf<N> => {
  const taken = Object.keys(PLACES[statement]).map((column, place) => [column, `value ->> '$[${place}]'`]);
  return Object.fromEntries(taken) as ColumnsOf<N>;
};

const FIELDS = new Map<string, readonly string[]>(
  Object.entries<Columns>(PLACES).map(([statement, columns]) => [statement, Object.values(columns).map(([name]) => name)]),
);

/** The fields of a row of this statement, in the order of their places. */
export const fieldsOf = (statement: PlacedName): readonly string[] => FIELDS.get(statement) ?? [];

/** The text of a statement's parameter. */
export function parameterOf(statement: StatementName | CountingStatementName, parameter: unknown): string {
  const fields = FIELDS.get(statement);
  if (fields === undefined) return JSON.stringify(parameter);
  const rows = parameter as readonly Readonly<Record<string, unknown>>[];
  return JSON.stringify(rows.map((row) => fields.map((field) => row[field])));
}
