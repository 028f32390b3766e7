/**
 * The rows that are passed to a statement: one array for each column, so that the server reads each value once, in its own type. Rows as
 * JSON cost it three times as much. `unnest` turns the arrays back into rows.
 */
import type { ClusterStatementName, StatementName } from '../statements.ts';
import {
  AGENT_COLUMNS,
  AUDIT_COLUMNS,
  BODY_COLUMNS,
  CHANGED_COLUMNS,
  DEPENDENCY_COLUMNS,
  EVENT_NAME,
  EVENT_ROW_COLUMNS,
  KEPT_COLUMNS,
  KEPT_NAME,
  KEY_COLUMNS,
  KEY_NAME,
  MAIL_COLUMNS,
  RESULT_COLUMNS,
  STOP_COLUMNS,
  STOP_NAME,
  TASK_COLUMNS,
  TOKEN_COLUMNS,
  TOKEN_USE_COLUMNS,
  TOMBSTONE_COLUMNS,
  type Columns,
  type ColumnType,
} from '../rows/columns.ts';

/** The columns of each statement that takes rows this way; all others take one JSON text. */
export const GIVEN_COLUMNS = {
  insertTasks: TASK_COLUMNS,
  updateTasks: CHANGED_COLUMNS,
  insertBodies: BODY_COLUMNS,
  insertDependencies: DEPENDENCY_COLUMNS,
  insertEvents: EVENT_ROW_COLUMNS,
  findEvents: EVENT_NAME,
  saveResults: RESULT_COLUMNS,
  saveKept: KEPT_COLUMNS,
  dropKept: KEPT_NAME,
  saveAgents: AGENT_COLUMNS,
  insertAgents: AGENT_COLUMNS,
  saveStops: STOP_COLUMNS,
  clearStops: STOP_NAME,
  loadKeys: KEY_NAME,
  insertKeys: KEY_COLUMNS,
  insertTombstones: TOMBSTONE_COLUMNS,
  insertTokens: TOKEN_COLUMNS,
  noteTokensUsed: TOKEN_USE_COLUMNS,
  insertMail: MAIL_COLUMNS,
  insertAudit: AUDIT_COLUMNS,
} as const satisfies Partial<Record<StatementName | ClusterStatementName, Columns>>;

export type GivenName = keyof typeof GIVEN_COLUMNS;

/** These store each row as a whole, in its column `state`. */
export const KEEPS_WHOLE: ReadonlySet<string> = new Set<GivenName>(['saveStops', 'insertTombstones', 'insertMail']);

/** The rows that are passed to this statement, their columns named after the fields; on request with `place`, from 1 on. */
export const given = (statement: GivenName, place?: 'place'): string => {
  const columns = Object.values<readonly [string, ColumnType]>(GIVEN_COLUMNS[statement]);
  const arrays = columns.map(([, type], n) => `$${n + 1}::${type}[]`).join(', ');
  const names = [...columns.map(([name]) => `"${name}"`), ...(place === undefined ? [] : [place])].join(', ');
  return `unnest(${arrays})${place === undefined ? '' : ' WITH ORDINALITY'} AS given (${names})`;
};
