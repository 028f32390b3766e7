/** The commands about agents and tokens, against a real HTTP server that records its requests. */
import t from 'tap';
import type { AgentJson } from '../../../apps/client/index.ts';
import { seenText } from '../../../apps/cli/output/agent-text.ts';
import { testHub } from './cli-world.ts';

const ID = 'task-00000000000000aa';
const A_TIME_MS = 1_700_000_000_000;

t.test('agents and tokens are listed completely, however many pages they fill', async (t) => {
  const asked: (string | null)[] = [];
  const common = { tasks: [], capabilities: [], slots: 1, status: 'idle', connected: true, created_at: 0, role: 'agent', prefix: 'a' };
  const pageOf = (target: string, name: string, id: string) => {
    const cursor = new URL(target, 'http://x').searchParams.get('cursor');
    asked.push(cursor);
    const n = Number(cursor ?? 1);
    return {
      [name]: [{ [id]: `${name}-${n}`, ...common }],
      next_cursor: n < 3 ? `${n + 1}` : null,
    };
  };
  const hub = await testHub(t, (app) =>
    app
      .get('/api/agents', (c) => c.json(pageOf(c.target, 'agents', 'agent_id')))
      .get('/admin/tokens', (c) => c.json(pageOf(c.target, 'tokens', 'id'))),
  );
  const all = (out: string, name: string, id: string): readonly unknown[] =>
    (JSON.parse(out) as Record<string, Record<string, unknown>[]>)[name]?.map((item) => item[id]) ?? [];
  t.strictSame(all((await hub.run(['agents', '--json'])).out, 'agents', 'agent_id'), ['agents-1', 'agents-2', 'agents-3']);
  t.match((await hub.run(['agents'])).out, /agents-1.*agents-2.*agents-3/s);
  t.strictSame(all((await hub.run(['tokens', 'list', '--json'])).out, 'tokens', 'id'), ['tokens-1', 'tokens-2', 'tokens-3']);
  t.strictSame(asked, Array.from({ length: 3 }, () => [null, '2', '3']).flat());
});

t.test('push, agents, stats and tokens', async (t) => {
  const agent = {
    agent_id: 'w1',
    name: 'w1',
    status: 'paused',
    capabilities: ['code'],
    slots: 2,
    connected: true,
    last_seen: Date.now(),
    paused_reason: 'three in a row',
    current_task: ID,
    tasks: [{ task_id: ID, generation: 1, assigned_at: Date.now() - 7_260_000, accepted_at: A_TIME_MS }],
    pending_stops: 0,
    connected_at: A_TIME_MS,
    paused_until: A_TIME_MS + 1_000,
    protocol_version: 2,
    resources: null,
    waiting_for: { kind: 'paused', message: 'is paused' },
    checks: {
      ok: false,
      reported_at: A_TIME_MS,
      failed: [{ check: 'login', message: 'no\u0007' }],
      passed: [{ check: 'program', message: '/bin/agent' }],
    },
  };
  const hub = await testHub(t, (app) =>
    app
      .post('/api/admin/push-task', (c) => c.json({ status: 'pushed', task_id: ID, agent_id: 'w1' }))
      .get('/api/agents', (c) => c.json({ agents: [agent], next_cursor: null }))
      .get('/api/agents/w1', (c) => c.json(agent))
      .get('/api/tasks/stats', (c) =>
        c.json({
          queued: 2,
          queued_by_priority: { urgent: 1, low: 1 },
          oldest_ready: { urgent: Date.now() - 65_000, low: null },
          refused: { frames: { invalid_json: 3, stale_generation: 1 }, sockets: {} },
        }),
      )
      .post('/admin/tokens', (c) => c.json({ id: 'token-1', token: 'ac_secret', role: 'agent', agent_id: 'w1' }, 201))
      .get('/admin/tokens', (c) =>
        c.json({
          tokens: [
            { id: 'token-1', role: 'agent', agent_id: 'w1', prefix: 'ac_s', created_at: 0, last_used_at: Date.now() - 120_500 },
            { id: 'token-2', role: 'viewer', name: 'ci', prefix: 'ac_s', created_at: 0, revoked_at: Date.now() - 3_700_000, expires_at: 1 },
            {
              id: 'token-3',
              role: 'viewer',
              name: 'x',
              prefix: 'ac_s',
              created_at: 0,
              expires_at: Date.now() - 172_900_000,
              last_used_at: null,
            },
            { id: 'token-4', role: 'viewer', name: 'y', prefix: 'ac_s', created_at: 0, expires_at: Date.now() + 172_900_000 },
            { id: 'token-5', role: 'submitter', name: 'z', prefix: 'ac_s', created_at: 0, submits_as: 'token-0' },
            { id: 'token-6', role: 'submitter', name: 'q', prefix: 'ac_s', created_at: 0, submits_as: 'token-6' },
            { id: 'token-7', role: 'agent', agent_id: 'w2', prefix: 'ac_s', created_at: 0, submits_as: 'token-0' },
          ],
          next_cursor: null,
        }),
      )
      .get('/api/whoami', (c) => c.json({ id: 'tok-1', name: 'ci\u001b', role: 'viewer', agent_id: null, server_time: 1 }))
      .delete('/admin/tokens/:id', (c) => c.json({ revoked: 1 })),
  );
  t.strictSame(await hub.run(['push', 'w1', 'now', '-m', '{"a":1}']), { code: 0, out: `${ID} pushed to w1\n`, err: '' });
  t.strictSame(JSON.parse(hub.requests[0]?.body ?? ''), { agent_id: 'w1', description: 'now', metadata: { a: 1 } });
  t.match(
    (await hub.run(['agents'])).out,
    /^AGENT {2}STATUS.*\nw1 {5}paused {2}1\/2 {4}now {3}task-00000000000000aa {2}code {10}three in a row\n$/,
  );
  t.equal(
    (await hub.run(['agents', 'w1', '--utc'])).out,
    `w1
status        paused
connected     yes, since 2023-11-14 22:13:20 UTC
seen          now
slots         1 of 2 taken
capabilities  code
paused        three in a row, until 2023-11-14 22:13:21
protocol      version 2

TASK                   GENERATION  ACCEPTED             AGE
task-00000000000000aa  1           2023-11-14 22:13:20  2h

checks at 2023-11-14 22:13:20: some failed
  login: no\\x07
  program: /bin/agent
`,
  );
  t.equal(
    (await hub.run(['stats'])).out,
    'queued              2\nqueued by priority  urgent 1  low 1\noldest ready        urgent 1m\nrefused frames      invalid_json 3  stale_generation 1\n',
  );
  t.strictSame(await hub.run(['tokens', 'create', '--agent', 'w1', '--capability', 'code', '--max-slots', '3']), {
    code: 0,
    out: 'ac_secret\n',
    err: 'token-1 (agent). The token is not shown again.\n',
  });
  t.strictSame(JSON.parse(hub.requests.at(-1)?.body ?? ''), { agent_id: 'w1', capabilities: ['code'], max_slots: 3 });
  const [titles, ...rows] = (await hub.run(['tokens', 'list', '--utc'])).out.trimEnd().split('\n').map((line) => line.split(/ {2,}/)); // prettier-ignore
  const made = '1970-01-01 00:00:00';
  t.strictSame(titles, ['ID', 'ROLE', 'FOR', 'STATE', 'LAST USED', 'PREFIX', 'CREATED (UTC)']);
  t.strictSame(rows, [
    ['token-1', 'agent', 'w1', 'live', '2m', 'ac_s', made],
    ['token-2', 'viewer', 'ci', 'revoked 1h ago', '-', 'ac_s', made],
    ['token-3', 'viewer', 'x', 'expired 2d ago', '-', 'ac_s', made],
    ['token-4', 'viewer', 'y', 'live, expires in 2d', '-', 'ac_s', made],
    ['token-5', 'submitter', 'z (submits as token-0)', 'live', '-', 'ac_s', made],
    ['token-6', 'submitter', 'q', 'live', '-', 'ac_s', made],
    ['token-7', 'agent', 'w2', 'live', '-', 'ac_s', made],
  ]);
  await hub.run(['tokens', 'create', '--name', 'ci', '--role', 'viewer', '--expires', '30d']);
  t.strictSame(JSON.parse(hub.requests.at(-1)?.body ?? ''), { name: 'ci', role: 'viewer', expires_in_ms: 2_592_000_000 });
  t.strictSame((await hub.run(['whoami'])).out, 'viewer, token ci\\e (tok-1)\n');
  t.strictSame(await hub.run(['tokens', 'revoke', 'w1']), { code: 0, out: 'w1 revoked\n', err: '' });
});

t.test('tokens rotate prints the new token and how long the old one still works', async (t) => {
  const hub = await testHub(t, (app) =>
    app.post(
      '/admin/tokens/:id/rotate',
      (c) =>
      c.json({ id: 'tok-2', role: 'agent', token: 'ac_new', rotated: { id: 'tok-1', expires_at: c.params['id'] === 'tok-1' ? Date.now() + 3_599_000 : 0 } }, 201), // prettier-ignore
    ),
  );
  t.strictSame(await hub.run(['tokens', 'rotate', 'tok-1']), {
    code: 0,
    out: 'ac_new\n',
    err: 'tok-2 (agent). The token is not shown again. tok-1 still works for 59m.\n',
  });
  t.strictSame(JSON.parse(hub.requests[0]?.body ?? ''), {});
  for (const [overlap, ms] of [
    ['2h', 7_200_000],
    ['0', 0],
    ['0s', 0],
  ] as const) {
    t.match(await hub.run(['tokens', 'rotate', 'tok-0', '--overlap', overlap]), { code: 0, err: /tok-0 no longer works\.\n$/ });
    t.strictSame(JSON.parse(hub.requests.at(-1)?.body ?? ''), { overlap_ms: ms });
  }
  t.match(await hub.run(['tokens', 'rotate', 'tok-1', '--overlap', 'soon']), { code: 2, err: /Expected a duration/ });
});

t.test('tokens rotate takes an agent with one live token', async (t) => {
  const token = (id: string, agent_id: string | null, more: object = {}) => ({ id, agent_id, revoked_at: null, expires_at: null, ...more });
  const later = Date.now() + 3_600_000;
  const hub = await testHub(t, (app) =>
    app
      .get('/admin/tokens', (c) =>
        c.json({
          tokens: [
            token('tok-a1', 'a', { revoked_at: 1 }),
            token('tok-a2', 'a', { expires_at: later, replaced_by: 'tok-a3' }),
            token('tok-a3', 'a', { expires_at: later }),
            token('tok-b1', 'b'),
            token('tok-b2', 'b'),
            token('tok-p', null),
          ],
          next_cursor: null,
        }),
      )
      .post('/admin/tokens/:id/rotate', (c) =>
        c.json({ id: 'tok-new', role: 'agent', token: 'ac_new', rotated: { id: c.params['id'], expires_at: 0 } }, 201),
      ),
  );
  t.match(await hub.run(['tokens', 'rotate', 'a']), { code: 0, out: 'ac_new\n', err: /tok-a3 no longer works/ });
  t.match(await hub.run(['tokens', 'rotate', 'b']), { code: 2, err: /Agent "b" has tok-b1 and tok-b2/ });
  t.match(await hub.run(['tokens', 'rotate', 'nosuch']), { code: 2, err: /Agent "nosuch" has no live token; create one/ });
});

t.test('each agent is reported separately, and the first refusal decides the exit code', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/agents/:id', (c) => c.json({ agent_id: c.params['id'], connected: true, checks: null }))
      .post('/api/agents/:id/:change', (c) => {
        const { id, change } = c.params;
        if (id === 'nobody') return c.json({ error: 'unknown_agent', message: 'There is no such agent.' }, 404);
        return c.json({ agent_id: id, change });
      }),
  );
  t.strictSame(await hub.run(['drain', 'w1', 'w.2']), {
    code: 0,
    out: 'w1 finishes what it has and gets no new tasks\nw.2 finishes what it has and gets no new tasks\n',
    err: '',
  });
  t.strictSame(await hub.run(['resume', 'w1', '--json']), { code: 0, out: '{"agent_id":"w1","change":"resume"}\n', err: '' });
  t.match(await hub.run(['takeover', 'nobody', 'w1']), { code: 7, out: 'w1 can connect from another machine\n', err: /no such agent/i });
  t.strictSame(
    hub.requests.map(({ request }) => request).filter((request) => request.startsWith('POST')),
    ['drain', 'drain', 'resume', 'takeover', 'takeover'].map(
      (change, index) => `POST /api/agents/${['w1', 'w.2', 'w1', 'nobody', 'w1'][index] ?? ''}/${change}`,
    ),
  );
  t.match(await hub.run(['drain', 'w1', '--deadline', '10m']), { code: 0, out: /hands back what is left/ });
  t.strictSame(JSON.parse(hub.requests.at(-1)?.body ?? ''), { deadline_ms: 600_000 });
  t.match(await hub.run(['drain']), { code: 2, err: /missing required argument 'agents'/ });
});

t.test('an agent that is still needed is not removed, and the hub reports why', async (t) => {
  const why = 'Agent w2 has a token that is not revoked. Revoke it first: DELETE /admin/tokens/w2.';
  const hub = await testHub(t, (app) =>
    app.delete('/api/agents/:id', (c) =>
      c.params['id'] === 'w2' ? c.json({ error: 'invalid_state', message: why }, 409) : c.json({ removed: c.params['id'] }),
    ),
  );
  t.match(await hub.run(['forget', 'w2', 'w1']), { out: 'w1 was removed, with its tokens\n', err: why });
  t.strictSame(
    hub.requests.map(({ request }) => request),
    ['DELETE /api/agents/w2', 'DELETE /api/agents/w1'],
  );
});

t.test('drain --wait returns when no assignment and no pending stop is left', async (t) => {
  const left = [
    { tasks: ['task-1'], pending_stops: 0 },
    { tasks: [], pending_stops: 1 },
    { tasks: [], pending_stops: 0 },
  ];
  const hub = await testHub(t, (app) =>
    app
      .post('/api/agents/:id/drain', (c) => c.json({ agent_id: c.params['id'], change: 'drain' }))
      .get('/api/agents/:id', (c) => c.json({ agent_id: c.params['id'], ...left.shift() })),
  );
  t.match(await hub.run(['drain', 'w1', '--wait']), { code: 0, out: /w1 finishes what it has .*\nw1 has nothing left\n/ });
  t.strictSame(left, [], 'it was polled until then');
});

t.test('a connected agent counts as seen now only if it was heard within a heartbeat', async (t) => {
  const nowMs = 10_000_000;
  const seen = (over: Partial<AgentJson>): string =>
    seenText({ connected: true, connected_at: 1_000_000, last_seen: nowMs, ...over } as AgentJson, nowMs);
  t.equal(seen({}), 'now');
  t.equal(seen({ last_seen: nowMs - 30_000 }), 'now', 'a heartbeat');
  t.equal(seen({ last_seen: nowMs - 41_000 }), '41s', 'a stopped one prints nothing');
  t.equal(seen({ last_seen: 1_000_000 }), 'now', 'another hub has its socket, and knows more');
  t.equal(seen({ connected: false, last_seen: nowMs - 5_000 }), '5s');
});
