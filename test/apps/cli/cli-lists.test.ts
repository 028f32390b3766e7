/** Lists that fit the terminal, abbreviated task ids, and actions on all tasks that a filter finds. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { tableLines, type Column } from '../../../apps/cli/output/text-table.ts';
import { systemIds } from '../../../adapters/ids-system/system-ids.ts';
import { shortNames } from '../../../apps/cli/task-names.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { run, taskJson, testHub } from './cli-world.ts';

const FULL = 'task-01a2041a54f4000040cf2a5e8407aa60';
const OTHER = 'task-01a2041a54f4000040d000000000aa61';

async function stateDir(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-names-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return join(folder, 'state');
}

type Row = readonly string[];
const column = (index: number, more: Partial<Column<Row>> = {}): Column<Row> => ({
  title: 'ABCD'[index]?.repeat(2) ?? '',
  cell: (row) => row[index] ?? '',
  ...more,
});

t.test('a table shrinks in order: cut, leave out, and share the room that is left', async (t) => {
  const columns = [column(0), column(1, { leftOut: 1 }), column(2, { charactersMin: 4 }), column(3, { charactersMax: 30 })];
  const row = ['a'.repeat(6), 'b'.repeat(10), 'c'.repeat(20), 'd'.repeat(40)];
  const at = (width: number | undefined): readonly string[] => tableLines(columns, [row], width);
  t.equal(at(undefined)[1], row.join('  '), 'complete without a terminal');
  t.equal(at(100)[1], [...row.slice(0, 3), `${'d'.repeat(29)}…`].join('  '));
  for (let width = 12; width <= 72; width += 1)
    for (const line of at(width)) t.ok([...line].length <= Math.max(width, 24), `${width}: ${line}`);
  t.match(at(50)[0], /AA {6}BB {10}CC .*DD/);
  t.notMatch(at(30)[0], /BB/, 'left out');
  t.match(at(30)[1], /^aaaaaa {2}c+… {2}d+…$/);
  t.equal([...(at(40)[1] ?? '')].length, 40, 'no room is wasted');
});

t.test('ids are shortened as far as they stay unique', async (t) => {
  t.equal(shortNames([FULL, OTHER])(FULL), '01a2041a54f4000040c');
  t.equal(shortNames([FULL])(FULL), '01a2041a54f40000');
  t.equal(shortNames([FULL, FULL])(FULL), '01a2041a54f40000', 'a task twice');
  const ids = systemIds({ clock: virtualClock() });
  const all = Array.from({ length: 100 }, () => ids.task());
  t.equal(new Set(all.map((id) => shortNames([id])(id))).size, all.length, 'also those that are not in the same list');
});

t.test('a list in a terminal fits and says why tasks failed; in a pipe it is complete', async (t) => {
  const error = `exit code 7 ${'of a long story '.repeat(9)}`.trim();
  const failed = taskJson({
    id: FULL,
    status: 'dead_letter',
    failed_by: 'w1',
    last_error: error,
    retry_count: 4,
    description: 'x'.repeat(90),
  });
  const hub = await testHub(t, (app) => app.get('/api/tasks', (c) => c.json({ tasks: [failed], next_cursor: null })));
  const { out } = await hub.run(['list'], { tty: true, env: { NO_COLOR: '1' } });
  const lines = out.trimEnd().split('\n');
  for (const line of lines) t.ok([...line].length <= 120, line);
  t.match(lines[1], /^01a2041a54f40000 {2}dead_letter .* w1 +4 of 4 .*x… {2}exit code 7 .*…$/);
  const piped = (await hub.run(['list'])).out;
  t.ok(piped.includes(FULL) && piped.includes(error) && piped.includes('x'.repeat(90)));
  t.match((await hub.run(['list'], { env: { FORCE_COLOR: '1' } })).out, /^\u001b\[1mTASK/);
});

t.test('the filters of list reach the hub, and short pages of a search are put together', async (t) => {
  const pages = [
    { tasks: [], next_cursor: '1.a' },
    { tasks: [taskJson()], next_cursor: null },
  ];
  const hub = await testHub(t, (app) => app.get('/api/tasks', (c) => c.json(pages.shift() ?? { tasks: [], next_cursor: null })));
  const ran = await hub.run(['list', '--failed-by', 'w1', '-n', 'gpu', '--text', 'a b', '--since', '2026-03-01T00:00:00Z', '--json']);
  t.equal((JSON.parse(ran.out) as { tasks: unknown[] }).tasks.length, 1);
  const query = 'failed_by=w1&capability=gpu&text=a+b&since=1772323200000';
  t.strictSame(
    hub.requests.map(({ request }) => request),
    [`GET /api/tasks?${query}`, `GET /api/tasks?${query}&cursor=1.a&limit=50`],
  );
  pages.push({ tasks: [], next_cursor: '1.b' }, { tasks: [taskJson()], next_cursor: null });
  const found = await hub.run(['list', '--submitted-by', 'tok-1', '--priority', 'low', '--json']);
  t.equal((JSON.parse(found.out) as { tasks: unknown[] }).tasks.length, 1);
  const submitted = 'priority=low&submitted_by=tok-1';
  t.strictSame(
    hub.requests.slice(2).map(({ request }) => request),
    [`GET /api/tasks?${submitted}`, `GET /api/tasks?${submitted}&cursor=1.b&limit=50`],
  );
  await hub.run(['list', '--oldest-first', '-l', '5']);
  t.equal(hub.requests.at(-1)?.request, 'GET /api/tasks?order=oldest&limit=5');
  await hub.run(['list', '--since', '2h']);
  const since = Number(new URLSearchParams(hub.requests.at(-1)?.request.split('?')[1]).get('since'));
  t.ok(Math.abs(Date.now() - 7_200_000 - since) < 60_000);
  t.match(await run(['list', '--since', 'yesterday', '--url', hub.url]), { code: 2, err: /Expected a time such as 2h or 7d \(ago\)/ });
});

t.test('a task can be given by a prefix of its ID, or as the last one', async (t) => {
  const requested = { id_prefix: '' };
  const hub = await testHub(t, (app) =>
    app
      .post('/api/tasks', (c) => c.json({ task_id: FULL, status: 'queued', priority: 'normal', created_at: 1 }, 201))
      .get('/api/tasks', (c) => {
        requested.id_prefix = new URL(c.target, 'http://x').searchParams.get('id_prefix') ?? '';
        const tasks = [FULL, OTHER].filter((id) => id.startsWith(requested.id_prefix)).map((id) => taskJson({ id }));
        return c.json({ tasks, next_cursor: null });
      })
      .get('/api/tasks/:id', (c) => c.json(taskJson({ id: c.params['id'], status: 'cancelled', waiting_for: null })))
      .post('/api/tasks/:id/cancel', (c) => c.json({ status: 'cancelled' })),
  );
  const env = { AGENTCOM_STATE_DIR: await stateDir(t) };
  t.match(await hub.run(['cancel', '@last'], { env }), { code: 2, err: /@last is the task that you last submitted .* Name the task/ });
  t.match(await hub.run(['cancel', '@last']), { code: 2, err: /set AGENTCOM_STATE_DIR/ });
  t.match(await hub.run(['cancel', '01a2041a54f4000040c'], { env }), { code: 0, out: `${FULL} is cancelled\n` });
  t.equal(requested.id_prefix, 'task-01a2041a54f4000040c');
  t.match(await hub.run(['cancel', '01A2041A54F4000040C'], { env }), { code: 0, out: `${FULL} is cancelled\n` }, 'in upper case');
  t.match(await hub.run(['cancel', 'task-01a2041a'], { env }), {
    code: 2,
    err: new RegExp(`Add digits:\n  ${FULL}  queued  count.*\n  ${OTHER}.*\n\\(AC_USAGE\\)\n$`),
  });
  t.match(await hub.run(['cancel', 'ffff'], { env }), { code: 2, err: /No task has an ID that begins with task-ffff/ });
  for (const name of ['01a', 'task01a2', '../01a2', 'zzzz'])
    t.match(await hub.run(['cancel', name], { env }), { code: 2, err: /at least 4/ });
  const lookups = () => hub.requests.filter(({ request }) => request === 'GET /api/tasks').length;
  const before = lookups();
  t.match(await hub.run(['cancel', OTHER], { env }), { code: 0 });
  t.equal(lookups(), before, 'a whole ID is not looked up');
  t.match(await hub.run(['cancel', '@last'], { env }), { out: `${OTHER} is cancelled\n` });
  await hub.run(['submit', 'x'], { env });
  t.match(await hub.run(['cancel', '@last'], { env }), { out: `${FULL} is cancelled\n` });
  t.equal((await stat(join(env.AGENTCOM_STATE_DIR, 'last-task.json'))).mode & 0o777, 0o600);
});

const manyTasks = Array.from({ length: 12 }, (_, n) =>
  taskJson({ id: `task-${String(n).padStart(32, '0')}`, status: 'dead_letter', last_error: 'out of memory' }),
);

t.test('an action on a filter shows the tasks found and asks for confirmation', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks', (c) => {
        const isDead = new URL(c.target, 'http://x').searchParams.get('status') === 'dead_letter';
        return c.json({ tasks: isDead ? manyTasks : [], next_cursor: null });
      })
      .post('/api/tasks/:id/retry', (c) =>
        c.target.includes('0003/') ? c.json({ error: 'invalid_state', message: 'no' }, 409) : c.json({ status: 'queued' }),
      ),
  );
  const posts = (): number => hub.requests.filter(({ request }) => request.startsWith('POST')).length;
  const unasked = await hub.run(['retry', '--since', '1d', '--text', 'memory']);
  t.match(unasked, { code: 2, err: /Found 12 tasks to retry; nothing was done\. Pass --yes/, out: /out of memory[^]*and 2 more/ });
  t.equal(posts(), 0);
  t.match(hub.requests[0]?.request, /^GET \/api\/tasks\?status=dead_letter&text=memory&since=\d+&limit=500$/);

  const refused = await hub.run(['retry', '--all'], { tty: true, stdin: 'n\n' });
  t.match(refused, { code: 130, err: /Retry 12 tasks\? \[y\/N\] .*Nothing was done/s });
  t.equal(posts(), 0);
  t.match(await hub.run(['retry', '--all'], { tty: true, stdin: '' }), { code: 130 }, 'an end of input does not confirm');

  const agreed = await hub.run(['retry', '--all'], { tty: true, stdin: 'y\n', env: { NO_COLOR: '1' } });
  t.match(agreed, { code: 0, out: /11 of 12 tasks: queued again\.\n$/, err: /1 had changed in the meantime/ });
  t.equal(posts(), 12);
  const asJson = await hub.run(['retry', '--status', 'dead_letter', '--yes', '--json']);
  t.equal(asJson.out.trimEnd().split('\n').length, 11, 'one object for each');

  t.match(await hub.run(['cancel', '--all', '--yes']), { code: 0, out: 'No task to cancel was found.\n' });
  t.match(await hub.run(['retry']), { code: 2, err: /Name the tasks to retry, or select them with filters/ });
  t.match(await hub.run(['retry', '--agent', 'w1']), { code: 2, err: /unknown option '--agent'/ }, 'no agent has a dead-lettered task');
  t.match(await hub.run(['cancel', '--agent', 'w1']), { code: 0, out: 'No task to cancel was found.\n' });
  t.match(hub.requests.at(-1)?.request, /assigned_to=w1/);
  t.match(await hub.run(['retry', FULL, '--all']), { code: 2, err: /not both/ });
  t.match(await hub.run(['retry', '--status', 'completed']), { code: 2, err: /Allowed choices are dead_letter/ });
});

t.test('an action on a filter stops at the first refusal that is not about a task', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks', (c) => c.json({ tasks: manyTasks, next_cursor: null }))
      .post('/api/tasks/:id/retry', (c) => c.json({ error: 'forbidden', message: 'operators only' }, 403)),
  );
  const ran = await hub.run(['retry', '--all', '--yes']);
  t.match(ran, { code: 7, out: /^0 of 12 tasks: queued again\.\n$/, err: /operators only/ });
  t.ok(hub.requests.length < 8, 'the rest is not attempted');
});

t.test('an empty list of an agent that the hub does not have says so', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks', (c) => c.json({ tasks: [], next_cursor: null }))
      .get('/api/agents/:id', (c) => {
        if (c.params['id'] === 'w1') return c.json({ agent_id: 'w1' });
        if (c.params['id'] === 'secret') return c.json({ error: 'forbidden', message: 'Not with this role.' }, 403);
        return c.json({ error: 'unknown_agent', message: 'There is no such agent.' }, 404);
      }),
  );
  const noted = /The hub has no agent "nosuch": `agentcom agents` lists them\./;
  t.match(await hub.run(['list', '--agent', 'nosuch']), { code: 0, err: noted });
  t.match(await hub.run(['list', '--failed-by', 'nosuch']), { code: 0, err: noted });
  t.strictSame((await hub.run(['list', '--agent', 'w1'])).err, '');
  t.strictSame(await hub.run(['list', '--agent', 'secret']), { ...(await hub.run(['list', '--agent', 'w1'])) }, 'a submitter may not ask');
});
