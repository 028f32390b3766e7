/** Immutable lists with at most one entry for each assignment, in which an entry is found without a search. */
import type { TaskId } from '../ids.ts';
import { RenewedMap } from '../renewed-map.ts';
import { transferIndex, indexOf as indexOn } from '../list-index.ts';
import { withAppended, withMovedLast, withRemoved, withReplaced } from '../list-copies.ts';
import type { AssignmentId } from './slot.ts';

/** The entries of each task, one for each generation, in no particular order. */
type Index = RenewedMap<TaskId, readonly AssignmentId[]>;

/**
 * A cache for each list, which does not affect the results. The newest list holds the index: each change hands it on. An older list, which
 * is read only after a failed save, gets a new one.
 */
const indexOf = (list: readonly AssignmentId[]): Index => indexOn(list, () => indexed(list));
const NONE: readonly never[] = [];

/** The entries of the task, of any generation. */
export const entriesOf = <T extends AssignmentId>(list: readonly T[], taskId: TaskId): readonly T[] =>
  (indexOf(list).get(taskId) as readonly T[] | undefined) ?? NONE;

export const findIn = <T extends AssignmentId>(list: readonly T[], assignment: AssignmentId): T | undefined => {
  for (const entry of entriesOf(list, assignment.taskId)) if (entry.generation === assignment.generation) return entry;
  return undefined;
};

/** Replaces the entry of the same assignment in its place, or appends it. */
export const withEntry = <T extends AssignmentId>(list: readonly T[], entry: T): readonly T[] => put(list, entry, withReplaced);

/** Appends the entry, and drops an earlier one of the same assignment. */
export const withEntryLast = <T extends AssignmentId>(list: readonly T[], entry: T): readonly T[] => put(list, entry, withMovedLast);

function put<T extends AssignmentId>(list: readonly T[], entry: T, inPlaceOf: typeof withReplaced<T>): readonly T[] {
  const index = indexOf(list);
  const known = index.get(entry.taskId) as readonly T[] | undefined;
  const replaced = known?.find((each) => each.generation === entry.generation);
  const isAlone = known === undefined || (known.length === 1 && replaced !== undefined);
  index.set(entry.taskId, isAlone ? [entry] : [...known.filter((each) => each !== replaced), entry]);
  return transferIndex(list, replaced === undefined ? withAppended(list, entry) : inPlaceOf(list, list.indexOf(replaced), entry));
}

export function withoutEntry<T extends AssignmentId>(list: readonly T[], assignment: AssignmentId): readonly T[] {
  const index = indexOf(list);
  const known = entriesOf(list, assignment.taskId);
  const removed = known.find((each) => each.generation === assignment.generation);
  if (removed === undefined) return list;
  const others = known.filter((each) => each !== removed);
  if (others.length === 0) index.delete(assignment.taskId);
  else index.set(assignment.taskId, others);
  return transferIndex(list, withRemoved(list, list.indexOf(removed)));
}

function indexed(list: readonly AssignmentId[]): Index {
  const index: Index = new RenewedMap();
  for (const entry of list) index.set(entry.taskId, [...(index.get(entry.taskId) ?? NONE), entry]);
  return index;
}
