/** `TaskStore` over an engine. Transactions use its statements; pages and lookups use Knex, concurrently with the writer. */
import type { Knex } from 'knex';
import type { StoreClock } from '../../core/domain/store-clock.ts';
import { PRIORITIES, STATUSES, type Priority, type Status, type Task } from '../../core/domain/task/task.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { historyPage } from '../kit/bounded-events.ts';
import type { EarlyTransaction } from '../../core/ports/timing/turns.ts';
import type { StoredEvent } from '../../core/domain/task/event.ts';
import type { TaskId } from '../../core/domain/ids.ts';
import {
  HISTORY_PAGE,
  type Changes,
  type HeldCount,
  type HistoryQuery,
  type StoreCapabilities,
  type TaskQuery,
  type TaskStore,
} from '../../core/ports/task-store.ts';
import type { OpenEngine, Row, Transaction } from './engine.ts';
import type { ReadableOf } from './rows/damaged-rows.ts';
import { taskRead } from './rows/columns.ts';
import { rowsWithinBytes } from './rows/event-pages.ts';
import { eventsIn } from './rows/event-rows.ts';
import { knexStoreUnit, type CacheHooks } from './knex-store-unit.ts';
import { AheadReader } from './cache/ahead-reader.ts';
import type { StateCache } from './cache/state-cache.ts';
import { keptIn, priorityRank, taskIn, taskRowIn } from './rows/rows.ts';

/** `clock`: the store's, once it was opened; until then the machine's is used. */
export function knexTaskStore(
  capabilities: StoreCapabilities,
  use: () => OpenEngine,
  deps: {
    readonly clock: () => StoreClock | null;
    readonly machine: Pick<Clock, 'nowMs'>;
    readonly readable: ReadableOf;
    readonly cache: StateCache;
  },
): TaskStore {
  const { clock, machine, readable, cache } = deps;
  const ahead = new AheadReader(cache, readable);
  /** The `Transaction.exclusive` under which the cache was filled. */
  let cachedUnder: object | null = null;
  const read = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work);
  const readOnce = async <T>(work: (snapshot: Knex) => Promise<T>): Promise<T> => use().read(work, true);

  return {
    capabilities,
    nowMs: () => clock()?.nowMs() ?? machine.nowMs(),
    wallMs: () => clock()?.wallMs() ?? machine.nowMs(),
    lastUsedMs: () => clock()?.lastUsedMs ?? null,

    transact: async (batchId, work, early) => {
      const saved: Changes[] = [];
      const found: (readonly Task[])[] = [];
      const counted: (readonly HeldCount[])[] = [];
      let isRepeated = false;
      const hooks: CacheHooks = {
        cache,
        onSaved: (changes) => void saved.push(changes),
        onRead: (tasks) => void found.push(tasks),
        onCounted: (counts) => void counted.push(counts),
        onRepeated: () => void (isRepeated = true),
      };
      /** Null if others may write. If they may have written since the previous transaction, the cache is cleared. */
      const hooksOf = ({ exclusive }: Transaction): CacheHooks | null => {
        if (exclusive !== cachedUnder) cache.clear();
        cachedUnder = exclusive;
        return exclusive === null ? null : hooks;
      };
      let isTaken = false;
      /** From now on the cache has the state that this transaction leaves. If it fails, the cache is cleared. */
      const take = (): void => {
        if (isTaken) return;
        isTaken = true;
        cache.takeRead(found.flat(), counted.flat());
        for (const changes of saved) cache.take(changes);
      };
      let readAhead: Transaction['readAhead'] = null;
      const hooked: EarlyTransaction | undefined = early && {
        waiting: () => early.waiting(),
        saving() {
          if (readAhead !== null) ahead.begin(readAhead);
          take();
          early.saving();
        },
      };
      try {
        const answer = await use().write(
          batchId,
          (transaction) => {
            const used = hooksOf(transaction);
            if (used !== null) {
              readAhead = transaction.readAhead;
              ahead.add(transaction.nowMs);
            }
            return work(knexStoreUnit(transaction, used, readable));
          },
          hooked,
        );
        take();
        if (isRepeated) cache.clear();
        return answer;
      } catch (thrown) {
        cache.clear();
        throw thrown;
      }
    },

    committed: async (batchId) => use().committed(batchId),

    read: (id) =>
      read(async (db) => {
        const { listTie } = use();
        const [row] = await rowsOf(db, listed(db, listTie).where('id', id), listTie);
        if (row === undefined) return undefined;
        return { ...taskRowIn(row), events: await historyOf(db, id, HISTORY_PAGE) };
      }),

    history: (id, page) => readOnce((db) => historyOf(db, id, page)),

    keptResult: ({ taskId, generation, agentId }) =>
      readOnce(async (db) => {
        const [row] = (await db('task_kept_results').where({ task_id: taskId, generation, agent_id: agentId })) as Row[];
        return row === undefined ? undefined : keptIn(row);
      }),

    list: (query) =>
      readOnce(async (db) => {
        const indexes = use();
        return readable(await rowsOf(db, pageOf(db, query, indexes), indexes.listTie, orderOf(query)), taskRowIn);
      }),

    beginningWith: (prefix, limit, after) =>
      readOnce(async (db) => {
        // Ids end in hexadecimal digits, and `g` sorts after all of them.
        const { listTie } = use();
        const begins = listed(db, listTie).where('id', after === undefined ? '>=' : '>', after ?? prefix);
        const first = begins.where('id', '<', `${prefix}g`).orderBy('id').limit(limit);
        return readable((await rowsOf(db, first, listTie)).toSorted(byId), taskRowIn);
      }),

    stats: () =>
      readOnce(async (db) => {
        const counts = (await db('task_counts').select('status', 'lane', 'tasks')) as Row[];
        const sum = (holds: (row: Row) => boolean): number => counts.filter(holds).reduce((total, row) => total + Number(row['tasks']), 0);
        const statuses = STATUSES.map((status) => [status, sum((row) => row['status'] === status)]);
        const lanes = PRIORITIES.map((lane) => [
          lane,
          sum((row) => row['status'] === 'queued' && Number(row['lane']) === priorityRank(lane)),
        ]);
        return {
          statuses: Object.fromEntries(statuses) as Record<Status, number>,
          queuedByPriority: Object.fromEntries(lanes) as Record<Priority, number>,
        };
      }),

    oldestReady: (nowMs) =>
      readOnce(async (db) => {
        const found = (await db.select('lane', 'ready_at').from(db.raw(`(${use().oldestReady}) AS oldest`))) as Row[];
        const earliest = (lane: Priority): number | null => {
          const readyAt = found.find((row) => Number(row['lane']) === priorityRank(lane))?.['ready_at'] ?? null;
          return readyAt === null || Number(readyAt) > nowMs ? null : Number(readyAt);
        };
        return Object.fromEntries(PRIORITIES.map((lane) => [lane, earliest(lane)])) as Record<Priority, number | null>;
      }),

    peek: (ids) =>
      readOnce(async (db) =>
        (
          (await db('tasks')
            .whereIn('id', [...new Set(ids)])
            .select(db.raw(taskRead()))) as Row[]
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

async function historyOf(db: Knex, id: TaskId, query: HistoryQuery): Promise<readonly StoredEvent[]> {
  const { before, after, limit, bytesMax } = query;
  const way = after === undefined ? 'desc' : 'asc';
  // Includes the row that begins below `before` and ends there or above: there is at most one, and its size does not count.
  const rows = db('task_events').where('task_id', id).orderBy('seq', way).limit(limit + 1); // prettier-ignore
  if (before !== undefined)
    rows.whereRaw('seq <= coalesce((SELECT min(seq) FROM task_events WHERE task_id = ? AND seq >= ?), ?)', [id, before, before]);
  if (after !== undefined) rows.where('seq', '>', after);
  const found = await rowsWithinBytes(db, rows, { column: 'seq', way, bytesMax, uncountedFrom: before });
  return historyPage([...found].sort(bySeq).flatMap(eventsIn), query);
}

const bySeq = (a: Row, b: Row): number => Number(a['seq']) - Number(b['seq']);
const byId = (a: Row, b: Row): number => (String(a['page_id']) < String(b['page_id']) ? -1 : 1);

type Order = 'asc' | 'desc';
const orderOf = ({ oldestFirst }: Pick<TaskQuery, 'oldestFirst'>): Order => (oldestFirst === true ? 'asc' : 'desc');
type ListIndexes = Pick<OpenEngine, 'listTie' | 'hasListOfAll'>;
type ListTie = ListIndexes['listTie'];
const byTime = (order: Order, columns: readonly [time: string, tie: string]) => columns.map((column) => ({ column, order }));
/** Tasks of a list, each by its place in the order of lists. */
const listed = (db: Knex, tie: ListTie): Knex.QueryBuilder => db('tasks').select({ tie, created_at: 'created_at' });

/**
 * The tasks of a page, each found by an index that has them in order. There are indexes by status and lane, by submitter and status, and by
 * agent, separate ones for live and for ended tasks. A filter that specifies less reads several ranges of its index, one for each status or
 * priority that it leaves open, and takes the first of all. Conditions beyond the index are checked row by row, among the rows that the
 * index finds. Assigned tasks are only in the index by agent: their range scans all of them, which are no more than agents have slots. The
 * indexes contain all that most ranges need, so that the tasks themselves are read for the page alone. Where no index has all tasks in order, a
 * list without filters leaves open both.
 */
function pageOf(db: Knex, query: TaskQuery, indexes: ListIndexes): Knex.QueryBuilder {
  const { listTie: tie } = indexes;
  const ranges = rangesOf(query, indexes);
  const page = ranges.map((range) => tasksOf(db, query, range, tie));
  const [only] = page;
  if (only !== undefined && page.length === 1) return only;
  const all = page.slice(1).reduce((union, next) => union.unionAll(db.select('*').from(next.as('part'))), db.select('*').from((only as Knex.QueryBuilder).as('part'))); // prettier-ignore
  return db
    .select('*')
    .from(all.as('parts'))
    .orderBy(byTime(orderOf(query), ['created_at', 'tie']))
    .limit(query.limit);
}

/** The values of one range for the columns of its index that precede the sort columns. */
interface IndexRange {
  readonly status?: Status | 'ended';
  readonly lane?: number;
}

function rangesOf({ status, priority, assignedTo, submittedBy }: TaskQuery, { hasListOfAll }: ListIndexes): readonly IndexRange[] {
  const statuses = status === undefined ? STATUSES : [status];
  if (assignedTo !== undefined) return [{ status: 'assigned' }, { status: 'ended' }];
  if (submittedBy !== undefined) return statuses.map((one) => ({ status: one }));
  if (hasListOfAll && status === undefined && priority === undefined) return [{}];
  const lanes = (priority === undefined ? PRIORITIES : [priority]).map(priorityRank);
  return statuses.flatMap((one): readonly IndexRange[] =>
    one === 'assigned' ? [{ status: one }] : lanes.map((lane) => ({ status: one, lane })),
  );
}

/** One range of the page: the conditions that its index finds, and further ones as expressions, so that no other index is used for them. */
function tasksOf(db: Knex, query: TaskQuery, range: IndexRange, tie: ListTie): Knex.QueryBuilder {
  const order = orderOf(query);
  const tasks = listed(db, tie).orderBy(byTime(order, ['created_at', tie]));
  if (query.assignedTo !== undefined) tasks.where('assigned_to', query.assignedTo);
  else if (query.submittedBy !== undefined) tasks.where('submitted_by', query.submittedBy);
  // The status is a literal: a partial index on some statuses is not used for a value that is passed as a parameter.
  if (range.status === 'ended') tasks.whereNotNull('ended_at');
  else if (range.status !== undefined) tasks.whereRaw(`status = '${range.status}'`);
  // SQLite uses a partial index only if the query repeats the index's condition literally.
  if (range.status !== undefined && range.status !== 'ended' && range.status !== 'assigned') tasks.whereRaw(`status <> 'assigned'`);
  if (range.lane !== undefined) tasks.where('lane', range.lane);

  if (query.assignedTo !== undefined && query.status !== undefined) tasks.whereRaw(`status || '' = ?`, [query.status]);
  if (query.assignedTo !== undefined && query.submittedBy !== undefined) tasks.whereRaw(`submitted_by || '' = ?`, [query.submittedBy]);
  if (query.priority !== undefined && range.lane === undefined) tasks.whereRaw('lane + 0 = ?', [priorityRank(query.priority)]);
  if (query.sinceMs !== undefined) tasks.where('created_at', '>=', query.sinceMs);
  if (query.after !== undefined) {
    const { createdAtMs, id } = query.after;
    const than = order === 'desc' ? '<' : '>';
    if (tie === 'id') tasks.whereRaw(`(created_at, id) ${than} (?, ?)`, [createdAtMs, id]);
    // A task that was removed since then has no row, and IDs of the same millisecond are nearly always in the order of their rows.
    else
      tasks.whereRaw(
        `created_at ${than}= ? AND (created_at ${than} ? OR coalesce(rowid ${than} (SELECT rowid FROM tasks WHERE id = ?), id ${than} ?))`,
        [createdAtMs, createdAtMs, id, id],
      );
  }
  return tasks.limit(query.limit);
}

/** These tasks, from `listed`, with their bodies and results, newest first by default. */
async function rowsOf(db: Knex, tasks: Knex.QueryBuilder, tie: ListTie, order: Order = 'desc'): Promise<readonly Row[]> {
  return (
    (await db
      .with('page', tasks)
      .from('page')
      .join('tasks as t', `t.${tie}`, 'page.tie')
      // A missing body is an error that names the task, not a task that does not exist.
      .leftJoin('task_bodies', 'task_bodies.task_id', 't.id')
      .leftJoin('task_results', 'task_results.task_id', 't.id')
      .select('t.id as page_id', db.raw(taskRead('t')), 'task_bodies.body', 'task_results.json as result')
      .orderBy(byTime(order, ['page.created_at', 'page.tie']))) as Row[]
  );
}
