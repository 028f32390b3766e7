/** The client against a real HTTP server with scripted answers. */
import t from 'tap';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { hubClient as browserClient } from '../../../apps/client/browser.ts';
import { hubClient, type StreamEvent } from '../../../apps/client/index.ts';
import { freePort } from '../cli/cli-world.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { readServerSentEvents } from '../../../apps/client/sse.ts';
import { listening, streamOf } from './scripted-hub.ts';

t.test('a 503 is waited out per Retry-After, and the repeat carries the same key', async (t) => {
  const keys: (string | undefined)[] = [];
  const app = new ScriptedApp().post('/api/tasks', (c) => {
    keys.push(c.headers['idempotency-key']);
    if (keys.length < 3) return c.json({ error: 'storage_unavailable', message: 'away' }, 503, { 'retry-after': '0' });
    return c.json({ task_id: 'task-00000000000000aa', status: 'queued', priority: 'normal', created_at: 1 }, 201);
  });
  const { url } = await listening(t, app);
  const task = await hubClient({ url, token: 'secret' }).tasks.submit({ description: 'x' });
  t.equal(task.task_id, 'task-00000000000000aa');
  t.equal(keys.length, 3);
  t.match(keys[0], /^task-[0-9a-f]{32}$/);
  t.equal(new Set(keys).size, 1);
});

t.test('keys of later submits sort after earlier ones, so that they are neighbours in an index', async (t) => {
  const keys: string[] = [];
  const app = new ScriptedApp().post('/api/tasks', (c) => {
    keys.push(String(c.headers['idempotency-key']));
    return c.json({ task_id: 'task-00000000000000aa', status: 'queued', priority: 'normal', created_at: 1 }, 201);
  });
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  for (let n = 0; n < 5; n += 1) {
    await tasks.submit({ description: 'x' });
    const nowMs = Date.now();
    while (Date.now() === nowMs);
  }
  t.equal(new Set(keys).size, 5);
  t.same(keys, [...keys].sort());
});

t.test('a Retry-After beyond the bound ends the waiting at once', async (t) => {
  let calls = 0;
  const app = new ScriptedApp().get('/api/tasks', (c) => {
    calls += 1;
    return c.json({ error: 'hub_busy', message: 'overloaded' }, 503, { 'retry-after': '3600' });
  });
  const { url } = await listening(t, app);
  await t.rejects(hubClient({ url }).tasks.list(), {
    code: 'AC_API',
    message: /503 hub_busy\): overloaded/,
    details: { status: 503, error: 'hub_busy' },
  });
  t.equal(calls, 1);
});

t.test('a request that is not idempotent is not repeated once sent', async (t) => {
  let calls = 0;
  const app = new ScriptedApp().post('/api/tasks/:id/cancel', (c) => {
    calls += 1;
    return c.json({ error: 'storage_unavailable', message: 'away' }, 503, { 'retry-after': '0' });
  });
  const { url } = await listening(t, app);
  await t.rejects(hubClient({ url }).tasks.cancel('task-00000000000000aa'), { code: 'AC_API' });
  t.equal(calls, 1);
});

t.test('the client waits for a hub that is not up yet, then sends any request', async (t) => {
  const port = await freePort();
  let answer: Promise<unknown> = Promise.resolve();
  const refused = new Promise<string>((onRetry) => {
    answer = hubClient({ url: `http://127.0.0.1:${port}`, retryWithinMs: 20_000, onRetry }).tasks.cancel('task-00000000000000aa');
  });
  t.match(await refused, /connection refused/);
  await listening(
    t,
    new ScriptedApp().post('/api/tasks/:id/cancel', (c) => c.json({ status: 'cancelled' })),
    port,
  );
  t.strictSame(await answer, { status: 'cancelled' });
});

t.test('an unreachable hub is an error once the retry time has passed', async (t) => {
  const port = await freePort();
  await t.rejects(hubClient({ url: `http://127.0.0.1:${port}`, retryWithinMs: 0 }).tasks.stats(), {
    code: 'AC_API_UNREACHABLE',
    message: /cannot be reached: connection refused\. Start it with "agentcom hub"/,
  });
});

t.test('an error that a retry cannot fix is not retried', async (t) => {
  const { url } = await listening(t, new ScriptedApp());
  const tries: string[] = [];
  const withTls = hubClient({ url: url.replace('http:', 'https:'), onRetry: (why) => tries.push(why) });
  await t.rejects(withTls.tasks.stats(), { message: /does not speak TLS there: use http:\/\// });
  t.strictSame(tries, []);
});

t.test('refusals and unusable answers are reported', async (t) => {
  const app = new ScriptedApp()
    .get('/api/tasks', (c) => c.json({ error: 'validation_failed', message: 'wrong', details: [{ field: 'status', error: 'enum' }] }, 400))
    .get('/api/agents', (c) => c.body('<h1>it works</h1>', 200, { 'content-type': 'text/html' }))
    .get('/admin/tokens', (c) => c.body('{"tokens":', 200, { 'content-type': 'application/json' }))
    .get('/api/whoami', (c) => c.body('\u001f\u008b', 200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }))
    .get('/api/tasks/stats', (c) => c.body('bad gateway', 502))
    .get('/health', () => Response.redirect('http://127.0.0.1:1/elsewhere', 302));
  const { url } = await listening(t, app);
  const client = hubClient({ url: `${url}/`, token: 'x', retryWithinMs: 0 });
  // @ts-expect-error: the compiler finds it first.
  await t.rejects(client.tasks.list({ status: 'nope' }), {
    code: 'AC_API',
    details: { status: 400, answer: { details: [{ field: 'status' }] } },
  });
  await t.rejects(client.agents.list(), { code: 'AC_API', message: /text\/html.*not JSON\. Is http:.* an AgentCom hub\?/ });
  await t.rejects(client.tokens.list(), { code: 'AC_API', message: /answered with application\/json that cannot be read: .*JSON/ });
  await t.rejects(client.whoami(), { code: 'AC_API', message: /cannot be read: its content-encoding is gzip, which was not asked for\./ });
  await t.rejects(client.tasks.stats(), { code: 'AC_API', message: /502 http_502/ });
  await t.rejects(
    client.health(),
    { message: /302 http_302\): it redirects to http:\/\/127\.0\.0\.1:1\/elsewhere\./ },
    'the token is not sent there',
  );
});

t.test('path prefix, encoded IDs and query reach the hub', async (t) => {
  const seen: string[] = [];
  const app = new ScriptedApp().otherwise((c) => {
    seen.push(`${c.method} ${c.target} ${c.headers['authorization'] ?? '-'}`);
    return c.json({ tasks: [], tokens: [], agents: [], next_cursor: null, task_ids: [] });
  });
  const { url } = await listening(t, app);
  const client = hubClient({ url: `${url}/behind/proxy`, token: 'tok' });
  await client.tasks.list({ status: 'queued', limit: 5, cursor: 'a&b', priority: undefined });
  await client.agents.get('../x');
  await client.tokens.revoke('a/b');
  await client.tasks.submitMany([{ description: 'a' }, { description: 'b' }]);
  t.strictSame(seen, [
    'GET /behind/proxy/api/tasks?status=queued&limit=5&cursor=a%26b Bearer tok',
    'GET /behind/proxy/api/agents/..%2Fx Bearer tok',
    'DELETE /behind/proxy/admin/tokens/a%2Fb Bearer tok',
    'POST /behind/proxy/api/tasks/bulk Bearer tok',
  ]);
});

t.test('an error about an address with a path names the URL that was requested', async (t) => {
  const app = new ScriptedApp().otherwise((c) =>
    c.method === 'GET'
      ? c.json({ error: 'unknown_route', message: 'There is no such route.' }, 404)
      : c.body('<p>hello</p>', 200, { 'content-type': 'text/html' }),
  );
  const { url } = await listening(t, app);
  const client = hubClient({ url: `${url}/api`, token: 'tok' });
  await t.rejects(client.agents.list({ limit: 1 }), {
    message: `The hub refused GET ${url}/api/api/agents (404 unknown_route): There is no such route.`,
  });
  await t.rejects(client.tasks.submit({ description: 'a' }), {
    message: `POST ${url}/api/api/tasks was answered with text/html, not JSON. Is ${url}/api an AgentCom hub?`,
  });
});

t.test('server-sent events are parsed however they are split', async (t) => {
  const text =
    ': hello\n\nid: 1\nevent: submitted\ndata: {"a":\ndata: "é"}\n\nid: 2\r\ndata:x\r\n\r\nevent: gap\rdata: y\r\rdata: never ended';
  const expected = [
    { id: '1', event: 'submitted', data: '{"a":\n"é"}' },
    { id: '2', event: 'message', data: 'x' },
    { id: '2', event: 'gap', data: 'y' },
  ];
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const events = [];
    for await (const event of readServerSentEvents(chunks(bytes, size))) events.push(event);
    t.strictSame(events, expected, `in pieces of ${size}`);
  }
});

t.test('an event of a stream is read up to a bound, however many events a chunk has', async (t) => {
  const read = async (text: string, size: number): Promise<number> => {
    let count = 0;
    for await (const _ of readServerSentEvents(chunks(new TextEncoder().encode(text), size))) count += 1;
    return count;
  };
  t.equal(await read(`data: ${'x'.repeat(65_000)}\n\n`, 1_000), 1);
  t.equal(await read('data: x\n\n'.repeat(50_000), 1_000_000), 50_000, 'a chunk may have many events');
  const tooLong = { code: 'AC_API', message: /^Expected events of at most 65536 characters / };
  await t.rejects(read('x'.repeat(70_000), 1_000), tooLong);
  await t.rejects(read('data: x\n'.repeat(10_000), 1_000), tooLong);
});

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

const sse = (id: number, event: string): string => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify({ id, event })}\n\n`;

t.test('a dropped stream resumes after its last event', async (t) => {
  const requests: (string | undefined)[] = [];
  const app = new ScriptedApp().get('/api/events', (c) => {
    requests.push(c.headers['last-event-id']);
    if (requests.length === 1) return streamOf(c, sse(5, 'submitted'), sse(7, 'assigned'), 'id: 8\nevent: half');
    if (requests.length === 2) return c.json({ error: 'hub_stopping', message: 'bye' }, 503);
    return streamOf(c, sse(8, 'accepted'));
  });
  const { url } = await listening(t, app);
  const seen: StreamEvent[] = [];
  const drops: string[] = [];
  for await (const event of hubClient({ url }).events({
    taskId: 'task-00000000000000aa',
    lastEventId: '0',
    onReconnect: (why) => drops.push(why),
  })) {
    seen.push(event);
    if (event.event === 'accepted') break;
  }
  t.strictSame(
    seen.map(({ id }) => id),
    ['5', '7', '8'],
  );
  t.strictSame(requests, ['0', '7', '7']);
  t.match(drops, [/hub_stopping/]);
});

t.test('a silent stream is reopened; a refused one ends', async (t) => {
  let calls = 0;
  const app = new ScriptedApp().get('/api/events', (c) => {
    calls += 1;
    if (calls === 1)
      return new Response(new ReadableStream({ start: () => undefined }), { headers: { 'content-type': 'text/event-stream' } });
    return c.json({ error: 'unauthorized', message: 'who are you?' }, 401);
  });
  const { url } = await listening(t, app);
  const drops: string[] = [];
  const events = hubClient({ url }).events({ idleMs: 50, onReconnect: (why) => drops.push(why) });
  await t.rejects(events.next(), { code: 'AC_API', message: /401 unauthorized/ });
  t.equal(calls, 2);
  t.match(drops, [/nothing received for 0\.05 s/]);
});

t.test('the client gives up on a hub that stays unreachable, and an abort ends the stream without an error', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`;
  await t.rejects(hubClient({ url }).events({ giveUpAfterMs: 1 }).next(), { code: 'AC_API_UNREACHABLE' });
  const controller = new AbortController();
  const events = hubClient({ url }).events({ signal: controller.signal, onReconnect: () => controller.abort() });
  t.strictSame(await events.next(), { done: true, value: undefined });
});

t.test('a stream that is answered with something else fails, instead of being opened again for ever', async (t) => {
  const page = () => new Response('<html>', { headers: { 'content-type': 'text/html' } });
  const { url } = await listening(t, new ScriptedApp().get('/api/events', page));
  const pattern = { code: 'AC_API', message: /answered with text\/html, not an event stream/, details: { status: 200 } };
  await t.rejects(hubClient({ url }).events().next(), pattern);
  await t.rejects(hubClient({ url }).tasks.watch('task-0123456789abcdef').next(), pattern);
});

t.test('an address that is not one of HTTP is refused when a client is created', (t) => {
  for (const [url, found] of [
    ['localhost:4000', '"localhost:4000"'],
    ['127.0.0.1:4000', '"127.0.0.1:4000"'],
    ['ws://user:secret@127.0.0.1:4000/ws', '"ws://…@127.0.0.1:4000/ws"'],
    ['/hub', '"/hub"'],
    ['', '""'],
    [undefined as never, 'undefined'],
  ] as const) {
    const error = { code: 'AC_USAGE', message: `Expected the hub's address as http://host:port or https://host, found ${found}.` };
    for (const [platform, create] of Object.entries({ hubClient, browserClient })) t.throws(() => create({ url }), error, platform);
  }
  t.end();
});

t.test('an abort ends a stream and silence reopens it, even after garbage collection', async (t) => {
  // A signal derived from others is kept alive only by its users.
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  let calls = 0;
  const event = 'id: 1\nevent: submitted\ndata: {}\n\n';
  const app = new ScriptedApp().get('/api/events', () => {
    calls += 1;
    const body = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(event)) });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  });
  const { url } = await listening(t, app);
  const over = new AbortController();
  const events = hubClient({ url }).events({ lastEventId: '0', signal: over.signal, idleMs: 200 });
  t.match(await events.next(), { done: false });
  collectGarbage();
  t.match(await events.next(), { done: false }, 'sent again by the second stream');
  t.equal(calls, 2);
  const ended = events.next();
  collectGarbage();
  over.abort();
  t.strictSame(await ended, { done: true, value: undefined });
});
