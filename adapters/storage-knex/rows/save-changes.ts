/** Saves the changes of a batch: statement by statement, or all at once together with the commit. */
import type { StoredEvent, TaskEvent } from '../../../core/domain/task/event.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import type { CountedPlace, Row, SavedRows, Transaction } from '../engine.ts';
import { ROWS_IN_STATEMENT, slices } from '../statements.ts';
import { isCertain } from './certain-changes.ts';
import { countEvents, eventRows, storedEvent, type EventRow } from './event-rows.ts';
import { agentColumns, keptColumns, taskColumns } from './rows.ts';
import { countsOfAny, countsOfNew, placeOf } from './task-counts.ts';

/** The last change of a task counts. */
export const rowsOf = ({
  inserted,
  updated,
  results,
  kept,
  keptDropped,
  agents,
  stopsCleared,
  stopsSet,
  keys,
  events,
}: Changes): SavedRows => ({
  // Inserting a new agent waits for a transaction that inserts it too, so they come by id, after all that was loaded.
  saveAgents: [...agents].sort((one, other) => (one.id < other.id ? -1 : 1)).map(agentColumns),
  insertTasks: inserted.map(taskColumns),
  insertBodies: inserted.map(({ task, body }) => ({ taskId: task.id, body })),
  insertDependencies: inserted.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn }))),
  updateTasks: [...new Map(updated.map((change) => [change.task.id, taskColumns(change)])).values()],
  saveResults: results,
  dropKept: keptDropped,
  saveKept: kept.map(keptColumns),
  clearStops: stopsCleared,
  saveStops: stopsSet,
  insertKeys: keys,
  insertEvents: eventRows(events),
});

/** What is being saved, and what is known about it. */
export interface Saving {
  readonly transaction: Transaction;
  readonly rows: SavedRows;
  readonly mail: Changes['mail'];
  /** Several of these may share a row. */
  readonly events: Changes['events'];
  /** A task before this save, if it is known. */
  readonly taskOf: (id: TaskId) => Task | undefined;
  readonly onRepeated: () => void;
  /** As in `Changes`. */
  readonly hasNamed: boolean;
}

const placeIn = (task: Task | undefined): CountedPlace | undefined => (task === undefined ? undefined : placeOf(task));

/**
 * Issues all statements at once, unless one would be too large. A changed task that does not exist is a mistake of the caller, and fails
 * the transaction.
 */
export async function save(
  { transaction, rows, mail, events, onRepeated, hasNamed }: Saving,
  isLast: boolean,
): Promise<readonly StoredEvent[]> {
  const { insertEvents, ...others } = rows;
  const { cluster, counting } = transaction;
  const counts = counting === null ? null : await countsOfAny(counting, rows);
  if (counts?.repeated === true) onRepeated();
  const stored: (readonly StoredEvent[])[] = [];
  let updated = 0;
  const steps: (() => Promise<unknown>)[] = [
    ...keysOf(others).flatMap((statement) =>
      [...slices<unknown>(others[statement])].map((slice) => async () => {
        const changed = await transaction.change(statement, slice);
        if (statement === 'updateTasks') updated += changed;
        if (statement === 'insertTasks' && hasNamed && changed !== slice.length) throw nameTaken();
      }),
    ),
    ...(counting === null || counts === null || counts.changes.length === 0 ? [] : [() => counting.change('saveCounts', counts.changes)]),
    ...(cluster === null ? [] : [...slices(mail)].map((slice) => () => cluster.change('insertMail', slice))),
    ...[...slices(insertEvents)].map((slice, nth, all) => async () => {
      const sliced = events.slice(countEvents(all[nth - 1] ?? []), countEvents(slice));
      stored[nth] = await saveEvents(transaction, sliced, slice);
    }),
  ];
  if (isLast && transaction.record !== undefined && steps.length > 0) steps.push(transaction.record);
  if (isSmall(rows) && mail.length <= ROWS_IN_STATEMENT) await Promise.all(steps.map((step) => step()));
  else for (const step of steps) await step();
  if (updated !== others.updateTasks.length) {
    const missing = `${others.updateTasks.length - updated} were never inserted`;
    throw new AgentcomError('AC_INTERNAL', `Cannot save ${others.updateTasks.length} changed tasks: ${missing}.`, {
      details: { taskIds: others.updateTasks.map(({ id }) => id).slice(0, 10) },
    });
  }
  return stored.flat();
}

const nameTaken = (): AgentcomError =>
  new AgentcomError(
    'AC_STORE_RETRY',
    'Cannot save a batch: an idempotency key that names one of its new tasks was used before. The next attempt looks it up first.',
  );

const isEmpty = (rows: SavedRows): boolean => keysOf(rows).every((statement) => rows[statement].length === 0);
const isSmall = (rows: SavedRows): boolean => keysOf(rows).every((statement) => rows[statement].length <= ROWS_IN_STATEMENT);

/** As `save`, and commits with the same statement if the database can and no statement would be too large. */
export async function saveLast(saving: Saving): Promise<readonly StoredEvent[]> {
  const { transaction, rows, mail, events, taskOf } = saving;
  if (isEmpty(rows) && mail.length === 0) return [];
  const { counting, saveAndCommit } = transaction;
  if (saveAndCommit === undefined || !isSmall(rows) || mail.length > 0) return save(saving, true);
  const counts = counting === null ? [] : await countsOfNew(counting, rows, (id) => placeIn(taskOf(id)));
  const last = await saveAndCommit(rows, counts, isCertain(rows, events, taskOf));
  if (last === null) return save(saving, true);
  return events.map((event, index) => storedEvent(event, last + index + 1));
}

const keysOf = <K extends string>(object: Readonly<Record<K, unknown>>): readonly K[] => Object.keys(object) as K[];

/**
 * Numbers new events, and looks up the numbers of repeated ones. A batch that is run again may divide its events into rows differently: if
 * a row exists in part, its new events are saved after the rest.
 */
async function saveEvents(
  transaction: Transaction,
  events: readonly TaskEvent[],
  rows: readonly EventRow[],
): Promise<readonly StoredEvent[]> {
  const ids = new Map<string, number>();
  const insert = async (given: readonly EventRow[]): Promise<void> => {
    const inserted = new Map((await transaction.rows('insertEvents', given)).map((row) => [nameIn(row), Number(row['id'])]));
    for (const { taskId, seq, firstSeq } of given) {
      const id = inserted.get(`${taskId} ${seq}`);
      if (id !== undefined) for (let one = firstSeq; one <= seq; one += 1) ids.set(`${taskId} ${one}`, id - (seq - one));
    }
  };
  const missing = (): readonly TaskEvent[] => events.filter(({ taskId, seq }) => !ids.has(`${taskId} ${seq}`));
  await insert(rows);
  if (ids.size < events.length) {
    const names = missing().map(({ taskId, seq }) => ({ taskId, seq }));
    for (const row of await transaction.rows('findEvents', names)) ids.set(nameIn(row), Number(row['id']));
    const left = missing();
    if (left.length > 0) await insert(eventRows(left));
  }
  return events.map((event) => {
    const id = ids.get(`${event.taskId} ${event.seq}`);
    if (id === undefined)
      throw new AgentcomError('AC_INTERNAL', `Event ${event.seq} of task ${event.taskId} was saved but cannot be found.`);
    return storedEvent(event, id);
  });
}

const nameIn = (row: Row): string => `${String(row['task_id'])} ${String(row['seq'])}`;
