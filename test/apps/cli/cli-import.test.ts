/**
 * Open tasks of the original hub, as its HTTP API lists them, become tasks here: once each, in order, and every task
 * not imported has a reason.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { planImport, tasksIn } from '../../../apps/cli/moving-in/field-tasks.ts';
import { testHub, type TestHub } from './cli-world.ts';

const NOW_MS = 1_900_000_000_000;
/** In the form of the original's `format_task`. */
const aTask = (over: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
  id: 'task-0000000000000001',
  description: 'count the files',
  metadata: {},
  priority: 2,
  status: 'queued',
  assigned_to: null,
  generation: 0,
  retry_count: 0,
  max_retries: 3,
  needed_capabilities: [],
  last_error: null,
  complete_by: null,
  result: null,
  submitted_by: 'gcu-one',
  created_at: 1_700_000_000_000,
  history: [],
  repo: null,
  branch: null,
  file_hints: [],
  success_criteria: [],
  verification_steps: [],
  depends_on: [],
  goal_id: null,
  ...over,
});

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-import-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A hub that accepts each key once, and refuses descriptions that ask for it. */
const takingHub = (t: Test): Promise<TestHub> => {
  const made = new Map<string, string>();
  return testHub(t, (app) =>
    app.post('/api/tasks', (c) => {
      const body = c.sent<{ description: string }>();
      if (body.description === 'unfit') return c.json({ error: 'validation_failed', message: 'The request is not valid: no.' }, 400);
      if (body.description === 'changed') return c.json({ error: 'idempotency_mismatch', message: 'another body' }, 409);
      const key = c.headers['idempotency-key'] ?? '';
      const known = made.get(key);
      const id = known ?? `task-${(made.size + 1).toString(16).padStart(16, 'a')}`;
      made.set(key, id);
      return c.json({ task_id: id, status: 'queued', priority: 'normal', created_at: 1 }, known === undefined ? 201 : 200);
    }),
  );
};

t.test('each field is mapped to its equivalent', async (t) => {
  const step = { type: 'file_exists', target: 'a.txt' };
  const [task] = planImport(
    [
      aTask({
        priority: 0,
        metadata: { ticket: 7 },
        max_retries: 5,
        needed_capabilities: ['code'],
        complete_by: NOW_MS + 1,
        repo: 'https://example.org/a',
        branch: '',
        file_hints: [{ path: 'src/a.ts' }],
        success_criteria: ['it counts'],
        verification_steps: [step],
        goal_id: 'goal-1',
        skip_verification: false,
      }),
    ],
    NOW_MS,
  ).tasks;
  t.strictSame(task?.key, 'import-task-0000000000000001');
  t.strictSame(JSON.parse(JSON.stringify(task?.body)), {
    description: 'count the files',
    priority: 'urgent',
    metadata: {
      imported_from: { task_id: 'task-0000000000000001', submitted_by: 'gcu-one', created_at: 1_700_000_000_000, goal_id: 'goal-1' },
      ticket: 7,
    },
    max_retries: 4,
    complete_by: NOW_MS + 1,
    needed_capabilities: ['code'],
    repo: 'https://example.org/a',
    file_hints: [{ path: 'src/a.ts' }],
    success_criteria: ['it counts'],
    verification_steps: [step],
  });
  for (const [priority, lane] of [
    [0, 'urgent'],
    [1, 'high'],
    [2, 'normal'],
    [3, 'low'],
    ['critical', 'urgent'],
    ['high', 'high'],
    [9, 'normal'],
    [null, 'normal'],
  ])
    t.equal(planImport([aTask({ priority })], NOW_MS).tasks[0]?.body.priority, lane, JSON.stringify(priority));
  for (const [given, retries] of [
    [3, 2],
    [1, 0],
    [0, 0],
    [1_000, 100],
    [null, 2],
  ])
    t.equal(planImport([aTask({ max_retries: given })], NOW_MS).tasks[0]?.body.max_retries, retries);
  const late = planImport([aTask({ complete_by: NOW_MS })], NOW_MS).tasks[0];
  t.equal(late?.body.complete_by, undefined);
  t.match(late?.notes, [/complete_by has passed/]);
});

t.test('open tasks are imported in order, each after its dependencies; others are reported with a reason', async (t) => {
  const id = (n: number): string => `task-000000000000000${n}`;
  const { tasks, left } = planImport(
    [
      aTask({ id: id(1), created_at: 30, depends_on: [id(2), id(9)] }),
      aTask({ id: id(2), created_at: 40, status: 'dead_letter' }),
      aTask({ id: id(3), created_at: 20, status: 'assigned' }),
      aTask({ id: id(9), status: 'completed' }),
      aTask({ id: id(4), depends_on: ['task-00000000000000ff'] }),
      aTask({ id: id(5), depends_on: [id(4)] }),
      aTask({ id: id(6), depends_on: [id(7)] }),
      aTask({ id: id(7), depends_on: [id(6)] }),
      aTask({ id: id(8), description: '' }),
      aTask({ id: id(3) }),
      aTask({ id: 'no\nkey' }),
      aTask({ id: 'task-odd', status: 'dreaming' }),
      7,
    ],
    NOW_MS,
  );
  t.strictSame(
    tasks.map(({ from }) => from),
    [id(3), id(2), id(1)],
  );
  t.strictSame(tasks.at(-1)?.dependsOn, [id(2)], 'completed dependencies are not needed any more');
  const reasons = Object.fromEntries(left.map(({ from, reason, isOpen }) => [from, `${isOpen ? 'open' : 'over'}: ${reason}`]));
  t.match(reasons, {
    [id(9)]: /^over: it has ended: completed/,
    [id(4)]: /^open: it depends on task-00000000000000ff, which is neither in the files nor completed/,
    [id(5)]: /^open: it depends on .*4, which was not imported either/,
    [id(6)]: /^open: .*not imported either/,
    [id(7)]: /^open: .*not imported either/,
    [id(8)]: /^open: it has no description/,
    [id(3)]: /^over: it occurs twice/,
    'entry 11': /^open: it has no ID/,
    'task-odd': /^open: its status is "dreaming"/,
    'entry 13': /^open: it has no ID/,
  });
  t.equal(Object.keys(reasons).length, 10);
});

t.test('a chain of ten thousand dependent tasks is ordered quickly', async (t) => {
  const chain = Array.from({ length: 10_000 }, (_, n) =>
    aTask({ id: `task-${n}`, created_at: -n, depends_on: n === 0 ? [] : [`task-${n - 1}`] }),
  );
  const { tasks, left } = planImport(chain, NOW_MS);
  t.strictSame([tasks.length, left.length, tasks[0]?.from, tasks.at(-1)?.from], [10_000, 0, 'task-0', 'task-9999']);
});

t.test('as many tasks as one import takes, which all depend on one, are ordered within seconds', async (t) => {
  // The list of those that wait for it was copied for each of them: 23 s for 25,000 tasks.
  const needed = ['task-0'];
  const all = Array.from({ length: 100_000 }, (_, n) => aTask({ id: `task-${n}`, depends_on: n === 0 ? [] : needed }));
  const fromMs = performance.now();
  const { tasks, left } = planImport(all, NOW_MS);
  t.strictSame([tasks.length, left.length, tasks[0]?.from], [100_000, 0, 'task-0']);
  t.ok(performance.now() - fromMs < 20_000, `after ${Math.round(performance.now() - fromMs)} ms`);
});

t.test('the shapes of a file', async (t) => {
  t.equal(tasksIn({ tasks: [1, 2], count: 2 })?.length, 2);
  t.equal(tasksIn([1])?.length, 1);
  t.equal(tasksIn(aTask())?.length, 1);
  for (const value of [null, 7, 'x', {}, { tasks: 1 }]) t.equal(tasksIn(value), null);
});

t.test('the command imports both lists, is idempotent, and reports what the hub refuses', async (t) => {
  const dir = await folder(t);
  const hub = await takingHub(t);
  await writeFile(
    join(dir, 'tasks.json'),
    JSON.stringify({ tasks: [aTask(), aTask({ id: 'task-00000000000000aa', status: 'completed' })], count: 2 }),
  );
  await writeFile(
    join(dir, 'dead.json'),
    JSON.stringify({
      tasks: [
        aTask({ id: 'task-00000000000000bb', status: 'dead_letter', depends_on: ['task-0000000000000001'], created_at: 1_700_000_000_001 }),
        aTask({ id: 'task-00000000000000cc', status: 'dead_letter', description: 'unfit' }),
        aTask({ id: 'task-00000000000000dd', status: 'dead_letter', description: 'changed' }),
        aTask({ id: 'task-00000000000000ee', depends_on: ['task-00000000000000cc'] }),
      ],
      count: 4,
    }),
  );
  const dry = await hub.run(['import', 'tasks.json', 'dead.json', '--dry-run'], { cwd: dir });
  t.match(dry.out, /task-0000000000000001 would be imported\n/);
  t.equal(hub.requests.length, 0, 'a dry run sends nothing to the hub');
  const first = await hub.run(['import', 'tasks.json', 'dead.json', '--json'], { cwd: dir });
  t.equal(first.code, 1, 'some open tasks are not imported');
  const summary = JSON.parse(first.out) as { taken: { from: string; task_id: string }[]; left: { from: string; reason: string }[] };
  t.strictSame(
    summary.taken.map(({ from }) => from),
    ['task-0000000000000001', 'task-00000000000000bb'],
  );
  t.match(Object.fromEntries(summary.left.map(({ from, reason }) => [from, reason])), {
    'task-00000000000000aa': /has ended/,
    'task-00000000000000cc': /The request is not valid: no/,
    'task-00000000000000dd': /imported before with different contents/,
    'task-00000000000000ee': /depends on task-00000000000000cc, which was not imported/,
  });
  const of = (from: string): Readonly<Record<string, unknown>> =>
    JSON.parse(hub.requests.find(({ headers }) => headers['idempotency-key'] === `import-${from}`)?.body ?? '{}') as Record<
      string,
      unknown
    >;
  t.strictSame(of('task-00000000000000bb')['depends_on'], [summary.taken[0]?.task_id], 'by its new id');
  const second = await hub.run(['import', 'tasks.json'], { cwd: dir });
  t.equal(second.code, 0);
  t.match(second.out, new RegExp(`^task-0000000000000001 is now ${summary.taken[0]?.task_id}\n`), 'the same task again');
});

t.test('an invalid file, and a hub that refuses everything', async (t) => {
  const dir = await folder(t);
  const hub = await testHub(t, (app) => app.post('/api/tasks', (c) => c.json({ error: 'forbidden', message: 'may not' }, 403)));
  await writeFile(join(dir, 'broken.json'), '{"tasks": [');
  await writeFile(join(dir, 'other.json'), '{"agents": []}');
  await writeFile(join(dir, 'tasks.json'), JSON.stringify([aTask()]));
  for (const [file, wanted] of [
    ['none.json', /no such file/],
    ['broken.json', /is not JSON/],
    ['other.json', /contains no list of tasks/],
  ] as const) {
    const ran = await hub.run(['import', file], { cwd: dir });
    t.equal(ran.code, 2, file);
    t.match(ran.err, wanted);
  }
  const refused = await hub.run(['import', 'tasks.json'], { cwd: dir });
  t.equal(refused.code, 7, 'a refused token does not count as a refused task');
});
