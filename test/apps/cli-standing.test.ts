/** `agentcom drain`, `resume` and `takeover` against a real HTTP server that records what it is asked. */
import t from 'tap';
import { testHub } from './cli-world.ts';

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
  t.match(await hub.run(['drain']), { code: 2, err: /missing required argument 'agents'/ });
});
