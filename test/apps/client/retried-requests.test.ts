/** What the client repeats after which failure and which delay, and what it reports about failures that remain. */
import t, { type Test } from 'tap';
import { requester } from '../../../apps/client/api-request.ts';
import { hubClient, type StreamEvent } from '../../../apps/client/index.ts';
import type { Exchange } from '../../../apps/client/platform.ts';
import { Retries } from '../../../apps/client/retries.ts';
import { ScriptedApp, type Call } from '../cli/scripted-app.ts';
import { listening, streamOf } from './scripted-hub.ts';

const sse = (id: number, event: string): string => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify({ id, event })}\n\n`;

/** The first event of a stream, which is then closed. */
async function firstOf(events: AsyncGenerator<StreamEvent, void>): Promise<StreamEvent | null> {
  const first = await events.next();
  await events.return();
  return first.value ?? null;
}

t.test('what a proxy answers while the hub restarts is retried like the 503 of a hub', async (t) => {
  for (const status of [429, 502, 503, 504]) {
    let calls = 0;
    const away = (c: Call): Response | null => ((calls += 1) % 2 === 1 ? c.body('<h1>away</h1>', status) : null);
    const app = new ScriptedApp()
      .post('/api/tasks', (c) => away(c) ?? c.json({ task_id: 'task-00000000000000aa' }, 201))
      .get('/api/events', (c) => away(c) ?? streamOf(c, sse(1, 'submitted')))
      .get('/api/tasks', (c) => away(c) ?? c.json({ tasks: [] }));
    const hub = hubClient({ url: (await listening(t, app)).url });
    await hub.tasks.submit({ description: 'x' });
    await hub.tasks.list();
    t.match(await firstOf(hub.events({ lastEventId: '0' })), { event: 'submitted' });
    t.equal(calls, 6, `after ${status}`);
  }
});

t.test('a Retry-After of 0 does not flood the hub', async (t) => {
  let calls = 0;
  const app = new ScriptedApp().get('/api/tasks/stats', (c) => {
    calls += 1;
    return c.json({ error: 'hub_busy', message: 'busy' }, 503, { 'retry-after': '0' });
  });
  const { url } = await listening(t, app);
  await t.rejects(hubClient({ url, retryWithinMs: 1_000 }).tasks.stats(), { code: 'AC_API', details: { status: 503, retryAfterMs: 0 } });
  t.ok(calls > 1 && calls <= 6, `${calls} requests`);
});

t.test('a Retry-After that is longer than a timer can be is no wait of 1 ms', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  let calls = 0;
  const app = new ScriptedApp().get('/api/events', (c) => {
    calls += 1;
    return c.json({ error: 'hub_busy', message: 'moved' }, 503, { 'retry-after': '3000000' });
  });
  const end = new AbortController();
  const { url } = await listening(t, app);
  const onReconnect = (): void => void setImmediate(() => end.abort());
  const events = hubClient({ url }).events({ giveUpAfterMs: Infinity, signal: end.signal, onReconnect });
  t.same(await events.next(), { done: true, value: undefined });
  t.same(warnings, [], 'no TimeoutOverflowWarning');
  t.equal(calls, 1);
});

t.test('waits double, and differ between clients; none is shorter than the hub asked for', async (t) => {
  const { setTimeout: realTimeout } = globalThis;
  const { random } = Math;
  t.teardown(() => {
    globalThis.setTimeout = realTimeout;
    Math.random = random;
  });
  const waits: number[] = [];
  globalThis.setTimeout = ((fire: () => void, delayMs: number) => {
    waits.push(delayMs);
    return realTimeout(fire, 0);
  }) as typeof setTimeout;
  for (const [part, expected] of [
    [0, [200, 400, 3_000, 1_600, 3_200, 5_000, 5_000]],
    [1, [300, 600, 4_500, 2_400, 4_800, 7_500, 7_500]],
  ] as const) {
    waits.length = 0;
    Math.random = () => part;
    const retries = new Retries();
    retries.begin(60_000);
    for (const askedMs of [undefined, undefined, 3_000, undefined, undefined, undefined, undefined]) await retries.next('away', askedMs);
    t.strictSame(waits, expected);
  }
});

const timedOutAtOnce = (t: Test): void => {
  const { setTimeout: realTimeout } = globalThis;
  t.teardown(() => void (globalThis.setTimeout = realTimeout));
  globalThis.setTimeout = ((fire: () => void, delayMs: number) => realTimeout(fire, delayMs === 30_000 ? 0 : delayMs)) as typeof setTimeout;
};
const answering = (text: string): ReturnType<Exchange> =>
  Promise.resolve({ status: 200, statusText: 'OK', header: () => null, bytes: async function* () {}, text: async () => text });

t.test('an attempt without an answer is repeated if that is safe', async (t) => {
  timedOutAtOnce(t);
  let calls = 0;
  const exchange: Exchange = (_, { signal }) => {
    calls += 1;
    if (calls % 2 === 0) return answering('{"n":1}');
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  };
  const reasons: string[] = [];
  const requests = requester({ url: 'http://hub', onRetry: (why) => reasons.push(why) }, exchange);
  t.strictSame(await requests.get('/api/tasks'), { n: 1 });
  t.match(reasons, [/cannot be reached: no answer within 30 s\./]);
  await t.rejects(requests.postOnce('/api/tasks/x/cancel'), {
    code: 'AC_API_UNREACHABLE',
    message: /no answer within 30 s\. It is busy, or .* same idempotencyKey/,
  });
  t.equal(calls, 3);
});

t.test('the time for retries starts with the first failure, not with the request', async (t) => {
  let calls = 0;
  const exchange: Exchange = async () => {
    calls += 1;
    if (calls > 1) return answering('{}');
    await new Promise((resolve) => setTimeout(resolve, 500));
    throw Object.assign(new Error('cut'), { code: 'ECONNRESET' });
  };
  await requester({ url: 'http://hub', retryWithinMs: 400 }, exchange).get('/api/tasks');
  t.equal(calls, 2);
});

t.test('followed output outlives an outage that is longer than the retries of a request, and ends with its signal', async (t) => {
  let [reads, waits] = [0, 0];
  const page = (c: Call) =>
    c.json({ output: [{ n: reads, text: `part ${reads}` }], next_after: reads, more: false, kept: { bytes: 1, ms: 1 } });
  const app = new ScriptedApp()
    .get('/api/tasks/:id/output', (c) => ((reads += 1) % 2 === 1 ? c.body('away', 502) : page(c)))
    .get('/api/tasks/:id/output/wait', (c) => {
      waits += 1;
      if (waits === 1) return c.body('away', 503);
      return c.json({ more: waits < 3, ended: waits >= 3 });
    });
  const { tasks } = hubClient({ url: (await listening(t, app)).url, retryWithinMs: 0 });
  const seen: string[] = [];
  for await (const { text } of tasks.followOutput('task-00000000000000aa')) seen.push(text);
  t.strictSame(seen, ['part 2', 'part 4']);

  const silent = new ScriptedApp().get('/api/tasks/:id/output', () => new Promise<Response>(() => undefined));
  const { url, server } = await listening(t, silent);
  const stop = new AbortController();
  server.once('request', () => stop.abort());
  t.strictSame(await hubClient({ url }).tasks.followOutput('task-00000000000000aa', {}, stop.signal).next(), {
    done: true,
    value: undefined,
  });
});

t.test('a value that a header cannot have is wrong usage, not an unreachable hub', async (t) => {
  const { url } = await listening(t, new ScriptedApp());
  const withToken = hubClient({ url, token: 'secret\r\n', tokenFrom: '/etc/token' });
  const wrong = {
    code: 'AC_USAGE',
    message: 'The token: expected printable ASCII characters, found U+000D at position 7. The token was taken from /etc/token.',
  };
  await t.rejects(withToken.whoami(), wrong);
  await t.rejects(withToken.events().next(), wrong);
  const { tasks, events } = hubClient({ url });
  await t.rejects(events({ lastEventId: '1\n2' }).next(), { code: 'AC_USAGE', message: /^The header last-event-id: .* U\+000A/ });
  for (const [key, found] of [
    ['ключ', '"ключ"'],
    ['', '""'],
    [' once', '" once"'],
    ['once ', '"once "'],
    ['x'.repeat(129), '129 characters'],
  ] as const) {
    const badKey = {
      code: 'AC_USAGE',
      message: `Idempotency-Key must be 1 to 128 printable ASCII characters, without a space at either end; found ${found}.`,
    };
    await t.rejects(tasks.submit({ description: 'x' }, key), badKey);
    await t.rejects(tasks.submitMany([{ description: 'x' }], { idempotencyKey: key }), badKey);
  }
});

t.test('wrong times and bodies are errors of the caller, not an unreachable hub', async (t) => {
  const url = 'http://127.0.0.1:9';
  t.throws(() => hubClient({ url, retryWithinMs: NaN }), {
    code: 'AC_USAGE',
    message: 'retryWithinMs: expected milliseconds from 0, or Infinity, found NaN.',
  });
  const { tasks, events, tokens } = hubClient({ url });
  for (const idleMs of [Infinity, NaN, 0, 3e9])
    await t.rejects(tasks.wait('task-1', { idleMs }), { code: 'AC_USAGE', message: /^idleMs: expected milliseconds from 1 to 2147483647/ });
  await t.rejects(tasks.wait('task-1', { giveUpAfterMs: NaN }), { code: 'AC_USAGE', message: /^giveUpAfterMs/ });
  await t.rejects(events({ giveUpAfterMs: -1 }).next(), { code: 'AC_USAGE', message: /^giveUpAfterMs/ });
  await t.rejects(tokens.create({ name: 'x', role: 'viewer', expires_in_ms: 1n as never }), { name: 'TypeError', message: /BigInt/ });
});

t.test(`a bulk body that is not JSON reaches the hub as its own line, so that IDs match bodies`, async (t) => {
  let sent = '';
  const app = new ScriptedApp().post('/api/tasks/bulk', (c) => {
    sent = c.text;
    return c.json({ task_ids: [] }, 201);
  });
  await hubClient({ url: (await listening(t, app)).url }).tasks.submitMany([
    { description: 'a' },
    undefined as never,
    { description: 'b' },
  ]);
  t.strictSame(sent.split('\n').map((line) => JSON.parse(line) as unknown), [{ description: 'a' }, null, { description: 'b' }]); // prettier-ignore
});

t.test('what to do about an unreachable hub depends on why it is unreachable', async (t) => {
  const hints: readonly (readonly [url: string, code: string, hint: RegExp])[] = [
    ['https://hub', 'CERT_HAS_EXPIRED', /: CERT_HAS_EXPIRED\. Its certificate has expired: renew it\.$/],
    ['https://hub', 'ERR_TLS_CERT_ALTNAME_INVALID', /: why\. Its certificate is for other names: use one of them in the URL\.$/],
    ['https://hub', 'SELF_SIGNED_CERT_IN_CHAIN', /not accepted\. If it is self-signed, set AGENTCOM_HUB_FINGERPRINT/],
    ['https://hub', 'ECONNRESET', /or correct --url or AGENTCOM_API_URL\.$/],
    ['http://hub', 'ECONNRESET', /AGENTCOM_API_URL\. If it serves TLS, use https:\/\/ instead of http:\/\/\.$/],
    ['http://hub', 'HPE_INVALID_CONSTANT', /If it serves TLS, use https:\/\//],
    ['http://hub', 'ECONNREFUSED', /AGENTCOM_API_URL\.$/],
  ];
  for (const [url, code, message] of hints) {
    const exchange: Exchange = () => Promise.reject(Object.assign(new Error('why'), { code }));
    await t.rejects(requester({ url, retryWithinMs: 0 }, exchange).get('/health'), { code: 'AC_API_UNREACHABLE', message });
  }
});

t.test('a stream that is cut before its first event resumes where it started', async (t) => {
  const requested: (string | undefined)[] = [];
  const app = new ScriptedApp().get('/api/events', (c) => {
    requested.push(c.headers['last-event-id']);
    return requested.length === 1 ? streamOf(c, 'retry: 2000\nid: 41\n\n', ':\n\n', 'id: 42\n') : streamOf(c, sse(42, 'submitted'));
  });
  const { url } = await listening(t, app);
  t.match(await firstOf(hubClient({ url }).events()), { id: '42' });
  t.strictSame(requested, [undefined, '41']);
});
