/**
 * Converts between domain values and rows, the same for every database.
 *
 * The state of a task, agent or stop is one JSON text, so that a new field needs no new column; the other columns are for the indexes,
 * written by the same statement from the same value. Nothing is ever searched inside the JSON. A task's state omits the fields that its row
 * has as columns (`taskRead`); states of older versions include them.
 */
import type { Agent, PendingStop } from '../../../core/domain/agent/agent.ts';
import { readyAtMs } from '../../../core/domain/task/claimable.ts';
import { GENERATION_ZERO, type AgentId, type Generation, type TaskId } from '../../../core/domain/ids.ts';
import { NO_KEPT_RESULTS, type KeptResult } from '../../../core/domain/task/kept-results.ts';
import type { Tombstone } from '../../../core/domain/task/tombstone.ts';
import {
  isEnded,
  NO_TERMS,
  PRIORITIES,
  requirementKey,
  requirementOf,
  waitingRequirement,
  type Priority,
  type Requirement,
  type Status,
  type Task,
  type TaskBody,
  type TaskRow,
} from '../../../core/domain/task/task.ts';
import { copyOf } from '../../../core/domain/transitions/change.ts';
import { NOTHING_USED } from '../../../core/domain/usage.ts';
import type { Role, TokenRecord } from '../../../core/ports/agent-store.ts';
import type { IdempotencyRecord, TaskChange } from '../../../core/ports/task-store.ts';
import { numberOrNull, type Row } from './row.ts';
import {
  agentSchema,
  capabilitiesSchema,
  damaged,
  stopSchema,
  storedCheck,
  storedJson,
  taskIdsSchema,
  taskSchema,
  tombstoneSchema,
} from './stored-schemas.ts';

/** A priority is stored as its place, in the column `lane`: 0 is urgent. */
export const priorityRank = (priority: Priority): number => PRIORITIES.indexOf(priority);

/**
 * A task with the values that most tasks have. A field with the same value is omitted from a stored state, and filled in again when it is
 * read. Never changed: stored rows depend on it.
 */
const PLAIN: Task = {
  id: '' as TaskId,
  priority: 'normal',
  // Every state has its own status: one without it is refused.
  status: '' as Status,
  generation: GENERATION_ZERO,
  generationFloor: GENERATION_ZERO,
  requirement: { capabilities: [], assignTo: null },
  assignedTo: null,
  assignedAtMs: null,
  acceptedAtMs: null,
  deadlineAtMs: null,
  hushedAtMs: null,
  runDeadlineAtMs: null,
  wokenAtMs: null,
  resent: 0,
  progressCount: 0,
  round: 1,
  retryCount: 0,
  maxRetries: 0,
  handBacks: 0,
  parked: false,
  avoid: null,
  rejectedBy: [],
  takenBack: null,
  eligibleAtMs: null,
  expiresAtMs: null,
  ...NO_TERMS,
  dependsOn: [],
  dependentsAfter: null,
  deadReason: null,
  lastError: null,
  usage: NOTHING_USED,
  session: null,
  outcomes: [],
  kept: NO_KEPT_RESULTS,
  submittedBy: '',
  createdAtMs: 0,
  updatedAtMs: 0,
  eventSeq: 0,
};

const isPlain = ({ capabilities, assignTo }: Requirement): boolean => capabilities.length === 0 && assignTo === null;

/** The fields of a task that are stored only as columns of its row. */
type InColumns = 'id' | 'assignedTo' | 'submittedBy' | 'createdAtMs';
type StoredState = { -readonly [F in Exclude<keyof Task, InColumns>]?: Task[F] };

/**
 * The task without the fields that are columns, and without values that are as in `PLAIN`. Field by field: in V8 this takes a tenth of the
 * time of a loop over the names, and writing the result as JSON takes half the time of an object with undefined fields.
 */
function withoutPlain(task: Task): StoredState {
  const { status, generation, maxRetries, updatedAtMs, eventSeq } = task;
  const state: StoredState = { status, generation, maxRetries, updatedAtMs, eventSeq };
  if (task.eligibleAtMs !== null) state.eligibleAtMs = task.eligibleAtMs;
  if (task.assignedAtMs !== null) state.assignedAtMs = task.assignedAtMs;
  if (task.acceptedAtMs !== null) state.acceptedAtMs = task.acceptedAtMs;
  if (task.deadlineAtMs !== null) state.deadlineAtMs = task.deadlineAtMs;
  if (task.outcomes.length > 0) state.outcomes = task.outcomes;
  if (task.usage !== NOTHING_USED) state.usage = task.usage;
  if (task.progressCount !== 0) state.progressCount = task.progressCount;
  addRare(state, task);
  return state;
}

/** What few tasks have. */
function addRare(state: StoredState, task: Task): void {
  if (task.priority !== PLAIN.priority) state.priority = task.priority;
  if (task.generationFloor !== GENERATION_ZERO) state.generationFloor = task.generationFloor;
  if (!isPlain(task.requirement)) state.requirement = task.requirement;
  if (task.hushedAtMs !== null) state.hushedAtMs = task.hushedAtMs;
  if (task.runDeadlineAtMs !== null) state.runDeadlineAtMs = task.runDeadlineAtMs;
  if (task.wokenAtMs !== null) state.wokenAtMs = task.wokenAtMs;
  if (task.resent !== 0) state.resent = task.resent;
  if (task.round !== PLAIN.round) state.round = task.round;
  if (task.retryCount !== 0) state.retryCount = task.retryCount;
  if (task.handBacks !== 0) state.handBacks = task.handBacks;
  if (task.parked) state.parked = true;
  if (task.avoid !== null) state.avoid = task.avoid;
  if (task.rejectedBy.length > 0) state.rejectedBy = task.rejectedBy;
  if (task.takenBack !== null) state.takenBack = task.takenBack;
  if (task.expiresAtMs !== null) state.expiresAtMs = task.expiresAtMs;
  if (task.completeByMs !== null) state.completeByMs = task.completeByMs;
  if (task.runAtMs !== null) state.runAtMs = task.runAtMs;
  if (task.ttlMs !== null) state.ttlMs = task.ttlMs;
  if (task.runMaxMs !== null) state.runMaxMs = task.runMaxMs;
  if (task.dependsOn.length > 0) state.dependsOn = task.dependsOn;
  if (task.dependentsAfter !== null) state.dependentsAfter = task.dependentsAfter;
  if (task.deadReason !== null) state.deadReason = task.deadReason;
  if (task.lastError !== null) state.lastError = task.lastError;
  if (task.session !== null) state.session = task.session;
  if (task.kept !== NO_KEPT_RESULTS) state.kept = task.kept;
}

/** What the statements for tasks take. `readyAt`: its position within its lane. */
export const taskColumns = ({ task, dueAtMs }: TaskChange) => ({
  id: task.id,
  status: task.status,
  lane: priorityRank(task.priority),
  parked: task.parked ? 1 : 0,
  requirementKey: requirementKey(waitingRequirement(task)),
  assignedTo: task.assignedTo,
  readyAt: readyAtMs(task),
  dueAt: dueAtMs,
  submittedBy: task.submittedBy,
  createdAt: task.createdAtMs,
  endedAt: isEnded(task) ? task.updatedAtMs : null,
  state: withoutPlain(task),
});

export const agentColumns = (agent: Agent) => ({ id: agent.id, connected: agent.connected ? 1 : 0, hubId: agent.hubId, state: agent });

const checkedTask = storedCheck<Task>('task', taskSchema);
const checkedAgent = storedCheck<Agent>('agent', agentSchema);
const checkedStop = storedCheck<PendingStop>('pending stop', stopSchema);
const checkedTombstone = storedCheck<Tombstone>('tombstone', tombstoneSchema);
const checkedCapabilities = storedCheck<readonly string[]>('token', capabilitiesSchema);
const checkedTaskIds = storedCheck<readonly TaskId[]>('idempotency key', taskIdsSchema);

/** From a row with the columns of `taskRead`. Throws `AC_STORE_DAMAGED`. */
export const taskIn = (row: Row): Task => {
  const state = stateOf('task', row);
  const id = row['id'];
  if (typeof state !== 'object') return checkedTask(state, id);
  const columns = { id, assignedTo: row['assigned_to'], submittedBy: row['submitted_by'], createdAtMs: Number(row['created_at']) };
  // Not a spread, which would give it another shape in V8 than a new task has.
  return checkedTask(Object.assign(copyOf(PLAIN), columns, state), id);
};

/** From a row with the `requirement_key` of waiting tasks, none of which need be readable. Throws `AC_STORE_DAMAGED`. */
export const requirementIn = (row: Row): Requirement => {
  const key = String(row['requirement_key']);
  try {
    return requirementOf(key);
  } catch (cause) {
    throw damaged('task', `with the requirement_key ${key}`, 'its requirement_key cannot be read', cause);
  }
};

/** Throws `AC_STORE_DAMAGED`. */
export const agentIn = (row: Row): Agent => {
  const state = stateOf('agent', row);
  return checkedAgent(state, row['id'] ?? idIn(state));
};

const stateOf = (table: string, row: Row, id = row['id']): unknown => storedJson(row['state'], 'its state', table, id ?? 'without a readable id'); // prettier-ignore

const idIn = (state: unknown): unknown => (state as { readonly id?: unknown } | null)?.id ?? 'without a readable id';

/** From a row with the columns of `task_bodies`, or of its task and its `body`. Throws `AC_STORE_DAMAGED`. */
export function bodyIn(row: Row): TaskBody {
  const id = row['task_id'] ?? row['id'];
  const body = storedJson(row['body'], 'its body', 'task', id) as TaskBody | null;
  if (typeof body?.description !== 'string')
    throw damaged('task', id, body === null ? 'its body is missing' : 'its body has no description');
  return body;
}

export const taskRowIn = (row: Row): TaskRow => ({ task: taskIn(row), body: bodyIn(row), result: row['result'] as string | null });

/** Throws `AC_STORE_DAMAGED`. */
export const keyIn = (row: Row): IdempotencyRecord => {
  const name = JSON.stringify([row['owner'], row['key']]);
  return {
    owner: row['owner'] as string,
    key: row['key'] as string,
    digest: row['digest'] as string,
    taskIds: checkedTaskIds(storedJson(row['task_ids'], 'its list of tasks', 'idempotency key', name), name),
    createdAtMs: Number(row['created_at']),
  };
};

export const keptColumns = (kept: KeptResult) => ({
  taskId: kept.taskId,
  generation: kept.generation,
  agentId: kept.agentId,
  kind: kept.kind,
  reason: kept.reason,
  bytes: kept.bytes,
  sha256: kept.sha256,
  keptAt: kept.atMs,
  result: kept.result,
  details: kept.details,
});

export const keptIn = (row: Row): KeptResult => ({
  taskId: row['task_id'] as TaskId,
  generation: Number(row['generation']) as Generation,
  agentId: row['agent_id'] as AgentId,
  kind: row['kind'] as KeptResult['kind'],
  reason: row['reason'] as string,
  bytes: Number(row['bytes']),
  sha256: row['sha256'] as string,
  atMs: Number(row['kept_at']),
  result: row['result'] as string,
  details: row['details'] as string | null,
});

/** From a row with the `state` and `task_id` of a tombstone. Throws `AC_STORE_DAMAGED`. */
export const tombstoneIn = (row: Row): Tombstone => checkedTombstone(stateOf('tombstone', row, row['task_id']), row['task_id']);

/** From a row with the `state` and the name of a pending stop. Throws `AC_STORE_DAMAGED`. */
export const stopIn = (row: Row): PendingStop => {
  const name = `of generation ${String(row['generation'])} of ${String(row['task_id'])} by ${String(row['agent_id'])}`;
  return checkedStop(stateOf('pending stop', row, name), name);
};

/** Throws `AC_STORE_DAMAGED`. */
export const tokenIn = (row: Row): TokenRecord => ({
  id: row['id'] as string,
  name: row['name'] as string,
  role: row['role'] as Role,
  agentId: row['agent_id'] as AgentId | null,
  hash: row['hash'] as string,
  prefix: row['prefix'] as string,
  capabilities: row['capabilities'] === null ? null : capabilitiesIn(row),
  maxSlots: numberOrNull(row['max_slots']),
  createdAtMs: Number(row['created_at']),
  revokedAtMs: numberOrNull(row['revoked_at']),
  expiresAtMs: numberOrNull(row['expires_at']),
  lastUsedAtMs: numberOrNull(row['last_used_at']),
  replacedBy: row['replaced_by'] as string | null,
  submitsAs: row['submits_as'] as string | null,
});

const capabilitiesIn = ({ id, capabilities }: Row): readonly string[] =>
  checkedCapabilities(storedJson(capabilities, 'its list of capabilities', 'token', id), id);

/** The values of each key, in the order given. */
export function groupedBy<K, V>(values: readonly V[], keyOf: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
