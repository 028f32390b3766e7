/** The commands about agents and tokens, against a real HTTP server that records what it is asked. */
import t from 'tap';
import { testHub } from './cli-world.ts';

const ID = 'task-00000000000000aa';

t.test('push, agents, stats and tokens', async (t) => {
  const agent = {
    agent_id: 'w1',
    name: 'w1',
    status: 'paused',
    capabilities: ['code'],
    slots: 2,
    connected: true,
    last_seen: 1,
    paused_reason: 'three in a row',
    current_task: ID,
    tasks: [{ task_id: ID, generation: 1 }],
  };
  const hub = await testHub(t, (app) =>
    app
      .post('/api/admin/push-task', (c) => c.json({ status: 'pushed', task_id: ID, agent_id: 'w1' }))
      .get('/api/agents', (c) => c.json({ agents: [agent], next_cursor: null }))
      .get('/api/agents/w1', (c) => c.json(agent))
      .get('/api/tasks/stats', (c) =>
        c.json({ queued: 2, lanes: { urgent: 1, low: 1 }, refused: { frames: { invalid_json: 3, stale_generation: 1 }, sockets: {} } }),
      )
      .post('/admin/tokens', (c) => c.json({ id: 'token-1', token: 'ac_secret', role: 'agent', agent_id: 'w1' }, 201))
      .get('/admin/tokens', (c) =>
        c.json({ tokens: [{ id: 'token-1', role: 'agent', agent_id: 'w1', prefix: 'ac_s', created_at: 0 }], next_cursor: null }),
      )
      .delete('/admin/tokens/:id', (c) => c.json({ revoked: 1 })),
  );
  t.strictSame(await hub.run(['push', 'w1', 'now', '-m', '{"a":1}']), { code: 0, out: `${ID} pushed to w1\n`, err: '' });
  t.strictSame(JSON.parse(hub.requests[0]?.body ?? ''), { agent_id: 'w1', description: 'now', metadata: { a: 1 } });
  t.match(
    (await hub.run(['agents'])).out,
    /^AGENT {2}STATUS.*\nw1 {5}paused {2}1\/2 {4}now {3}task-00000000000000aa {2}code {10}three in a row\n$/,
  );
  t.match((await hub.run(['agents', 'w1'])).out, /^paused_reason {5}three in a row$/m);
  t.equal(
    (await hub.run(['stats'])).out,
    'queued            2\nlanes             urgent 1  low 1\nrefused frames    invalid_json 3  stale_generation 1\n',
  );
  t.strictSame(await hub.run(['tokens', 'create', '--agent', 'w1', '--capability', 'code', '--max-slots', '3']), {
    code: 0,
    out: 'ac_secret\n',
    err: 'token-1 (agent); it is shown this once.\n',
  });
  t.strictSame(JSON.parse(hub.requests.at(-1)?.body ?? ''), { agent_id: 'w1', capabilities: ['code'], max_slots: 3 });
  t.match((await hub.run(['tokens', 'list'])).out, /\ntoken-1 {2}agent {2}w1 {3}ac_s {4}1970-01-01 00:00:00Z\n$/);
  t.strictSame(await hub.run(['tokens', 'revoke', 'w1']), { code: 0, out: 'w1 is revoked\n', err: '' });
});

t.test('each agent is told by itself, and the first refusal decides the exit code', async (t) => {
  const hub = await testHub(t, (app) =>
    app.post('/api/agents/:id/:change', (c) => {
      const { id, change } = c.req.param();
      if (id === 'nobody') return c.json({ error: 'unknown_agent', message: 'There is no such agent.' }, 404);
      return c.json({ agent_id: id, change });
    }),
  );
  t.strictSame(await hub.run(['drain', 'w1', 'w.2']), {
    code: 0,
    out: 'w1 finishes what it has and gets nothing new\nw.2 finishes what it has and gets nothing new\n',
    err: '',
  });
  t.strictSame(await hub.run(['resume', 'w1', '--json']), { code: 0, out: '{"agent_id":"w1","change":"resume"}\n', err: '' });
  t.match(await hub.run(['takeover', 'nobody', 'w1']), { code: 7, out: 'w1 may come back on another machine\n', err: /no such agent/i });
  t.strictSame(
    hub.requests.map(({ request }) => request),
    ['drain', 'drain', 'resume', 'takeover', 'takeover'].map(
      (change, index) => `POST /api/agents/${['w1', 'w.2', 'w1', 'nobody', 'w1'][index] ?? ''}/${change}`,
    ),
  );
  t.match(await hub.run(['drain', 'w1', '--deadline', '10m']), { code: 0, out: /hands back what is left/ });
  t.strictSame(JSON.parse(hub.requests.at(-1)?.body ?? ''), { deadline_ms: 600_000 });
  t.match(await hub.run(['drain']), { code: 2, err: /missing required argument 'agents'/ });
});

t.test('a drain that is waited for returns when nothing is left', async (t) => {
  const left = [
    { tasks: ['task-1'], pending_stops: 0 },
    { tasks: [], pending_stops: 1 },
    { tasks: [], pending_stops: 0 },
  ];
  const hub = await testHub(t, (app) =>
    app
      .post('/api/agents/:id/drain', (c) => c.json({ agent_id: c.req.param('id'), change: 'drain' }))
      .get('/api/agents/:id', (c) => c.json({ agent_id: c.req.param('id'), ...left.shift() })),
  );
  t.match(await hub.run(['drain', 'w1', '--wait']), { code: 0, out: /w1 finishes what it has .*\nw1 has nothing left\n/ });
  t.strictSame(left, [], 'it was looked at until then');
});
