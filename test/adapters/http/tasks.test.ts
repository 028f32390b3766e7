/** Reading tasks and agents, and what operators do to them. */
import t from 'tap';
import { newAgent } from '../../../core/domain/agent/agent.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { PRIORITIES } from '../../../core/domain/task/task.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  aStop,
  aTask,
  aTaskId,
  anAgent,
  anAgentId,
  aRequirement,
  anAssignedTask,
  anEvent,
  changes,
  inserting,
} from '../../product/contracts/fixtures.ts';
import { SEARCHED_MAX } from '../../../adapters/http/endpoints/task-lists.ts';
import { BENCH_AGENT, hubBench, type Answered, type HubBench } from './hub-bench.ts';
import { gate } from '../../rig/gate.ts';

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const get = (path: string, token = 'viewer'): Promise<Answered> => bench.send(path, { token });
const post = (path: string, token = 'operator', json: unknown = undefined): Promise<Answered> =>
  bench.send(path, { method: 'POST', token, json });
const rows = ({ json }: Answered, name = 'tasks'): readonly Readonly<Record<string, unknown>>[] =>
  json[name] as readonly Readonly<Record<string, unknown>>[];
const ids = (answered: Answered): readonly unknown[] => rows(answered).map((task) => task['id']);
const refusals = ({ status, json }: Answered): unknown => [status, json['error']];

t.test('lists by status, priority and agent, newest first', async (t) => {
  const at = (n: number) => ({ id: aTaskId(n), createdAtMs: A_MOMENT_MS + n });
  await bench.commit(
    inserting(
      aTask({ ...at(1) }),
      aTask({ ...at(2), priority: 'urgent' }),
      anAssignedTask(BENCH_AGENT, at(3)),
      aTask({ ...at(4), status: 'dead_letter', priority: 'urgent' }),
    ),
  );
  t.strictSame(ids(await get('/api/tasks')), [4, 3, 2, 1].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks?status=queued')), [2, 1].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks?priority=urgent')), [4, 2].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks?priority=urgent&status=queued')), [2].map(aTaskId));
  t.strictSame(ids(await get(`/api/tasks?assigned_to=${BENCH_AGENT}`)), [3].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks/dead-letter')), [4].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks/dead-letter?priority=low')), []);
  t.notOk('history' in (rows(await get('/api/tasks'))[0] ?? {}), 'the history is for one task');
});

t.test('lists by time, capability, text and the agent that failed the task', async (t) => {
  const at = (n: number) => ({ id: aTaskId(n), createdAtMs: A_MOMENT_MS + n });
  await bench.commit(
    inserting(
      aTask({ ...at(1), requirement: aRequirement(['gpu', 'code']), submittedBy: 'tok-other' }),
      aTask({ ...at(2), status: 'dead_letter', avoid: BENCH_AGENT, lastError: 'Exit code 7 of MAKE' }),
      aTask({ ...at(3), requirement: aRequirement(['gpu']) }),
    ),
  );
  t.strictSame(ids(await get(`/api/tasks?since=${A_MOMENT_MS + 2}`)), [3, 2].map(aTaskId));
  t.strictSame(ids(await get(`/api/tasks?since=${A_MOMENT_MS + 2}&status=dead_letter`)), [2].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks?capability=gpu')), [3, 1].map(aTaskId));
  t.strictSame(ids(await get('/api/tasks?capability=gpu&text=absent')), []);
  t.strictSame(ids(await get('/api/tasks?text=of%20make')), [2].map(aTaskId));
  t.strictSame(ids(await get(`/api/tasks?failed_by=${BENCH_AGENT}`)), [2].map(aTaskId));
  t.equal(rows(await get(`/api/tasks?failed_by=${BENCH_AGENT}`))[0]?.['failed_by'], BENCH_AGENT);

  const prefix = aTaskId(1).slice(0, -1);
  t.strictSame(ids(await get(`/api/tasks?id_prefix=${prefix}`)), [1, 2, 3].map(aTaskId), 'by ID');
  t.strictSame(ids(await get(`/api/tasks?id_prefix=${aTaskId(2)}`)), [2].map(aTaskId));
  t.strictSame(ids(await get(`/api/tasks?id_prefix=${aTaskId(1)}`, 'submitter')), [], 'of another submitter');
  for (const query of [
    'id_prefix=task-00',
    'id_prefix=0000',
    `id_prefix=${prefix}&status=queued`,
    ...['since=-1', 'text='],
    `text=${'x'.repeat(257)}`,
  ])
    t.strictSame(refusals(await get(`/api/tasks?${query}`)), [400, 'validation_failed'], query);
  t.match((await get('/api/tasks?statsu=queued')).json['details'], [
    { field: 'statsu', detail: /^is unknown; known parameters are .*status/ },
  ]);
});

t.test('a search without an index scans a limited number of tasks, and the next page continues', async (t) => {
  const count = SEARCHED_MAX + 60;
  const all = Array.from({ length: count }, (_, n) => aTask({ id: aTaskId(n), createdAtMs: A_MOMENT_MS + n }));
  const oldest = { ...all[0], requirement: aRequirement(['rare']) } as (typeof all)[number];
  await bench.commit(inserting(oldest, ...all.slice(1)));
  const first = await get('/api/tasks?capability=rare');
  t.strictSame(ids(first), [], 'not among the newest');
  t.equal(first.json['next_cursor'], `${A_MOMENT_MS + 60}.${aTaskId(60)}`);
  const second = await get(`/api/tasks?capability=rare&cursor=${String(first.json['next_cursor'])}`);
  t.strictSame([ids(second), second.json['next_cursor']], [[aTaskId(0)], null]);
});

t.test('an invalid query is refused, not ignored', async (t) => {
  const bad = ['status=running', 'status=', 'stauts=queued', 'status=queued&status=assigned', 'priority=asap', 'assigned_to=A1'];
  const pages = [
    'limit=0',
    'limit=501',
    'limit=-1',
    'limit=ten',
    'limit=1e2',
    'cursor=x',
    `cursor=1.${aTaskId(1)}.2`,
    'cursor=',
    'status=%00',
    '__proto__=x',
  ];
  for (const query of [...bad, ...pages]) t.strictSame(refusals(await get(`/api/tasks?${query}`)), [400, 'validation_failed'], query);
  for (const path of [
    '/api/agents?limit=501',
    '/api/agents?cursor=A',
    '/api/tasks/dead-letter?status=queued',
    '/api/events?type=x',
    '/api/events?task_id=1',
  ]) {
    t.strictSame(refusals(await get(path)), [400, 'validation_failed'], path);
  }
  t.strictSame(refusals(await get('/admin/tokens?cursor=x', 'admin')), [400, 'validation_failed']);
});

t.test('pages neither skip nor repeat while tasks are added', async (t) => {
  const tasks = Array.from({ length: 125 }, (_, n) => aTask({ id: aTaskId(n), createdAtMs: A_MOMENT_MS + Math.floor(n / 10) }));
  await bench.commit(inserting(...tasks));
  const seen: unknown[] = [];
  let cursor: unknown = '';
  for (let page = 0; cursor !== null; page += 1) {
    const got = await get(`/api/tasks?limit=60${cursor === '' ? '' : `&cursor=${String(cursor)}`}`);
    t.equal(got.status, 200);
    seen.push(...ids(got));
    cursor = got.json['next_cursor'];
    await bench.commit(inserting(aTask({ id: aTaskId(1_000 + page), createdAtMs: A_MOMENT_MS + 1_000 + page })));
  }
  t.strictSame(seen, tasks.map((task) => task.id).reverse());
  t.equal((await get('/api/tasks?limit=500')).json['next_cursor'], null);
  t.equal(ids(await get('/api/tasks')).length, 50, '50 by default');
});

t.test('a page of large results ends early and continues from its cursor', async (t) => {
  const large = JSON.stringify('x'.repeat(1_000_000));
  const tasks = Array.from({ length: 12 }, (_, n) => aTask({ id: aTaskId(n), createdAtMs: A_MOMENT_MS + n, status: 'completed' }));
  await bench.commit({ ...inserting(...tasks), results: tasks.map((task) => ({ taskId: task.id, json: large })) });
  const first = await get('/api/tasks?limit=12');
  const second = await get(`/api/tasks?limit=12&cursor=${String(first.json['next_cursor'])}`);
  t.ok(ids(first).length < 12 && first.text.length < 10_000_000, `${ids(first).length} on the first`);
  t.strictSame([...ids(first), ...ids(second)], tasks.map((task) => task.id).reverse());
  t.equal(second.json['next_cursor'], null);
});

t.test('a single task has its history and the reason why it waits', async (t) => {
  const task = aTask({ requirement: { capabilities: ['gpu'], assignTo: null } });
  const event = anEvent({ details: { by: 'tok-1' } });
  await bench.commit({ ...inserting(task), events: [event] });
  const got = await get(`/api/tasks/${task.id}`);
  t.strictSame(got.json['history'], [{ event: 'submitted', timestamp: A_MOMENT_MS, details: { by: 'tok-1' } }]);
  t.strictSame(got.json['waiting_for'], {
    reason: 'capabilities',
    kind: 'capability_missing',
    message: 'No agent has "gpu": the only agent lacks it.',
    capabilities: ['gpu'],
    agent_count: 1,
  });
  t.ok('tokens_used' in got.json);
  for (const id of [aTaskId(9), 'task-x', '..%2f..%2fetc', '%00'])
    t.strictSame(refusals(await get(`/api/tasks/${id}`)), [404, 'unknown_task'], id);
});

t.test('the reason for waiting reflects the current agents and dependencies', async (t) => {
  const agent = anAgent({ id: BENCH_AGENT });
  const held = anAssignedTask(BENCH_AGENT, { id: aTaskId(2) });
  const blocked = aTask({ id: aTaskId(3), status: 'blocked', dependsOn: [held.id] });
  const named = aTask({ id: aTaskId(4), requirement: { capabilities: [], assignTo: BENCH_AGENT } });
  const scheduled = aTask({ id: aTaskId(5), status: 'scheduled', runAtMs: A_MOMENT_MS + 5_000 });
  await bench.commit({ ...inserting(aTask(), held, blocked, named, scheduled), agents: [agent] });
  const reason = async (n: number): Promise<unknown> => {
    const { json } = await get(`/api/tasks/${aTaskId(n)}`);
    return (json['waiting_for'] as Readonly<Record<string, unknown>> | null)?.['reason'] ?? null;
  };
  t.strictSame(await Promise.all([1, 2, 3, 4, 5].map(reason)), ['agent_busy', 'not_woken', 'dependency', 'agent_busy', 'scheduled']);
  await bench.commit(changes({ agents: [{ ...agent, connected: false, disconnectedAtMs: A_MOMENT_MS }] }));
  t.equal(await reason(2), 'agent_away');
  await bench.commit(
    changes({
      agents: [{ ...agent, slots: 3 }],
      stopsSet: [aStop({ agentId: BENCH_AGENT, taskId: aTaskId(2), generation: aGeneration(0) })],
    }),
  );
  t.equal(await reason(1), 'about_to_be_assigned');
  await bench.commit(changes({ agents: [{ ...agent, slots: 2 }] }));
  t.equal(await reason(1), 'agent_busy', 'an unconfirmed stop holds a slot');
});

t.test('submitters and agents see only their own tasks', async (t) => {
  const own = aTask({ id: aTaskId(1), submittedBy: 'tok-submitter' });
  const foreign = anAssignedTask(BENCH_AGENT, { id: aTaskId(2), submittedBy: 'tok-other' });
  const dead = aTask({ id: aTaskId(3), status: 'dead_letter', submittedBy: 'tok-other' });
  await bench.commit(inserting(own, foreign, dead));
  t.strictSame(ids(await get('/api/tasks', 'submitter')), [own.id]);
  t.strictSame(ids(await get('/api/tasks/dead-letter', 'submitter')), []);
  t.equal((await get(`/api/tasks/${own.id}`, 'submitter')).status, 200);
  t.strictSame(refusals(await get(`/api/tasks/${foreign.id}`, 'submitter')), [404, 'unknown_task']);
  t.strictSame(refusals(await post(`/api/tasks/${foreign.id}/cancel`, 'submitter')), [404, 'unknown_task']);
  t.equal(bench.commands.length, 0, 'and nothing reached the queue');
  t.equal((await post(`/api/tasks/${own.id}/cancel`, 'submitter')).status, 200);
  t.equal((await get(`/api/tasks/${foreign.id}`, 'agent')).status, 200);
  t.strictSame(refusals(await get(`/api/tasks/${own.id}`, 'agent')), [404, 'unknown_task']);
  t.strictSame(refusals(await get('/api/events', 'submitter')), [403, 'forbidden']);
  t.strictSame(refusals(await get(`/api/events?task_id=${foreign.id}`, 'submitter')), [404, 'unknown_task']);
  const stream = await bench.open(`/api/events?task_id=${own.id}`, { token: 'submitter' });
  t.equal(stream.status, 200);
  await stream.body?.cancel();
});

t.test('cancel, retry and adopt reach the queue', async (t) => {
  const dead = aTask({ id: aTaskId(2), status: 'dead_letter', generation: aGeneration(3) });
  const done = aTask({ id: aTaskId(3), status: 'completed', generation: aGeneration(1) });
  const name = { generation: aGeneration(1), agentId: anAgentId(), kind: 'late', bytes: 11, sha256: 'a'.repeat(64), atMs: 1 } as const;
  const late = aTask({
    id: aTaskId(4),
    generation: aGeneration(2),
    takenBack: { agentId: anAgentId(), generation: aGeneration(1) },
    kept: { results: [name], refused: [] },
  });
  const kept = { ...name, taskId: late.id, reason: 'late', result: '{"ok":true}', details: null };
  await bench.commit({ ...inserting(aTask(), dead, done, late), kept: [kept] });

  t.match(await post(`/api/tasks/${aTaskId(1)}/cancel`), {
    status: 200,
    json: { task_id: aTaskId(1), status: 'cancelled', generation: 1 },
  });
  t.strictSame(refusals(await post(`/api/tasks/${aTaskId(1)}/cancel`)), [409, 'invalid_state']);
  t.strictSame(refusals(await post(`/api/tasks/${done.id}/cancel`)), [409, 'invalid_state']);
  t.match(await post(`/api/tasks/${dead.id}/retry`, 'operator', {}), { status: 200, json: { status: 'queued', generation: 4 } });
  t.strictSame(refusals(await post(`/api/tasks/${done.id}/retry`)), [409, 'invalid_state']);
  t.strictSame(refusals(await post(`/api/tasks/${dead.id}/retry`, 'operator', { force: true })), [400, 'validation_failed']);
  t.strictSame(refusals(await post(`/api/tasks/${late.id}/adopt`, 'operator', {})), [400, 'validation_failed']);
  t.strictSame(refusals(await post(`/api/tasks/${done.id}/adopt`, 'operator', { generation: 1 })), [409, 'invalid_state']);
  t.match(await post(`/api/tasks/${late.id}/adopt`, 'operator', { generation: 1 }), { status: 200, json: { status: 'completed' } });
  t.strictSame((await get(`/api/tasks/${late.id}`)).json['result'], { ok: true });
  for (const verb of ['cancel', 'retry']) {
    t.strictSame(refusals(await post(`/api/tasks/${aTaskId(99)}/${verb}`)), [404, 'unknown_task'], verb);
    t.strictSame(refusals(await post(`/api/tasks/nonsense/${verb}`)), [404, 'unknown_task'], verb);
  }
  t.ok(
    bench.commands.every((command) => !('by' in command) || command.by === 'tok-operator'),
    'the token is named',
  );
});

t.test('R7: stats count everything, including what was refused', async (t) => {
  await bench.commit({
    ...inserting(
      aTask(),
      aTask({ id: aTaskId(2), priority: 'low' }),
      anAssignedTask(BENCH_AGENT, { id: aTaskId(3) }),
      aTask({ id: aTaskId(4), status: 'blocked' }),
    ),
    agents: [anAgent({ id: BENCH_AGENT }), newAgent(anAgentId('b1')), anAgent({ id: anAgentId('c1'), draining: true })],
  });
  await get('/api/tasks?status=none');
  await get('/api/tasks?status=none');
  await get('/nowhere');
  t.strictSame((await get('/api/tasks/stats')).json, {
    scheduled: 0,
    blocked: 1,
    queued: 2,
    assigned: 1,
    completed: 0,
    cancelled: 0,
    dead_letter: 0,
    queued_by_priority: { ...Object.fromEntries(PRIORITIES.map((priority) => [priority, 0])), normal: 1, low: 1 },
    oldest_ready: { urgent: null, high: null, normal: A_MOMENT_MS, low: A_MOMENT_MS },
    agents: { offline: 1, idle: 0, working: 1, stopping: 0, draining: 1, paused: 0 },
    refused: { frames: { invalid_json: 2 }, sockets: {}, requests: { unknown_route: 1, validation_failed: 2 } },
  });
});

t.test('agents', async (t) => {
  const held = anAssignedTask(BENCH_AGENT, { generation: aGeneration(4) });
  const paused = anAgent({
    id: anAgentId('b1'),
    pausedUntilMs: A_MOMENT_MS + 1_000,
    pausedReason: 'not logged in',
    resources: { cpu_percent: 5 },
  });
  await bench.commit({ ...inserting(held), agents: [anAgent({ id: BENCH_AGENT, capabilities: ['code'], slots: 2 }), paused] });
  t.strictSame((await get('/api/agents/a1')).json, {
    agent_id: 'a1',
    name: 'a1',
    status: 'working',
    capabilities: ['code'],
    slots: 2,
    connected: true,
    connected_at: A_MOMENT_MS,
    disconnected_at: null,
    last_seen: A_MOMENT_MS,
    protocol_version: 2,
    device_key_bound: false,
    draining: false,
    draining_reason: null,
    drain_until: null,
    paused_until: null,
    paused_reason: null,
    paused_cause: null,
    checks: null,
    busy_until: null,
    busy_reason: null,
    conflict_until: null,
    reported_status: null,
    current_task: held.id,
    tasks: [{ task_id: held.id, generation: 4, assigned_at: A_MOMENT_MS, accepted_at: A_MOMENT_MS }],
    pending_stops: 0,
    resources: null,
    waiting_for: { kind: 'free', message: 'has 1 free slot and gets the next task that it can run' },
  });
  t.match((await get('/api/agents/b1')).json, { status: 'paused', paused_reason: 'not logged in', resources: { cpu_percent: 5 } });
  const first = await get('/api/agents?limit=1');
  const second = await get(`/api/agents?limit=1&cursor=${String(first.json['next_cursor'])}`);
  t.strictSame(
    [...rows(first, 'agents'), ...rows(second, 'agents')].map((agent) => agent['agent_id']),
    ['a1', 'b1'],
  );
  t.equal(second.json['next_cursor'], null);
  for (const id of ['nobody', 'A1', '..']) t.equal((await get(`/api/agents/${id}`)).status, 404, id);
});

t.test('drain, resume, check and takeover reach the queue', async (t) => {
  for (const change of ['drain', 'resume', 'check', 'takeover']) {
    const got = await post(`/api/agents/${BENCH_AGENT}/${change}`);
    t.strictSame([got.status, got.json], [200, { agent_id: BENCH_AGENT, change }]);
    const audit = change === 'check' ? {} : { audit: { act: `agent.${change}`, object: BENCH_AGENT } };
    t.match(bench.commands.at(-1), { kind: 'agent_control', agentId: BENCH_AGENT, change, ...audit });
    t.notOk('deadlineMs' in (bench.commands.at(-1) ?? {}));
    t.strictSame(refusals(await post(`/api/agents/nobody/${change}`)), [404, 'unknown_agent']);
    t.strictSame(refusals(await post(`/api/agents/N/${change}`)), [404, 'unknown_agent']);
    t.strictSame(refusals(await post(`/api/agents/${BENCH_AGENT}/${change}`, 'operator', { deadline: 1 })), [400, 'validation_failed']);
  }
  const drain = `/api/agents/${BENCH_AGENT}/drain`;
  t.equal((await post(drain, 'operator', { deadline_ms: 60_000 })).status, 200);
  t.match(bench.commands.at(-1), { kind: 'agent_control', agentId: BENCH_AGENT, change: 'drain', deadlineMs: 60_000 });
  t.type((await get(`/api/agents/${BENCH_AGENT as AgentId}`)).json['drain_until'], 'number');
  for (const deadline_ms of [-1, 0.5, '1', 1e15])
    t.equal((await post(drain, 'operator', { deadline_ms })).status, 400, String(deadline_ms));
  t.equal((await post(`/api/agents/${BENCH_AGENT}/resume`)).status, 200);
  t.equal((await get(`/api/agents/${BENCH_AGENT as AgentId}`)).json['draining'], false, 'the resume came after the drain');
});

t.test('metadata and result are returned as stored', async (t) => {
  const metadata = '{"b":1,"a":{"__proto__":{"x":1.50}}}';
  const task = aTask({ status: 'completed' });
  await bench.commit(
    changes({
      inserted: [{ task, dueAtMs: null, body: aBody({ metadata }) }],
      results: [{ taskId: task.id, json: '[12345678901234567890]' }],
    }),
  );
  for (const path of ['/api/tasks', `/api/tasks/${task.id}`]) {
    const { text } = await get(path);
    t.ok(text.includes(`"metadata":${metadata}`) && text.includes('"result":[12345678901234567890]'), path);
  }
});

t.test('R20: reads of one token are bounded and take turns, without delaying other tokens', async (t) => {
  const { opened: released, open: release } = gate();
  let running = 0;
  const slow = async () => {
    running += 1;
    await released;
    return [];
  };
  const tasks = { ...bench.storage.tasks, list: slow };
  const small = await hubBench({ limits: { readsPerToken: 4 }, deps: { tasks } });
  const list = (token: string): Promise<Answered> => small.send('/api/tasks', { token });
  const requested = Array.from({ length: 4 }, () => list('viewer'));
  const over = await list('viewer');
  t.strictSame([over.status, over.json['error'], over.headers.get('retry-after')], [429, 'rate_limited', '1']);
  t.equal(running, 2, 'two run, two wait');
  const others = list('operator');
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(running, 3, 'another token has its own turn');
  t.equal((await small.send('/api/tasks', { token: 'admin', json: { description: 'x' } })).status, 201, 'writes wait for no read');
  release();
  t.strictSame(
    (await Promise.all([...requested, others])).map(({ status }) => status),
    [200, 200, 200, 200, 200],
  );
  t.equal((await list('viewer')).status, 200, 'there is room again');
  t.equal(running, 6);
  await small.close();
});
