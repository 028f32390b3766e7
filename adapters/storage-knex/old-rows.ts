/**
 * Removes what is old: tasks with what belongs to them, tombstones, keys, and agents that no sidecar can use any more. Waits for no other
 * transaction.
 */
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import { agentHistoryId } from '../../core/domain/task/event.ts';
import {
  archivePieces,
  type AgentRemoval,
  type Removal,
  type Removed,
  type RemovedAgents,
  type WholeTask,
} from '../../core/domain/task/removal.ts';
import type { Task } from '../../core/domain/task/task.ts';
import { tombstoneOf } from '../../core/domain/task/tombstone.ts';
import type { Row, Transaction } from './engine.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { eventsIn } from './rows/event-rows.ts';
import { bodyIn, groupedBy, keptIn, taskIn } from './rows/rows.ts';
import { slices } from './statements.ts';

/** More rows than a table has. */
const ALL_ROWS = Number.MAX_SAFE_INTEGER;

export async function removeOldRows(transaction: Transaction, old: Removal, readable: ReadableOf): Promise<Removed> {
  const keys = await transaction.change('removeKeys', old);
  const secrets = await transaction.change('removeSecrets', old);
  const tombstones = await transaction.change('removeTombstones', old);
  const { after, lookedMax = ALL_ROWS, surplus, endedBeforeMs, deadBeforeMs } = old;
  const [counted] = surplus === undefined ? [] : await transaction.rows('countEnded');
  let excess = surplus === undefined ? 0 : Number(counted?.['tasks']) - surplus.max;
  const which = {
    ...old,
    ...(surplus === undefined || excess <= 0 ? {} : { endedBeforeMs: Math.max(endedBeforeMs, surplus.beforeMs) }),
    afterMs: after?.endedAtMs ?? 0,
    afterId: after?.id ?? '',
    lookedMax,
  };
  const rows = await transaction.rows('removable', which);
  const isOld = ({ status, updatedAtMs }: Task): boolean => {
    if (status === 'dead_letter') return updatedAtMs <= deadBeforeMs;
    excess -= 1;
    return updatedAtMs <= endedBeforeMs || excess >= 0;
  };
  let tasks: Task[] = [];
  let place = rows.length;
  for (const [at, row] of rows.entries()) {
    if (row['state'] === null) continue;
    tasks.push(...readable([row], taskIn).filter(isOld));
    if (tasks.length < old.limit) continue;
    place = at + 1;
    break;
  }
  const last = tasks.length === old.limit || rows.length === lookedMax ? rows[place - 1] : undefined;
  if (tasks.some(({ status }) => status === 'dead_letter')) {
    // Checked again now that they are locked: a task that depends on a dead letter may have been submitted in between.
    const free = new Set((await transaction.rows('removable', which)).filter((row) => row['state'] !== null).map((row) => row['id']));
    tasks = tasks.filter(({ id }) => free.has(id));
  }
  let count = 0;
  for (const slice of slices(tasks)) {
    const removed = old.archive === undefined ? slice : await archive(transaction, slice, old.archive, readable);
    count += removed.length;
    const ids = removed.map(({ id }) => id);
    await transaction.change(
      'insertTombstones',
      removed.map((task) => tombstoneOf(task, old.nowMs)),
    );
    await transaction.change('noteRemovedEvents', ids);
    await transaction.change('removeEvents', ids);
    await transaction.change('removeTasks', ids);
  }
  const next = last === undefined ? null : { endedAtMs: Number(last['ended_at']), id: last['id'] as TaskId };
  return { tasks: count, tombstones, keys, secrets, next };
}

/**
 * In pieces, because results may be large: the size of a piece is known before it is read. Returns the archived tasks: all whose rows can be
 * read.
 */
async function archive(
  transaction: Transaction,
  tasks: readonly Task[],
  into: (tasks: readonly WholeTask[]) => Promise<void>,
  readable: ReadableOf,
): Promise<readonly Task[]> {
  const sizes = await transaction.rows(
    'sizesOfTasks',
    tasks.map(({ id }) => id),
  );
  const sizeOf = new Map(sizes.map((row) => [row['task_id'], Number(row['bytes'])]));
  const archived: Task[] = [];
  for (const piece of archivePieces(tasks, ({ id }) => sizeOf.get(id) ?? 0)) {
    const whole = await wholeTasks(transaction, piece, readable);
    if (whole.length > 0) await into(whole);
    archived.push(...whole.map(({ task }) => task));
  }
  return archived;
}

async function wholeTasks(transaction: Transaction, tasks: readonly Task[], readable: ReadableOf): Promise<readonly WholeTask[]> {
  const ids = tasks.map(({ id }) => id);
  const rowsOf = async (
    statement: 'loadBodies' | 'loadResults' | 'loadKept' | 'loadEvents',
  ): Promise<ReadonlyMap<unknown, readonly Row[]>> => groupedBy(await transaction.rows(statement, ids), (row) => row['task_id']);
  const [bodies, results, kept, events] = [
    await rowsOf('loadBodies'),
    await rowsOf('loadResults'),
    await rowsOf('loadKept'),
    await rowsOf('loadEvents'),
  ];
  return readable(tasks, (task) => ({
    task,
    body: bodyIn(bodies.get(task.id)?.[0] ?? { task_id: task.id }),
    result: (results.get(task.id)?.[0]?.['json'] ?? null) as string | null,
    events: (events.get(task.id) ?? []).flatMap(eventsIn),
    kept: (kept.get(task.id) ?? []).map(keptIn),
  }));
}

/** Removes unneeded agents, of those with an id after `after`. */
export async function removeAgents(
  transaction: Transaction,
  { beforeMs, after, lookedMax, eventsKept }: AgentRemoval,
): Promise<RemovedAgents> {
  const looked = idsIn(await transaction.rows('agentsAfter', { after: after ?? '', limit: lookedMax }));
  const agents = await removeUnused(transaction, looked, beforeMs);
  if (looked.length > 0) await transaction.change('removeAgentEvents', { historyIds: looked.map(agentHistoryId), kept: eventsKept });
  return { agents, next: looked.length === lookedMax ? (looked.at(-1) ?? null) : null };
}

/** Removes those of these agents that are not needed, and returns which it removed. */
export async function removeUnused(transaction: Transaction, ids: readonly AgentId[], beforeMs: number): Promise<readonly AgentId[]> {
  if (ids.length === 0) return [];
  const taken = idsIn(await transaction.rows('takeUnneededAgents', { ids, beforeMs }));
  if (taken.length === 0) return [];
  // Checked again now that they are locked: one may have gotten a token or a task in between.
  const unneeded = idsIn(await transaction.rows('takeUnneededAgents', { ids: taken, beforeMs }));
  if (unneeded.length === 0) return [];
  await transaction.change('removeTokensOf', unneeded);
  const removed = idsIn(await transaction.rows('removeAgents', unneeded));
  if (removed.length > 0) await transaction.change('removeAgentEvents', { historyIds: removed.map(agentHistoryId), kept: 0 });
  return removed;
}

const idsIn = (rows: readonly Row[]): readonly AgentId[] => rows.map((row) => row['id'] as AgentId);
