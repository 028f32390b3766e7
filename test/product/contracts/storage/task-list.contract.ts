/** How every `TaskStore` pages through its tasks. */
import type { TaskId } from '../../../../core/domain/ids.ts';
import type { Task } from '../../../../core/domain/task/task.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { TaskQuery } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aBody, aRequirement, aTask, aTaskId, anAgentId, anAssignedTask, changes, inserting } from '../fixtures.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

/** Ids page by page until one is empty; `between` runs after each page. */
async function paged(storage: Storage, query: TaskQuery, between: (page: number) => Promise<unknown> = async () => undefined) {
  const ids: string[] = [];
  let after: TaskQuery['after'];
  for (let page = 0; page < 100; page += 1) {
    const rows = await storage.tasks.list({ ...query, after });
    const last = rows.at(-1)?.task;
    if (last === undefined) return ids;
    ids.push(...rows.map(({ task }) => task.id));
    after = { createdAtMs: last.createdAtMs, id: last.id };
    await between(page);
  }
  throw new Error('the pages do not end');
}

const created = (n: number, createdAtMs: number, over: Partial<Task> = {}): Task => aTask({ id: aTaskId(n), createdAtMs, ...over });
const ids = (...numbers: readonly number[]): string[] => numbers.map(aTaskId);

export function taskListCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`Task list contract, ${name}`, runner, (test) => {
    test('lists newest first, those of the same time in an order of the store, with body and result', async (t) => {
      const storage = await openedIn(t, subject);
      const first = { task: created(7, A_MOMENT_MS), dueAtMs: null, body: aBody({ description: 'seven' }) };
      await commit(storage, changes({ inserted: [first], results: [{ taskId: aTaskId(7), json: '"done"' }] }));
      await commit(storage, inserting(created(3, A_MOMENT_MS + 2), created(9, A_MOMENT_MS + 1), created(4, A_MOMENT_MS + 1)));
      const listed = (await storage.tasks.list({ limit: 10 })).map(({ task }) => task.id as string);
      const equals = listed.slice(1, 3);
      t.strictSame(equals.toSorted(), ids(4, 9));
      t.strictSame(listed, [...ids(3), ...equals, ...ids(7)]);
      t.strictSame(
        (await storage.tasks.list({ limit: 10, oldestFirst: true })).map(({ task }) => task.id),
        listed.toReversed(),
      );
      t.strictSame((await storage.tasks.list({ limit: 10 })).at(-1), { task: first.task, body: first.body, result: '"done"' });
      t.strictSame(
        (await storage.tasks.list({ limit: 2 })).map(({ task }) => task.id),
        listed.slice(0, 2),
      );
    });

    test('lists tasks created since a time, with any other filter', async (t) => {
      const storage = await openedIn(t, subject);
      const low = { priority: 'low', submittedBy: 'tok-9' } as const;
      const rows = [
        created(1, A_MOMENT_MS),
        created(2, A_MOMENT_MS + 1, low),
        created(3, A_MOMENT_MS + 2),
        created(4, A_MOMENT_MS + 3, low),
      ];
      await commit(storage, inserting(...rows));
      const since = A_MOMENT_MS + 1;
      const found = (query: Partial<TaskQuery>): Promise<string[]> => paged(storage, { sinceMs: since, limit: 1, ...query });
      t.strictSame(await found({}), ids(4, 3, 2));
      t.strictSame(await found({ sinceMs: since + 1 }), ids(4, 3));
      t.strictSame(await found({ priority: 'low' }), ids(4, 2));
      t.strictSame(await found({ status: 'queued', submittedBy: 'tok-9', sinceMs: since + 1 }), ids(4));
      t.strictSame(await found({ sinceMs: since + 10 }), []);
    });

    test('lists tasks by a prefix of their id, lowest id first', async (t) => {
      const storage = await openedIn(t, subject);
      const [a, b, c] = ['task-aa00000000000001', 'task-aa00000000000002', 'task-ab00000000000000'] as TaskId[];
      const at = (id: TaskId | undefined, n: number): Task => aTask({ id: id as TaskId, createdAtMs: A_MOMENT_MS - n });
      await commit(storage, inserting(at(c, 0), at(b, 2), at(a, 1)));
      const found = async (prefix: string, limit = 10, after?: TaskId) =>
        (await storage.tasks.beginningWith(prefix, limit, after)).map(({ task }) => task.id);
      t.strictSame(await found('task-aa00'), [a, b]);
      t.strictSame(await found('task-a'), [a, b, c]);
      t.strictSame(await found('task-a', 2), [a, b]);
      t.strictSame(await found(c as TaskId), [c], 'a whole id');
      t.strictSame(await found('task-ac'), []);
      t.strictSame(await found('task-a', 1, a), [b], 'the next after a task');
      t.strictSame(await found('task-aa', 10, b), [], 'none after the last');
    });

    test('neither skips nor repeats tasks while others are added', async (t) => {
      const storage = await openedIn(t, subject);
      const numbers = Array.from({ length: 23 }, (_, n) => n + 100);
      // Five with the same time, so that pages end among equals.
      await commit(storage, inserting(...numbers.map((n) => created(n, A_MOMENT_MS + Math.floor(n / 5)))));
      let added = 1_000;
      const read = await paged(storage, { limit: 4 }, async (page) => {
        added += 1;
        await commit(storage, inserting(created(added, A_MOMENT_MS + 1_000 + page), created(page + 1, A_MOMENT_MS + 22)));
      });
      const before = new Set<string>(ids(...numbers));
      t.strictSame(read.filter((id) => before.has(id)), ids(...numbers.toReversed()), 'all tasks from the start, once, in order'); // prettier-ignore
      t.equal(new Set(read).size, read.length, 'no task twice');
    });

    test('reports since when the longest-waiting ready task of each priority has been ready', async (t) => {
      const storage = await openedIn(t, subject);
      const none = { urgent: null, high: null, normal: null, low: null };
      t.strictSame(await storage.tasks.oldestReady(A_MOMENT_MS), none, 'an empty store');
      const [a1, later] = [anAgentId('a1'), A_MOMENT_MS + 100];
      await commit(
        storage,
        inserting(
          created(1, A_MOMENT_MS, { eligibleAtMs: A_MOMENT_MS + 5, requirement: aRequirement(['gpu']) }),
          created(2, A_MOMENT_MS, { eligibleAtMs: A_MOMENT_MS + 3, requirement: aRequirement(['code']) }),
          created(3, A_MOMENT_MS, { eligibleAtMs: A_MOMENT_MS + 4, requirement: aRequirement([], 'a1') }),
          created(4, A_MOMENT_MS - 9, { eligibleAtMs: A_MOMENT_MS - 9, parked: true }),
          created(5, A_MOMENT_MS - 9, { priority: 'urgent', eligibleAtMs: later }),
          anAssignedTask(a1, { id: aTaskId(6), priority: 'high' }),
          created(7, A_MOMENT_MS - 9, { status: 'scheduled', eligibleAtMs: null, priority: 'low' }),
          created(8, A_MOMENT_MS - 7, { eligibleAtMs: null, priority: 'low' }),
        ),
      );
      t.strictSame(await storage.tasks.oldestReady(A_MOMENT_MS + 50), { ...none, normal: A_MOMENT_MS + 3, low: A_MOMENT_MS - 7 });
      t.strictSame(await storage.tasks.oldestReady(A_MOMENT_MS), { ...none, low: A_MOMENT_MS - 7 }, 'none that becomes ready later');
      t.equal((await storage.tasks.oldestReady(later)).urgent, later, 'from that moment on');
    });

    test('filters, alone and together', async (t) => {
      const storage = await openedIn(t, subject);
      const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
      await commit(
        storage,
        inserting(
          created(1, A_MOMENT_MS, { priority: 'urgent' }),
          created(2, A_MOMENT_MS, { submittedBy: 'tok-2' }),
          anAssignedTask(a1, { id: aTaskId(3), priority: 'urgent' }),
          anAssignedTask(a2, { id: aTaskId(4) }),
          anAssignedTask(a1, { id: aTaskId(5), status: 'completed', deadlineAtMs: null }),
          created(6, A_MOMENT_MS, { status: 'dead_letter', priority: 'low', submittedBy: "x' OR '1'='1" }),
        ),
      );
      const cases: readonly (readonly [Omit<TaskQuery, 'limit'>, readonly number[]])[] = [
        [{}, [6, 5, 4, 3, 2, 1]],
        [{ status: 'queued' }, [2, 1]],
        [{ status: 'scheduled' }, []],
        [{ priority: 'urgent' }, [3, 1]],
        [{ status: 'assigned' }, [4, 3]],
        [{ status: 'assigned', priority: 'urgent' }, [3]],
        [{ status: 'assigned', submittedBy: 'tok-1', priority: 'normal' }, [4]],
        [{ submittedBy: 'tok-1' }, [5, 4, 3, 1]],
        [{ assignedTo: a1 }, [5, 3]],
        [{ assignedTo: a1, status: 'assigned' }, [3]],
        [{ submittedBy: 'tok-2' }, [2]],
        [{ submittedBy: "x' OR '1'='1" }, [6]],
        [{ priority: 'urgent', status: 'assigned', assignedTo: a1, submittedBy: 'tok-1' }, [3]],
        [{ priority: 'low', status: 'queued' }, []],
      ];
      for (const [query, wanted] of cases) {
        t.strictSame(await paged(storage, { ...query, limit: 500 }), ids(...wanted), JSON.stringify(query));
        t.strictSame(await paged(storage, { ...query, limit: 1 }), ids(...wanted), `${JSON.stringify(query)}, one by one`);
        for (const limit of [1, 500])
          t.strictSame(
            await paged(storage, { ...query, oldestFirst: true, limit }),
            ids(...wanted.toReversed()),
            `oldest first, by ${limit}`,
          );
      }
    });
  });
}
