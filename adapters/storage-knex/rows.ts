/**
 * Between domain values and rows, the same for every database.
 *
 * The state of a task, agent or stop is one JSON text, so that a new field needs no new column; the columns beside it are
 * copies for the indexes, written by the same statement from the same value. Nothing is ever searched inside the JSON.
 */
import type { Agent } from '../../core/domain/agent.ts';
import type { EventName, StoredEvent, TaskEvent } from '../../core/domain/event.ts';
import type { AgentId, Generation, TaskId } from '../../core/domain/ids.ts';
import type { Tombstone } from '../../core/domain/tombstone.ts';
import { isEnded, PRIORITIES, requirementKey, type Priority, type Task, type TaskBody } from '../../core/domain/task.ts';
import type { Role, TokenRecord } from '../../core/ports/agent-store.ts';
import type { IdempotencyRecord, TaskChange, TaskRow } from '../../core/ports/task-store.ts';
import type { Row } from './row.ts';

/** A lane is stored as its place: 0 is urgent. */
export const laneOf = (priority: Priority): number => PRIORITIES.indexOf(priority);

/** What the statements of tasks take. `readyAt`: its place within its lane. */
export const taskColumns = ({ task, dueAtMs }: TaskChange) => ({
  id: task.id,
  status: task.status,
  lane: laneOf(task.priority),
  parked: task.parked ? 1 : 0,
  requirementKey: requirementKey(task.requirement),
  assignedTo: task.assignedTo,
  readyAt: task.eligibleAtMs ?? task.createdAtMs,
  dueAt: dueAtMs,
  submittedBy: task.submittedBy,
  createdAt: task.createdAtMs,
  endedAt: isEnded(task) ? task.updatedAtMs : null,
  state: task,
});

export const agentColumns = (agent: Agent) => ({ id: agent.id, connected: agent.connected ? 1 : 0, hubId: agent.hubId, state: agent });

/** The value in a row's `state`. */
export const stateIn = <T>(row: Row): T => jsonIn<T>(row['state']);

export const taskIn = (row: Row): Task => stateIn<Task>(row);

export const bodyIn = (row: Row): TaskBody => jsonIn<TaskBody>(row['body']);

export const taskRowIn = (row: Row): TaskRow => ({ task: taskIn(row), body: bodyIn(row), result: row['result'] as string | null });

export const keyIn = (row: Row): IdempotencyRecord => ({
  owner: row['owner'] as string,
  key: row['key'] as string,
  digest: row['digest'] as string,
  taskIds: jsonIn<readonly TaskId[]>(row['task_ids']),
  createdAtMs: Number(row['created_at']),
});

export const eventIn = (row: Row): StoredEvent => ({
  id: Number(row['id']),
  taskId: row['task_id'] as TaskId,
  seq: Number(row['seq']),
  event: row['event'] as EventName,
  atMs: Number(row['at']),
  agentId: row['agent_id'] as AgentId | null,
  generation: numberOrNull(row['generation']) as Generation | null,
  session: numberOrNull(row['session']),
  details: row['details'] === null ? null : jsonIn<NonNullable<TaskEvent['details']>>(row['details']),
});

export const tombstoneIn = (row: Row): Tombstone => stateIn<Tombstone>(row);

export const tokenIn = (row: Row): TokenRecord => ({
  id: row['id'] as string,
  name: row['name'] as string,
  role: row['role'] as Role,
  agentId: row['agent_id'] as AgentId | null,
  hash: row['hash'] as string,
  prefix: row['prefix'] as string,
  capabilities: row['capabilities'] === null ? null : jsonIn<readonly string[]>(row['capabilities']),
  maxSlots: numberOrNull(row['max_slots']),
  createdAtMs: Number(row['created_at']),
  revokedAtMs: numberOrNull(row['revoked_at']),
});

const jsonIn = <T>(text: unknown): T => JSON.parse(text as string) as T;

const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));

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
