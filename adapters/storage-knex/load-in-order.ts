/** What a unit of work loads: on a database that others write to as well, with all its locks, in one order. */
import type { PendingStop } from '../../core/domain/agent/agent.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { Task } from '../../core/domain/task/task.ts';
import type { Tombstone } from '../../core/domain/task/tombstone.ts';
import type { Holding, Loaded, LoadNames } from '../../core/ports/task-store.ts';
import type { Row, Transaction } from './engine.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { agentIn, groupedBy, keyIn, stopIn, taskIn, tombstoneIn } from './rows/rows.ts';

const NOTHING: readonly Row[] = [];

/**
 * Loads and locks keys, agents, tasks and pending stops, in this order. The statements are sent together, and each sees what was committed
 * while those before it waited: the tasks that an agent holds are searched once the agent is locked, and its stops once the tasks are,
 * since an assignment that ended meanwhile has left one.
 */
export async function loadInOrder(transaction: Transaction, names: LoadNames, readable: ReadableOf): Promise<Loaded> {
  const { tasks = [], agents = [], keys = [], holders = [], completing = [], retried = [] } = names;
  const allAgents = [...new Set([...agents, ...holders])];
  const namesTasksOnly = holders.length + completing.length + retried.length === 0;
  const ask = (isWanted: boolean, statement: Parameters<Transaction['rows']>[0], parameter: unknown): Promise<readonly Row[]> =>
    isWanted ? transaction.rows(statement, parameter) : Promise.resolve(NOTHING);
  const [keyRows, agentRows, taskRows, stopRows] = await Promise.all([
    ask(keys.length > 0, 'loadKeys', keys),
    ask(allAgents.length > 0, 'loadAgents', allAgents),
    namesTasksOnly ? ask(tasks.length > 0, 'loadTasks', tasks) : transaction.rows('loadAllTasks', { tasks, holders, completing, retried }),
    ask(holders.length > 0, 'pendingStops', holders),
  ]);
  const found = readNamed(taskRows, tasks, taskIn, readable);
  const holding = new Set(holders);
  const live = found.filter((task) => task.status === 'assigned' && task.assignedTo !== null && holding.has(task.assignedTo));
  return {
    tasks: found,
    tombstones: await tombstonesOf(transaction, tasks, found),
    agents: readNamed(agentRows, agents, agentIn, readable),
    keys: keyRows.map(keyIn),
    holdings: holdingsOf(holders, live, readable(stopRows, stopIn)),
  };
}

/** Rows that are requested by name must be readable; rows found along with them are omitted if they are not. */
function readNamed<T>(rows: readonly Row[], names: readonly string[], read: (row: Row) => T, readable: ReadableOf): readonly T[] {
  const named = new Set(names);
  return rows.flatMap((row) => (named.has(row['id'] as string) ? [read(row)] : readable([row], read)));
}

/** The tombstones of those of these tasks that were not found. */
export async function tombstonesOf(
  transaction: Transaction,
  ids: readonly TaskId[],
  found: readonly Task[],
): Promise<readonly Tombstone[]> {
  if (ids.length === 0) return [];
  const known = new Set(found.map(({ id }) => id));
  const unknown = ids.filter((id) => !known.has(id));
  return unknown.length === 0 ? [] : (await transaction.rows('loadTombstones', unknown)).map(tombstoneIn);
}

/** Live tasks and pending stops of these agents, as they are now. */
export async function heldBy(
  transaction: Transaction,
  agentIds: readonly AgentId[],
  readable: ReadableOf,
): Promise<readonly [readonly Task[], readonly PendingStop[]]> {
  const [live, stops] = await Promise.all([transaction.rows('liveTasks', agentIds), transaction.rows('pendingStops', agentIds)]);
  return [readable(live, taskIn), readable(stops, stopIn)];
}

export function holdingsOf(agentIds: readonly AgentId[], live: readonly Task[], stops: readonly PendingStop[]): readonly Holding[] {
  const liveOf = groupedBy(live, (task) => task.assignedTo);
  const stopsOf = groupedBy(stops, (stop) => stop.agentId);
  return [...new Set(agentIds)].map((agentId) => ({ agentId, live: liveOf.get(agentId) ?? [], stops: stopsOf.get(agentId) ?? [] }));
}
