/** The client as a web page gets it, over `fetch`: how it differs from Node's. Pages in a real browser: test/browser. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { hubClient } from '../../../apps/client/browser.ts';
import { freePort } from '../cli/cli-world.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { runningHub } from '../running-hub.ts';
import { bundledForBrowser } from './page-program.ts';
import { listening } from './scripted-hub.ts';

t.setTimeout(60_000);

t.test('a bundler picks the browser client, which uses nothing from Node', (t) => {
  const text = bundledForBrowser("import { hubClient } from 'agentcom/client'; globalThis.hub = hubClient({ url: location.origin });");
  t.match(text, /getRandomValues/);
  t.notMatch(text, /node:|require\(|Buffer\b|process\./);
  t.comment(`${(text.length / 1_000).toFixed(0)} kB, not minified`);
  t.end();
});

t.test('batched submits, streams, output and refusals work', async (t) => {
  const running = await runningHub();
  t.teardown(() => running.stop());
  const { url, adminToken: token } = running;
  const hub = hubClient({ url, token });
  const agent = await running.agent('a1');
  const submitted = await Promise.all(['one', 'two', 'three'].map((description) => hub.tasks.submit({ description })));
  t.equal(new Set(submitted.map(({ task_id: id }) => id)).size, 3);
  const ended = hub.tasks.wait(submitted[0]?.task_id ?? '');
  const { task_id: taskId, generation } = await agent.frame('task_assign');
  const about = { task_id: taskId, generation };
  agent.send({ type: 'task_accepted', ...about });
  agent.send({ type: 'task_output', ...about, stream: 'agent', text: 'hälf', seq: 0, dropped: 0 });
  agent.send({ type: 'task_complete', ...about, result: { text: 'done' } });
  t.match(await ended, { status: 'completed', result: { text: 'done' } });
  for await (const { text } of hub.tasks.followOutput(String(taskId))) t.equal(text, 'hälf');
  await t.rejects(hub.tasks.submit({ description: '' }), { code: 'AC_API', details: { status: 400 } });
  await t.rejects(hubClient({ url, token: 'nobody' }).whoami(), { code: 'AC_API', details: { status: 401 } });

  const stop = new AbortController();
  let seen = 0;
  for await (const _ of hub.events({ lastEventId: '0', signal: stop.signal })) {
    seen += 1;
    if (seen === 3) stop.abort();
  }
  t.equal(seen, 3, 'a stream ends when it is aborted');
});

t.test('the hub answers CORS preflights for allowed origins only', async (t) => {
  const running = await runningHub({ origins: ['http://LOCALHOST:5173', 'https://ops.example:443'] });
  t.teardown(() => running.stop());
  const preflight = async (origin: string) => {
    const headers = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    const { status, headers: got } = await fetch(`${running.url}/api/tasks/batch`, { method: 'OPTIONS', headers });
    return [status, got.get('access-control-allow-origin')];
  };
  for (const origin of ['http://localhost:5173', 'https://ops.example']) t.strictSame(await preflight(origin), [204, origin]);
  t.strictSame(await preflight('http://localhost:5174'), [405, null]);
  t.strictSame(await preflight('https://evil.example'), [403, null]);
});

t.test('an unreachable hub is reported with what a page can know, and a remedy', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`;
  await t.rejects(hubClient({ url, retryWithinMs: 0 }).tasks.stats(), {
    code: 'AC_API_UNREACHABLE',
    message: /cannot be reached: the browser does not say why.* hub\.listen\.origins\. Start it with "agentcom hub"/,
    details: { reason: 'ENETWORK' },
  });
});

t.test('a request that may have been received is repeated only if that is safe', async (t) => {
  let calls = 0;
  const app = new ScriptedApp().otherwise(() => {
    calls += 1;
    server.closeAllConnections();
    return new Response(null, { status: 204 });
  });
  const { url, server } = await listening(t, app);
  const retries: string[] = [];
  const hub = hubClient({ url, retryWithinMs: 500, onRetry: (why) => retries.push(why) });
  await t.rejects(hub.tasks.cancel('task-00000000000000aa'), { code: 'AC_API_UNREACHABLE' });
  t.strictSame([calls, retries.length], [1, 0]);
  await t.rejects(hub.tasks.stats(), { code: 'AC_API_UNREACHABLE' });
  t.ok(calls > 2 && retries.length > 0, 'a read is repeated');
});

t.test('a truncated answer is reported as unreachable', async (t) => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"tasks":', () => response.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await t.rejects(hubClient({ url, retryWithinMs: 0 }).tasks.list(), { code: 'AC_API_UNREACHABLE', details: { reason: 'ENETWORK' } });
});

t.test('a missing answer can be aborted, and a redirect is refused', async (t) => {
  const app = new ScriptedApp()
    .get('/api/tasks/:id', () => new Promise<Response>(() => undefined))
    .get('/health', () => Response.redirect('http://127.0.0.1:1/elsewhere', 302));
  const { url, server } = await listening(t, app);
  const hub = hubClient({ url, token: 'x', retryWithinMs: 0 });
  await t.rejects(hub.health(), { code: 'AC_API', message: /it redirects/ }, 'the token is not sent there');
  const stop = new AbortController();
  const requested = once(server, 'request');
  const got = hub.tasks.get('task-00000000000000aa', { signal: stop.signal });
  await requested;
  stop.abort(new Error('enough'));
  await t.rejects(got, { message: 'enough' });
});
