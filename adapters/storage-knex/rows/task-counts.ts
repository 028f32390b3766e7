/**
 * How many tasks have each status and priority, for a database where the code that saves tasks also counts them: the changes of a whole
 * batch, in one statement. A trigger would count each row by itself.
 */
import type { Task } from '../../../core/domain/task/task.ts';
import type { CountChange, CountedPlace, CountingStatementName, SavedRows, StatementsRun } from '../engine.ts';
import { priorityRank } from './rows.ts';
import { slices } from '../statements.ts';

/** By task id. */
type CountedPlaces = ReadonlyMap<string, CountedPlace>;

type ChangedTasks = Pick<SavedRows, 'insertTasks' | 'updateTasks'>;
type Counting = StatementsRun<CountingStatementName>;

export const placeOf = ({ status, priority }: Task): CountedPlace => ({ status, lane: priorityRank(priority) });

/**
 * How saving these tasks changes the counts. `before`: the places of the changed tasks, and of new ones that exist already, which stay as
 * they are. A changed task that neither exists nor is new is not counted: it cannot be saved.
 */
function countChanges({ insertTasks, updateTasks }: ChangedTasks, before: CountedPlaces): readonly CountChange[] {
  const inserted = new Map<string, CountedPlace>();
  const changes: { -readonly [F in keyof CountChange]: CountChange[F] }[] = [];
  // There are few places: searching through them is faster than a map with combined keys.
  const add = ({ status, lane }: CountedPlace, tasks: number): void => {
    const change = changes.find((one) => one.lane === lane && one.status === status);
    if (change === undefined) changes.push({ status, lane, tasks });
    else change.tasks += tasks;
  };
  for (const task of insertTasks) {
    if (before.has(task.id) || inserted.has(task.id)) continue;
    inserted.set(task.id, task);
    add(task, 1);
  }
  for (const { id, status } of updateTasks) {
    const place = before.get(id) ?? inserted.get(id);
    if (place === undefined || place.status === status) continue;
    add(place, -1);
    add({ status, lane: place.lane }, 1);
  }
  return changes.filter(({ tasks }) => tasks !== 0);
}

/** For a batch whose new tasks are all really new. `known`: the place of a task before this batch; what it does not know is looked up. */
export async function countsOfNew(
  counting: Counting,
  rows: ChangedTasks,
  known: (id: Task['id']) => CountedPlace | undefined,
): Promise<readonly CountChange[]> {
  const before = new Map<string, CountedPlace>();
  if (rows.updateTasks.length === 0) return countChanges(rows, before);
  const inserted = new Set<string>(rows.insertTasks.map(({ id }) => id));
  const unknown: string[] = [];
  for (const { id } of rows.updateTasks) {
    if (inserted.has(id)) continue;
    const place = known(id);
    if (place === undefined) unknown.push(id);
    else before.set(id, place);
  }
  for (const [id, place] of await placesIn(counting, unknown)) before.set(id, place);
  return countChanges(rows, before);
}

/** For any batch: all of its tasks are looked up. Must be called before the batch is saved. `repeated`: whether new tasks existed already. */
export async function countsOfAny(
  counting: Counting,
  rows: ChangedTasks,
): Promise<{ readonly changes: readonly CountChange[]; readonly repeated: boolean }> {
  const before = await placesIn(counting, [...rows.insertTasks, ...rows.updateTasks].map(({ id }) => id)); // prettier-ignore
  return { changes: countChanges(rows, before), repeated: rows.insertTasks.some(({ id }) => before.has(id)) };
}

async function placesIn(counting: Counting, ids: readonly string[]): Promise<CountedPlaces> {
  const places = new Map<string, CountedPlace>();
  for (const slice of slices(ids))
    for (const row of await counting.rows('countedPlaces', slice))
      places.set(String(row['id']), { status: String(row['status']), lane: Number(row['lane']) });
  return places;
}
