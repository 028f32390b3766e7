/** The columns of rows that are saved, the same for every database: which field of a row each takes, and its type if the database needs one. */

export type ColumnType = 'text' | 'integer' | 'bigint';
/** By column: the field of a row that it takes, and its type. */
export type Columns = Readonly<Record<string, readonly [field: string, type: ColumnType]>>;

/** The columns that a transition may change. The others never change, and their indexes are not touched. */
export const CHANGING_COLUMNS = {
  status: ['status', 'text'],
  parked: ['parked', 'integer'],
  assigned_to: ['assignedTo', 'text'],
  requirement_key: ['requirementKey', 'text'],
  ready_at: ['readyAt', 'bigint'],
  due_at: ['dueAt', 'bigint'],
  ended_at: ['endedAt', 'bigint'],
  state: ['state', 'text'],
} as const satisfies Columns;
export const CHANGED_COLUMNS = { id: ['id', 'text'], ...CHANGING_COLUMNS } as const satisfies Columns;
/** The columns that a task keeps as it was inserted. */
export const FIXED_COLUMNS = {
  lane: ['lane', 'integer'],
  submitted_by: ['submittedBy', 'text'],
  created_at: ['createdAt', 'bigint'],
} as const satisfies Columns;
export const TASK_COLUMNS = { ...CHANGED_COLUMNS, ...FIXED_COLUMNS } as const satisfies Columns;

const BESIDE_STATE = ['assigned_to', 'submitted_by', 'created_at'];
const qualified = (columns: readonly string[], of: string | undefined): string =>
  columns.map((column) => (of === undefined ? column : `${of}.${column}`)).join(', ');
/** The columns of a task that are read besides its id and its state. `of`: the name of the table in the query. */
export const besideState = (of?: string): string => qualified(BESIDE_STATE, of);
/** All columns that are read of a task. */
export const taskRead = (of?: string): string => qualified(['id', ...BESIDE_STATE, 'state'], of);

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
  earlier: ['earlier', 'text'],
} as const satisfies Columns;
/** The fields that are passed for a row of events: its columns, and its number (event-rows.ts). */
export const EVENT_ROW_COLUMNS = { ...EVENT_COLUMNS, number: ['number', 'bigint'] } as const satisfies Columns;
export const AGENT_COLUMNS = {
  id: ['id', 'text'],
  connected: ['connected', 'integer'],
  hub_id: ['hubId', 'text'],
  state: ['state', 'text'],
} as const satisfies Columns;
export const MAIL_COLUMNS = { id: ['id', 'text'], hub_id: ['hubId', 'text'], state: ['state', 'text'] } as const satisfies Columns;
export const STOP_NAME = {
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
  replaced_by: ['replacedBy', 'text'],
  submits_as: ['submitsAs', 'text'],
} as const satisfies Columns;
export const TOKEN_USE_COLUMNS = { id: ['id', 'text'], last_used_at: ['atMs', 'bigint'] } as const satisfies Columns;
export const AUDIT_COLUMNS = {
  seq: ['seq', 'bigint'],
  at: ['atMs', 'bigint'],
  actor_id: ['actorId', 'text'],
  actor_name: ['actorName', 'text'],
  actor_role: ['actorRole', 'text'],
  address: ['address', 'text'],
  act: ['act', 'text'],
  object: ['object', 'text'],
  outcome: ['outcome', 'text'],
  details: ['details', 'text'],
  previous: ['previous', 'text'],
  hash: ['hash', 'text'],
} as const satisfies Columns;
