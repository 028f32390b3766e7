/**
 * The rows that a statement is given: one array for each column, so that the server reads each value once, as what it is. Rows as JSON
 * cost it three times as much. `unnest` makes rows of the arrays again.
 */
import type { ClusterStatementName, StatementName } from '../statements.ts';

export type ColumnType = 'text' | 'integer' | 'bigint';
/** By column: the field of a row that it takes, and its type. */
export type Columns = Readonly<Record<string, readonly [field: string, type: ColumnType]>>;

export const TASK_COLUMNS = {
  id: ['id', 'text'],
  status: ['status', 'text'],
  lane: ['lane', 'integer'],
  parked: ['parked', 'integer'],
  requirement_key: ['requirementKey', 'text'],
  assigned_to: ['assignedTo', 'text'],
  ready_at: ['readyAt', 'bigint'],
  due_at: ['dueAt', 'bigint'],
  submitted_by: ['submittedBy', 'text'],
  created_at: ['createdAt', 'bigint'],
  ended_at: ['endedAt', 'bigint'],
  state: ['state', 'text'],
} as const satisfies Columns;
/** What a transition may change. The rest never does. */
export const CHANGING = ['status', 'parked', 'assigned_to', 'ready_at', 'due_at', 'ended_at', 'state'] as const;
const { id, status, parked, assigned_to, ready_at, due_at, ended_at, state } = TASK_COLUMNS;
export const CHANGED_COLUMNS = { id, status, parked, assigned_to, ready_at, due_at, ended_at, state } as const satisfies Columns;

export const BODY_COLUMNS = { task_id: ['taskId', 'text'], body: ['body', 'text'] } as const satisfies Columns;
export const DEPENDENCY_COLUMNS = { depends_on: ['dependsOn', 'text'], task_id: ['taskId', 'text'] } as const satisfies Columns;
export const RESULT_COLUMNS = { task_id: ['taskId', 'text'], json: ['json', 'text'] } as const satisfies Columns;
export const EVENT_NAME = { task_id: ['taskId', 'text'], seq: ['seq', 'bigint'] } as const satisfies Columns;
export const EVENT_COLUMNS = {
  ...EVENT_NAME,
  event: ['event', 'text'],
  at: ['atMs', 'bigint'],
  agent_id: ['agentId', 'text'],
  generation: ['generation', 'bigint'],
  session: ['session', 'bigint'],
  details: ['details', 'text'],
} as const satisfies Columns;
export const AGENT_COLUMNS = {
  id: ['id', 'text'],
  connected: ['connected', 'integer'],
  hub_id: ['hubId', 'text'],
  state: ['state', 'text'],
} as const satisfies Columns;
export const MAIL_COLUMNS = { id: ['id', 'text'], hub_id: ['hubId', 'text'], state: ['state', 'text'] } as const satisfies Columns;
const STOP_NAME = {
  agent_id: ['agentId', 'text'],
  task_id: ['taskId', 'text'],
  generation: ['generation', 'bigint'],
} as const satisfies Columns;
export const STOP_COLUMNS = { ...STOP_NAME, state: ['state', 'text'] } as const satisfies Columns;
export const KEPT_NAME = {
  task_id: ['taskId', 'text'],
  generation: ['generation', 'bigint'],
  agent_id: ['agentId', 'text'],
} as const satisfies Columns;
export const KEPT_COLUMNS = {
  ...KEPT_NAME,
  kind: ['kind', 'text'],
  reason: ['reason', 'text'],
  bytes: ['bytes', 'bigint'],
  sha256: ['sha256', 'text'],
  kept_at: ['keptAt', 'bigint'],
  result: ['result', 'text'],
  details: ['details', 'text'],
} as const satisfies Columns;
export const KEY_NAME = { owner: ['owner', 'text'], key: ['key', 'text'] } as const satisfies Columns;
export const KEY_COLUMNS = {
  ...KEY_NAME,
  digest: ['digest', 'text'],
  task_ids: ['taskIds', 'text'],
  created_at: ['createdAtMs', 'bigint'],
} as const satisfies Columns;
export const TOMBSTONE_COLUMNS = {
  task_id: ['id', 'text'],
  removed_at: ['removedAtMs', 'bigint'],
  state: ['state', 'text'],
} as const satisfies Columns;
export const TOKEN_COLUMNS = {
  id: ['id', 'text'],
  name: ['name', 'text'],
  role: ['role', 'text'],
  agent_id: ['agentId', 'text'],
  hash: ['hash', 'text'],
  prefix: ['prefix', 'text'],
  capabilities: ['capabilities', 'text'],
  max_slots: ['maxSlots', 'bigint'],
  created_at: ['createdAtMs', 'bigint'],
  revoked_at: ['revokedAtMs', 'bigint'],
  expires_at: ['expiresAtMs', 'bigint'],
  last_used_at: ['lastUsedAtMs', 'bigint'],
} as const satisfies Columns;
export const TOKEN_USE_COLUMNS = { id: ['id', 'text'], last_used_at: ['atMs', 'bigint'] } as const satisfies Columns;

/** What each statement is given that takes rows so; all others take one JSON text. */
export const GIVEN_COLUMNS = {
  insertTasks: TASK_COLUMNS,
  updateTasks: CHANGED_COLUMNS,
  insertBodies: BODY_COLUMNS,
  insertDependencies: DEPENDENCY_COLUMNS,
  insertEvents: EVENT_COLUMNS,
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
} as const satisfies Partial<Record<StatementName | ClusterStatementName, Columns>>;

export type GivenName = keyof typeof GIVEN_COLUMNS;

/** These keep each row as a whole, in its column `state`. */
export const KEEPS_WHOLE: ReadonlySet<string> = new Set<GivenName>(['saveStops', 'insertTombstones', 'insertMail']);

/** The rows that this statement is given, named by their fields; with `place`, from 1 on, where it is asked for. */
export const given = (statement: GivenName, place?: 'place'): string => {
  const columns = Object.values<readonly [string, ColumnType]>(GIVEN_COLUMNS[statement]);
  const arrays = columns.map(([, type], n) => `$${n + 1}::${type}[]`).join(', ');
  const names = [...columns.map(([name]) => `"${name}"`), ...(place === undefined ? [] : [place])].join(', ');
  return `unnest(${arrays})${place === undefined ? '' : ' WITH ORDINALITY'} AS given (${names})`;
};
