/** `TaskStore` over an engine. Transactions go through its statements; pages and look-ups through Knex, beside the writer. */
import type { Knex } from 'knex';
import { PRIORITIES, STATUSES, type Priority, type Status, type Task } from '../../core/domain/task.ts';
import type { Changes, HeldCount, StoreCapabilities, TaskQuery, TaskStore } from '../../core/ports/task-store.ts';
import type { OpenEngine, Row } from './engine.ts';
import { knexStoreUnit, type UnitMemory } from './knex-store-unit.ts';
import { RecentStates } from './recent-states.ts';
import { eventIn, laneOf, taskIn, taskRowIn } from './rows.ts';

/** `nowMs`: the store's time, also while it is closed. */
export function knexTaskStore(capabilities: StoreCapabilities, use: () => OpenEngine, nowMs: () => number): TaskStore {
  const recent = capabilities.shared ? null : new RecentStates();
  let recentOf: OpenEngine | null = null;
  /** The engine as it is open now. While it was closed others may have written. */
  const opened = (): OpenEngine => {
    const engine = use();
    if (engine !== recentOf) recent?.clear();
    return (recentOf = engine);
  };
  const read = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work);
  const readOnce = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work, true);

  return {
    capabilities,
    nowMs,

    transact: async (batchId, work) => {
      const saved: Changes[] = [];
      const found: (readonly Task[])[] = [];
      const counted: (readonly HeldCount[])[] = [];
      const memory: UnitMemory | null =
        recent === null
          ? null
          : {
              recent,
              onSaved: (changes) => void saved.push(changes),
              onRead: (tasks) => void found.push(tasks),
              onCounted: (counts) => void counted.push(counts),
            };
      try {
        const answer = await opened().write(batchId, (transaction) => work(knexStoreUnit(transaction, memory)));
        recent?.takeRead(found.flat(), counted.flat());
        for (const changes of saved) recent?.take(changes);
        return answer;
      } catch (thrown) {
        recent?.clear();
        throw thrown;
      }
    },

    committed: async (batchId) => use().committed(batchId),

    read: (id) =>
      read(async (db) => {
        const [row] = await rowsOf(db, db('tasks').select('id', 'state', 'created_at').where('id', id));
        if (row === undefined) return undefined;
        const events = (await db('task_events').where('task_id', id).orderBy('seq')) as Row[];
        return { ...taskRowIn(row), events: events.map(eventIn) };
      }),

    list: (query) => readOnce(async (db) => (await rowsOf(db, pageOf(db, query))).map(taskRowIn)),

    stats: () =>
      readOnce(async (db) => {
        const counts = (await db('task_counts').select('status', 'lane', 'tasks')) as Row[];
        const sum = (holds: (row: Row) => boolean): number => counts.filter(holds).reduce((total, row) => total + Number(row['tasks']), 0);
        const statuses = STATUSES.map((status) => [status, sum((row) => row['status'] === status)]);
        const lanes = PRIORITIES.map((lane) => [lane, sum((row) => row['status'] === 'queued' && Number(row['lane']) === laneOf(lane))]);
        return {
          statuses: Object.fromEntries(statuses) as Record<Status, number>,
          lanes: Object.fromEntries(lanes) as Record<Priority, number>,
        };
      }),

    peek: (ids) =>
      readOnce(async (db) =>
        (
          (await db('tasks')
            .whereIn('id', [...new Set(ids)])
            .select('state')) as Row[]
        ).map(taskIn),
      ),

    nextDueAtMs: () =>
      readOnce(async (db) => {
        const [row] = (await db('tasks').whereNotNull('due_at').min('due_at as earliest')) as Row[];
        const earliest = row?.['earliest'] ?? null;
        return earliest === null ? null : Number(earliest);
      }),
  };
}

const NEWEST_FIRST = [
  { column: 'created_at', order: 'desc' },
  { column: 'id', order: 'desc' },
] as const;

/** The page's tasks, by the index of their filter and without their bodies. Those of an agent have two: while they are live, and ended. */
function pageOf(db: Knex, query: TaskQuery): Knex.QueryBuilder {
  if (query.assignedTo === undefined) return tasksOf(db, query);
  const live = tasksOf(db, query).where('status', 'assigned').as('live');
  const ended = tasksOf(db, query).whereNotNull('ended_at').as('ended');
  const both = db.select('*').from(live).unionAll(db.select('*').from(ended)).as('both');
  return db
    .select('*')
    .from(both)
    .orderBy([...NEWEST_FIRST])
    .limit(query.limit);
}

function tasksOf(db: Knex, query: TaskQuery): Knex.QueryBuilder {
  const page = db('tasks')
    .select('id', 'state', 'created_at')
    .orderBy([...NEWEST_FIRST]);
  if (query.status !== undefined) page.where('status', query.status);
  if (query.priority !== undefined) page.where('lane', laneOf(query.priority));
  if (query.assignedTo !== undefined) page.where('assigned_to', query.assignedTo);
  if (query.submittedBy !== undefined) page.where('submitted_by', query.submittedBy);
  if (query.after !== undefined) page.whereRaw('(created_at, id) < (?, ?)', [query.after.createdAtMs, query.after.id]);
  return page.limit(query.limit);
}

/** These tasks with their bodies and results, newest first. */
async function rowsOf(db: Knex, tasks: Knex.QueryBuilder): Promise<readonly Row[]> {
  return (await db
    .with('page', tasks)
    .from('page')
    .join('task_bodies', 'task_bodies.task_id', 'page.id')
    .leftJoin('task_results', 'task_results.task_id', 'page.id')
    .select('page.state', 'task_bodies.body', 'task_results.json as result')
    .orderBy([
      { column: 'page.created_at', order: 'desc' },
      { column: 'page.id', order: 'desc' },
    ])) as Row[];
}
