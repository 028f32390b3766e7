/** Lists of assignments: a lookup finds what a linear search would find, also in a list from before a change. */
import t from 'tap';
import { entriesOf, findIn, withEntry, withEntryLast, withoutEntry } from '../../../core/domain/assignment/assignment-list.ts';
import { isSameAssignment, mapKey, type AssignmentId } from '../../../core/domain/assignment/slot.ts';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';

interface Entry extends AssignmentId {
  readonly n: number;
}

const entry = (task: number, generation: number, n = 0): Entry => ({
  taskId: `task-${task}` as TaskId,
  generation: generation as Generation,
  n,
});
const short = (list: readonly Entry[]): readonly string[] => list.map(({ taskId, generation, n }) => `${taskId}.${generation}=${n}`);

t.test('replacing keeps the position, adding appends, and the earlier list is unchanged', (t) => {
  const two = withEntry(withEntry([] as readonly Entry[], entry(1, 1)), entry(2, 1));
  const changed = withEntry(two, entry(1, 1, 7));
  const longer = withEntry(changed, entry(1, 2));
  t.same(short(longer), ['task-1.1=7', 'task-2.1=0', 'task-1.2=0']);
  t.same(short(entriesOf(longer, entry(1, 0).taskId)).toSorted(), ['task-1.1=7', 'task-1.2=0']);
  t.equal(findIn(two, entry(1, 1))?.n, 0);
  t.equal(findIn(two, entry(1, 2)), undefined);
  t.same(short(withoutEntry(longer, entry(1, 1))), ['task-2.1=0', 'task-1.2=0']);
  t.equal(withoutEntry(longer, entry(3, 1)), longer, 'nothing to remove');
  t.end();
});

t.test('lookups match a linear search in every version of the list', (t) => {
  let seed = 11;
  const below = (count: number): number => (seed = (seed * 48_271) % 2_147_483_647) % count;
  const lists: (readonly Entry[])[] = [[]];
  const wrong: string[] = [];
  for (let n = 0; n < 3_000; n += 1) {
    const list = lists[Math.max(0, lists.length - 1 - below(below(4) === 0 ? lists.length : 1))] as readonly Entry[];
    const one = entry(below(8), below(3), n);
    const place = list.findIndex((each) => isSameAssignment(each, one));
    const change = [withoutEntry, withEntry, withEntryLast][below(3)] as typeof withEntry<Entry>;
    const next = change(list, one);
    const gone = list.filter((_each, at) => at !== place);
    const wanted =
      change === withoutEntry
        ? gone
        : change === withEntryLast
          ? [...gone, one]
          : place < 0
            ? [...list, one]
            : list.map((each, at) => (at === place ? one : each));
    if (short(next).join() !== short(wanted).join()) wrong.push(`change ${n}`);
    const queried = lists[below(lists.length)] as readonly Entry[];
    if (findIn(queried, one) !== queried.find((each) => isSameAssignment(each, one))) wrong.push(`find ${n}`);
    const all = queried.filter(({ taskId }) => taskId === one.taskId);
    if (short(entriesOf(queried, one.taskId)).toSorted().join() !== short(all).toSorted().join()) wrong.push(`entries ${n}`);
    lists.push(next);
  }
  t.same(wrong, []);
  t.end();
});

t.test('equal assignments have equal keys for maps, all others have different ones', (t) => {
  const of = (task: number): readonly AssignmentId[] => [0, 1, 2, 10, 11].map((generation) => entry(task, generation));
  const keys = [1, 2, 11].flatMap((task) => of(task).map(mapKey));
  t.equal(new Set(keys).size, keys.length);
  t.equal(mapKey(entry(1, 1, 5)), mapKey(entry(1, 1, 6)));
  t.end();
});
