/** Similar rows are saved as groups: whatever they share, the result is what saving each row alone would have stored. */
import path from 'node:path';
import t from 'tap';
import { TASK_COLUMNS } from '../../../adapters/storage-knex/rows/columns.ts';
import { GROUP_STATEMENTS, groupsOf } from '../../../adapters/storage-knex/sqlite/row-groups.ts';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';
import type { TaskEvent } from '../../../core/domain/task/event.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { A_MOMENT_MS, aBody, aGeneration, anAgentId, anEvent, aTask, aTaskId, changes } from '../../product/contracts/fixtures.ts';
import { commit } from '../../product/contracts/storage/storage-room.ts';
import { seededRandom } from '../../product/twins/ids-seeded/seeded-random.ts';
import { emptyFolder, otherProgram, sqliteStorage } from '../storage-places/sqlite-storage-place.ts';

const SEEDS = 20;
const TASKS = 60;

/** One task of a batch, with its change from `before` (absent if the task is new). */
interface Step {
  readonly task: Task;
  readonly before: Task | null;
  readonly events: readonly TaskEvent[];
}

/** Tasks that are mostly like the one before them, and otherwise differ in one thing. */
function stepsOf(seed: number): readonly (readonly Step[])[] {
  const random = seededRandom(String(seed));
  const one = <V>(...values: readonly [V, ...V[]]): V => values[random() % values.length] as V;
  const outcome = (generation: Generation) => ({
    generation,
    agentId: anAgentId(one('a1', 'a2')),
    report: one('failed' as const, 'rejected' as const),
    answer: one('retried' as const, 'late' as const),
  });
  const differences: readonly (() => Partial<Task>)[] = [
    () => ({ createdAtMs: A_MOMENT_MS + (random() % 3) }),
    () => ({ eligibleAtMs: one(null, A_MOMENT_MS, A_MOMENT_MS + 1) }),
    () => ({ submittedBy: one('tok-1', 'tok-2', "tok-'1") }),
    () => ({ priority: one('urgent', 'normal', 'low') }),
    () => ({ maxRetries: random() % 2 }),
    () => ({ requirement: { capabilities: one([], ['a'], ['a', 'b']), assignTo: one(null, anAgentId('a1')) } }),
    () => ({ outcomes: one([], [outcome(aGeneration(1))], [outcome(aGeneration(1)), outcome(aGeneration(2))]) }),
    () => ({ usage: one({ inputTokens: 1 }, { inputTokens: 1, outputTokens: 2 }, { outputTokens: 1 }) as unknown as Task['usage'] }),
    () => ({ status: one('queued', 'assigned', 'completed'), assignedTo: one(null, anAgentId('a1'), anAgentId('a2')) }),
  ];
  let count = 1;
  let alike: Partial<TaskEvent> = {};
  /** Either the same number of similar events as the previous task, or different ones. */
  const eventsOf = (taskId: TaskId, before: number): readonly TaskEvent[] => {
    if (random() % 6 === 0) count = 1 + (random() % 3);
    if (random() % 6 === 0)
      alike = {
        agentId: one(null, anAgentId('a1')),
        details: one(null, { by: 'tok-1' }, { by: 'tok-2' }, { by: 'tok-1', more: [1, { of: null }] }),
      };
    return Array.from({ length: count }, (_, nth) => anEvent({ ...alike, taskId, seq: before + nth + 1 }));
  };
  let last: Partial<Task> = {};
  const next = (): Partial<Task> => {
    if (random() % 3 === 0) last = { ...last, ...one(...(differences as [() => Partial<Task>]))() };
    return last;
  };
  const made = Array.from({ length: TASKS }, (_, n) => {
    const id = aTaskId(1_000 * seed + n);
    const events = eventsOf(id, 0);
    return { task: aTask({ ...next(), id, eventSeq: events.length }), before: null, events };
  });
  const changed = made.map(({ task: before }) => {
    const { id, createdAtMs, submittedBy, priority, eventSeq } = before;
    const events = eventsOf(id, eventSeq);
    return { task: { ...before, ...next(), createdAtMs, submittedBy, priority, eventSeq: eventSeq + events.length }, before, events };
  });
  return [made.slice(0, TASKS / 2), [...made.slice(TASKS / 2), ...changed.slice(0, TASKS / 2)], changed.slice(TASKS / 2)];
}

const changesOf = (steps: readonly Step[]): Changes =>
  changes({
    inserted: steps.filter(({ before }) => before === null).map(({ task }) => ({ task, dueAtMs: null, body: aBody() })),
    updated: steps.filter(({ before }) => before !== null).map(({ task }) => ({ task, dueAtMs: task.eligibleAtMs })),
    events: steps.flatMap(({ events }) => events),
  });

t.test('tasks saved together are stored as if each were saved separately', async (t) => {
  const files = [path.join(await emptyFolder(t), 'agentcom.db'), path.join(await emptyFolder(t), 'agentcom.db')] as const;
  const [together, alone] = [sqliteStorage(files[0]), sqliteStorage(files[1])];
  await Promise.all([together.open(), alone.open()]);
  for (let seed = 1; seed <= SEEDS; seed += 1)
    for (const batch of stepsOf(seed)) {
      const stored = await commit(together, changesOf(batch));
      const single = [];
      for (const step of batch) single.push(...(await commit(alone, changesOf([step]))));
      t.strictSame(stored, single, `seed ${seed}: the events have the numbers of their order`);
    }
  await Promise.all([together.close(), alone.close()]);
  const contents = await Promise.all(
    files.map(async (file) => {
      const program = await otherProgram(file);
      const read = await Promise.all(
        ['tasks', 'task_events', 'task_bodies', 'task_counts'].map((table) => program.all(`SELECT * FROM ${table} ORDER BY 1, 2`)),
      );
      await program.close();
      return read;
    }),
  );
  t.equal(contents[0]?.[0]?.length, SEEDS * TASKS);
  t.strictSame(contents[0], contents[1]);
});

t.test('rows are equal if their JSON is the same', (t) => {
  const row = (state: unknown) => ({
    ...Object.fromEntries(Object.values(TASK_COLUMNS).map(([field]) => [field, 1])),
    id: 'task-1',
    state,
  });
  const alike = (one: unknown, other: unknown): boolean => groupsOf('insertTasks', [row(one), row(other)], 2)?.length === 1;
  const values = [
    1,
    '1',
    null,
    true,
    [],
    {},
    [1],
    [[1]],
    [1, 1],
    { a: 1 },
    { b: 1 },
    { a: 1, b: 1 },
    { a: [1] },
    { a: { b: null } },
    { a: null },
  ];
  for (const [at, one] of values.entries())
    for (const [other, value] of values.entries())
      t.equal(alike(structuredClone(one), structuredClone(value)), at === other, `${JSON.stringify(one)} and ${JSON.stringify(value)}`);
  t.notOk(alike({ a: undefined, c: 1 }, { b: 1, c: 1 }), 'one has a member that the other lacks');
  t.end();
});

t.test('rows are grouped while there are few enough', (t) => {
  const rows = [1, 1, 2, 1].map((seq, n) => ({ ...anEvent({ taskId: aTaskId(n), seq }), earlier: null, number: n + 1 }));
  t.strictSame(
    groupsOf('insertEvents', rows, 3)?.map(([ids]) => ids),
    [[aTaskId(0), aTaskId(1)], [aTaskId(2)], [aTaskId(3)]],
    'of consecutive rows',
  );
  t.equal(groupsOf('insertEvents', rows, 2), null);
  t.strictSame(groupsOf('insertEvents', [], 0), []);
  t.end();
});

t.test('grouped updates find their rows by ID', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = sqliteStorage(file);
  await storage.open();
  const program = await otherProgram(file);
  const plan = await program.all(`EXPLAIN QUERY PLAN ${GROUP_STATEMENTS.updateTasks}`, '[]');
  const walks = plan.map(({ detail }) => String(detail)).filter((detail) => detail.includes(' tasks'));
  t.match(walks, [/^SEARCH tasks USING (COVERING )?INDEX sqlite_autoindex_tasks_1 \(id=\?\)$/]);
  await program.close();
  await storage.close();
});
