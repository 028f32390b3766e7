/** `TaskStore` in memory. */
import type { TaskId } from '../../core/domain/ids.ts';
import type { StoreClock } from '../../core/domain/store-clock.ts';
import { isClaimable, readyAtMs } from '../../core/domain/task/claimable.ts';
import { PRIORITIES, STATUSES, type Priority, type Status, type Task, type TaskRow } from '../../core/domain/task/task.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { StoredEvent } from '../../core/domain/task/event.ts';
import {
  HISTORY_PAGE,
  type HistoryQuery,
  type StoreCapabilities,
  type StoreUnit,
  type TaskQuery,
  type TaskStore,
} from '../../core/ports/task-store.ts';
import { historyPage } from '../kit/bounded-events.ts';
import type { Turn } from '../../core/ports/timing/turns.ts';
import { lockedUnit } from './locked-unit.ts';
import { BATCHES_KEPT, byId, keptKeyOf, type InTurn, type KeptTask, type MemoryDatabase } from './memory-database.ts';
import { memoryStoreUnit, type MemoryStoreUnit } from './memory-store-unit.ts';

/** The state of a transaction when `onStep` is called: begun, about to commit, committed but not yet reported to the caller. */
export type TransactionStep = 'begin' | 'commit' | 'committed';

/**
 * Called and awaited at each step of each transaction. If it throws, `transact` fails with its error: at `begin` and `commit` the
 * transaction is rolled back, at `committed` it stays committed.
 */
export type OnStep = (step: TransactionStep, batchId: string) => Promise<void> | void;

export function memoryTaskStore(options: {
  readonly capabilities: StoreCapabilities;
  readonly use: () => MemoryDatabase;
  readonly onStep: OnStep;
  /** The store's clock, once it was opened. */
  readonly clock: () => StoreClock | null;
  readonly machine: Pick<Clock, 'nowMs'>;
  /** The owner of its transactions in `RowLocks`. */
  readonly owner: object;
  readonly inTurn: InTurn;
}): TaskStore {
  const { capabilities, onStep, clock, machine, owner, inTurn } = options;
  const nowMs = (): number => clock()?.nowMs() ?? machine.nowMs();
  const read = async <T>(work: (database: MemoryDatabase) => T): Promise<T> => work(options.use());

  const alone: TaskStore['transact'] = async (batchId, work, early) => {
    const database = options.use();
    const transact = async ({ isEarly, requireBefore, letNextBegin }: Turn) => {
      await onStep('begin', batchId);
      const transaction = memoryStoreUnit(database, begunAt(database, clock()), null, isEarly ? database.leaving : undefined);
      const unit: StoreUnit = {
        ...transaction.unit,
        async save(changes, isLast) {
          const stored = await transaction.unit.save(changes, isLast);
          if (isLast !== true || early === undefined) return stored;
          if (isEarly) early.waiting();
          await requireBefore();
          database.leaving = transaction.changed();
          letNextBegin();
          early.saving();
          return stored;
        },
      };
      return run(database, batchId, transaction, unit, async (using) => {
        const answer = await work(using);
        await requireBefore();
        return answer;
      });
    };
    return inTurn(database, transact, early !== undefined);
  };

  /** One transaction of this storage at a time, concurrent with those of other storages. */
  const concurrent: TaskStore['transact'] = async (batchId, work) => {
    const database = options.use();
    return inTurn(database, async () => {
      await onStep('begin', batchId);
      const locks = database.locks.begin(owner);
      const transaction = memoryStoreUnit(database, begunAt(database, clock()), locks.tryAcquire);
      const commit = (): void => {
        locks.throwIfEnded();
        transaction.commit();
        // Other transactions see it from now on, even before `transact` returns.
        locks.release();
      };
      return run(database, batchId, { ...transaction, commit }, lockedUnit(transaction.unit, locks), work).finally(() => locks.release());
    });
  };

  const run = async <T>(
    database: MemoryDatabase,
    batchId: string,
    transaction: Pick<MemoryStoreUnit, 'commit' | 'rollback'>,
    unit: StoreUnit,
    work: (unit: StoreUnit) => Promise<T>,
  ): Promise<T> => {
    let answer: T;
    try {
      answer = await work(unit);
      await onStep('commit', batchId);
      transaction.commit();
    } catch (thrown) {
      transaction.rollback();
      throw thrown;
    }
    remember(database, batchId);
    await onStep('committed', batchId);
    return answer;
  };

  return {
    capabilities,
    nowMs,
    wallMs: () => clock()?.wallMs() ?? machine.nowMs(),
    lastUsedMs: () => clock()?.lastUsedMs ?? null,

    transact: (batchId, work, early) => (capabilities.shared ? concurrent(batchId, work) : alone(batchId, work, early)),

    committed: (batchId) => read((database) => database.batches.has(batchId)),

    read: (id) =>
      read((database) => {
        const kept = database.tasks.get(id);
        return kept === undefined ? undefined : { ...rowOf(database, kept), events: historyOf(database, id, HISTORY_PAGE) };
      }),

    history: (id, page) => read((database) => historyOf(database, id, page)),

    keptResult: (key) => read((database) => database.kept.get(keptKeyOf(key))),

    list: (query) =>
      read((database) =>
        [...database.tasks.values()]
          .filter(({ task }) => matches(task, query))
          .sort((a, b) => (query.oldestFirst === true ? newestFirst(b.task, a.task) : newestFirst(a.task, b.task)))
          .slice(0, query.limit)
          .map((kept) => rowOf(database, kept)),
      ),

    beginningWith: (prefix, limit, after) =>
      read((database) =>
        [...database.tasks.values()]
          .filter(({ task }) => task.id.startsWith(prefix) && (after === undefined || task.id > after))
          .sort((a, b) => byId(a.task, b.task))
          .slice(0, limit)
          .map((kept) => rowOf(database, kept)),
      ),

    stats: () =>
      read((database) => {
        const statuses = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
        const queuedByPriority = Object.fromEntries(PRIORITIES.map((lane) => [lane, 0])) as Record<Priority, number>;
        for (const { task } of database.tasks.values()) {
          statuses[task.status] += 1;
          if (task.status === 'queued') queuedByPriority[task.priority] += 1;
        }
        return { statuses, queuedByPriority };
      }),

    oldestReady: (nowMs) =>
      read((database) => {
        const oldest = Object.fromEntries(PRIORITIES.map((lane) => [lane, null])) as Record<Priority, number | null>;
        for (const { task } of database.tasks.values())
          if (isClaimable(task, nowMs)) oldest[task.priority] = Math.min(oldest[task.priority] ?? Infinity, readyAtMs(task));
        return oldest;
      }),

    peek: (ids) => read((database) => [...new Set(ids)].flatMap((id: TaskId) => database.tasks.get(id)?.task ?? [])),

    nextDueAtMs: () =>
      read((database) => {
        let earliest: number | null = null;
        for (const { dueAtMs } of database.current.values())
          if (dueAtMs !== null && (earliest === null || dueAtMs < earliest)) earliest = dueAtMs;
        return earliest;
      }),
  };
}

/** The time at which a transaction begins. Storages that share a database use the latest of their clocks. */
function begunAt(database: MemoryDatabase, clock: StoreClock | null): Pick<StoreUnit, 'nowMs' | 'removableMs'> {
  if (clock === null) throw new AgentcomError('AC_STORE_CLOSED', 'Cannot use storage "memory": it is not open.');
  clock.atLeast(database.clock?.markMs ?? 0);
  const byMs = Math.floor(clock.confirmedStepMs);
  if (byMs > 0) {
    clock.step();
    // The clock stepped: leases keep their remaining time.
    for (const [id, lease] of database.hubs) database.hubs.set(id, { ...lease, untilMs: lease.untilMs + byMs });
  }
  database.clock = clock.state;
  return { nowMs: clock.nowMs(), removableMs: clock.removableMs() };
}

function remember(database: MemoryDatabase, batchId: string): void {
  database.batches.add(batchId);
  for (const oldest of database.batches) {
    if (database.batches.size <= BATCHES_KEPT) break;
    database.batches.delete(oldest);
  }
}

const historyOf = (database: MemoryDatabase, id: TaskId, page: HistoryQuery): readonly StoredEvent[] =>
  historyPage(database.eventsOf.get(id) ?? [], page);

const rowOf = (database: MemoryDatabase, { task, body }: KeptTask): TaskRow => ({
  task,
  body,
  result: database.results.get(task.id) ?? null,
});

const newestFirst = (a: Task, b: Task): number => b.createdAtMs - a.createdAtMs || byId(b, a);

function matches(task: Task, query: TaskQuery): boolean {
  if (query.status !== undefined && task.status !== query.status) return false;
  if (query.priority !== undefined && task.priority !== query.priority) return false;
  if (query.assignedTo !== undefined && task.assignedTo !== query.assignedTo) return false;
  if (query.submittedBy !== undefined && task.submittedBy !== query.submittedBy) return false;
  if (query.sinceMs !== undefined && task.createdAtMs < query.sinceMs) return false;
  if (query.after === undefined) return true;
  const before = task.createdAtMs - query.after.createdAtMs || (task.id < query.after.id ? -1 : task.id > query.after.id ? 1 : 0);
  return query.oldestFirst === true ? before > 0 : before < 0;
}
