/**
 * Batches that one statement saves: each task is written only once, as it is after the last of them. Most tasks are completed a few batches
 * after they were assigned, and each of the two changes entries of several indexes.
 */
import type { TaskId } from '../../../../core/domain/ids.ts';
import type { FIXED_COLUMNS } from '../../rows/columns.ts';
import { BATCH_COLUMNS, isOneRow, withTasks, type BatchValue, type TaskRows } from '../save.ts';

export interface WaitingBatch {
  readonly tasks: TaskRows;
  readonly values: readonly BatchValue[];
}

type Row = TaskRows['updateTasks'][number];
type FixedField = (typeof FIXED_COLUMNS)[keyof typeof FIXED_COLUMNS][0];

/** The row of a new task with its newest change. */
function insertedAs(row: Row, changed: Row | undefined): Row {
  if (changed === undefined) return row;
  const fixed: Pick<Row, FixedField> = { lane: row.lane, submittedBy: row.submittedBy, createdAt: row.createdAt };
  return { ...changed, ...fixed };
}

/** The values of the batches, in their order. */
export function mergedValues(batches: readonly WaitingBatch[]): readonly BatchValue[] {
  const [first] = batches;
  if (first !== undefined && batches.length === 1) return first.values;
  // Large batches of new tasks are in several rows, and rare.
  if (!batches.every(({ values }) => isOneRow(values))) return batches.flatMap(({ values }) => values);
  const newest = new Map<TaskId, Row>();
  for (const { tasks } of batches) for (const row of tasks.updateTasks) newest.set(row.id, row);
  /** Inserted as they are after the last batch. */
  const inserted = new Set<TaskId>();
  return batches.flatMap(({ tasks, values }) => {
    for (const { id } of tasks.insertTasks) if (newest.has(id)) inserted.add(id);
    const updateTasks = tasks.updateTasks.filter((row) => newest.get(row.id) === row && !inserted.has(row.id));
    const isChanged = updateTasks.length < tasks.updateTasks.length || tasks.insertTasks.some(({ id }) => newest.has(id));
    if (!isChanged) return values;
    return withTasks(values, { insertTasks: tasks.insertTasks.map((row) => insertedAs(row, newest.get(row.id))), updateTasks });
  });
}

/** How many different numbers of rows a statement has between two powers of two. */
const SIZES_IN_DOUBLE = 4;

/**
 * The values, and a few rows of nulls, which save nothing: each number of rows has a statement of its own, which stays prepared, and the
 * one of 250 rows takes 0.7 MB.
 */
export function paddedValues(values: readonly BatchValue[]): readonly BatchValue[] {
  const rows = values.length / BATCH_COLUMNS.length;
  const step = Math.max(1, 2 ** Math.floor(Math.log2(rows)) / SIZES_IN_DOUBLE);
  const missing = Math.ceil(rows / step) * step - rows;
  return missing === 0 ? values : [...values, ...Array.from({ length: missing * BATCH_COLUMNS.length }, () => null)];
}
