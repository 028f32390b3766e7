/** What is refused before the queue is involved, what becomes of failures, and what may be logged. */
import t from 'tap';
import { ROUTE_DOCS } from '../../../adapters/http/openapi/route-docs.ts';
import { ROUTES, type Route, type RouteName } from '../../../adapters/http/routes.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { ErrorCode } from '../../../core/errors/codes.ts';
import { aTaskId, aToken } from '../../product/contracts/fixtures.ts';
import { ADMIN_TOKEN, hashOf, hubBench, type Answered, type HubBench, type Sending } from './hub-bench.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const refusals = ({ status, json }: Answered): unknown => [status, json['error']];
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A body that never ends until it is cancelled, and then reports it. */
function endless(chunk: Uint8Array | null): { readonly stream: ReadableStream<Uint8Array>; taken(): number; cancelled(): boolean } {
  let taken = 0;
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (chunk === null) return new Promise(() => undefined);
        taken += chunk.byteLength;
        controller.enqueue(chunk);
        return undefined;
      },
      cancel: () => void (cancelled = true),
    },
    { highWaterMark: 0 },
  );
  return { stream, taken: () => taken, cancelled: () => cancelled };
}

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const submit = (how: Sending): Promise<Answered> => bench.send('/api/tasks', { method: 'POST', headers: JSON_TYPE, ...how });

t.test('unsupported content types and encodings are refused', async (t) => {
  const body = '{"description":"x"}';
  for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON;Charset="UTF-8"']) {
    t.equal((await submit({ body, headers: { 'content-type': type } })).status, 201, type);
  }
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/json; charset=latin1',
    'application/x-ndjson',
    '',
  ]) {
    t.strictSame(refusals(await submit({ body, headers: { 'content-type': type } })), [415, 'unsupported_media_type'], type);
  }
  for (const encoding of ['gzip', 'br', 'identity, gzip']) {
    const got = await submit({ body, headers: { ...JSON_TYPE, 'content-encoding': encoding } });
    t.strictSame(refusals(got), [415, 'unsupported_media_type'], encoding);
  }
  t.equal((await submit({ body, headers: { ...JSON_TYPE, 'content-encoding': 'identity' } })).status, 201);
  t.strictSame(refusals(await bench.send('/api/tasks/bulk', { method: 'POST', body, headers: JSON_TYPE })), [
    415,
    'unsupported_media_type',
  ]);
});

t.test('parameters of a route that has none are refused by name, except where no token is needed', async (t) => {
  for (const route of ROUTES as readonly (Route & { readonly name: RouteName })[]) {
    const name = `${route.method} ${route.path}`;
    t.equal(route.query === true, ROUTE_DOCS[route.name].query !== undefined, `${name}: read if and only if documented`);
    if (route.query === true || route.roles === 'open') continue;
    const path = route.path.replace(':id', aTaskId(1));
    const type = { 'content-type': route.body === 'lines' ? 'application/x-ndjson' : 'application/json' };
    const got = await bench.send(`${path}?&deadline_ms=1000`, { method: route.method, headers: type });
    t.match([got.status, got.json['details']], [400, [{ field: 'deadline_ms', error: 'unknown_field' }]], name);
  }
  t.equal((await bench.send('/health?probe=1', { token: null })).status, 200, 'a probe may have some of its own');
  t.equal((await bench.send('/api/whoami?')).status, 200, 'an empty query has none');
});

t.test('a body over its limit is refused before it is read', async (t) => {
  const announced = endless(new Uint8Array(1_024));
  const early = await submit({ body: announced.stream, headers: { ...JSON_TYPE, 'content-length': '262145' } });
  t.strictSame([...(refusals(early) as unknown[]), announced.taken()], [413, 'body_too_large', 0]);
  const silent = endless(new Uint8Array(65_536));
  t.strictSame(refusals(await submit({ body: silent.stream })), [413, 'body_too_large']);
  t.ok(silent.taken() <= 262_144 + 2 * 65_536, `${silent.taken()} bytes were read`);
  await turn();
  t.ok(silent.cancelled(), 'the rest is not read');
  const exact = `{"description":"x","metadata":{"a":"${'y'.repeat(262_144 - 40)}"}}`;
  t.equal((await submit({ body: exact + ' '.repeat(262_144 - exact.length) })).status, 201, 'a body of exactly the limit is accepted');
  const enrol = await bench.send('/api/onboard/register', { json: { agent_id: 'x', secret: 'y'.repeat(5_000) }, token: null });
  t.strictSame(refusals(enrol), [413, 'body_too_large'], 'a client without a token has a lower limit');
});

t.test('a body that does not arrive', async (t) => {
  const never = endless(null);
  const got = submit({ body: never.stream });
  await turn();
  bench.clock.advance(60_000);
  t.strictSame(refusals(await got), [408, 'request_timeout']);
  t.ok(never.cancelled());
  const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('reset')) });
  t.strictSame(refusals(await submit({ body: broken })), [400, 'invalid_json']);
  t.equal(bench.clock.pending, 0, 'no timer is left');
});

t.test('bodies in progress are bounded in total, and released when they end', async (t) => {
  const small = await hubBench({ limits: { inboxBytes: 300_000 } });
  small.intercept = () => ({ kind: 'submitted', tasks: [{ id: aTaskId(1), status: 'queued', priority: 'normal', createdAtMs: 0 }] });
  const ends: (() => void)[] = [];
  const slow = (): ReadableStream<Uint8Array> =>
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode(`{"description":"x","metadata":{"a":"${'y'.repeat(199_000)}"}`));
        ends.push(() => {
          controller.enqueue(new TextEncoder().encode('}'));
          controller.close();
        });
      },
    });
  const send = (): Promise<Answered> => small.send('/api/tasks', { method: 'POST', body: slow(), headers: JSON_TYPE });
  const first = send();
  await turn();
  t.strictSame(refusals(await send()), [503, 'hub_busy'], 'two at once are too many');
  ends[0]?.();
  t.equal((await first).status, 201);
  for (let n = 0; n < 3; n += 1) {
    const next = send();
    ends.at(-1)?.();
    t.equal((await next).status, 201, 'one after the other is fine');
  }
  await small.close();
});

t.test('R20: a token that announces large bodies and sends little does not block other requests', async (t) => {
  const slow = Array.from({ length: 260 }, () => {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new TextEncoder().encode('{')) });
    return submit({ token: 'submitter', body, headers: { ...JSON_TYPE, 'content-length': '262144' } });
  });
  await turn();
  t.equal((await submit({ json: { description: 'honest' } })).status, 201, 'another submits');
  t.equal((await submit({ token: 'submitter', json: { description: 'honest' } })).status, 201, 'so does the same token');
  const known = await submit({ json: { description: 'to be cancelled' } });
  const cancel = await bench.send(`/api/tasks/${String(known.json['task_id'])}/cancel`, { method: 'POST', token: 'operator', json: {} });
  t.equal(cancel.status, 200, 'an operator cancels');
  for (let n = 0; n < 2; n += 1) {
    bench.clock.advance(10_000);
    await turn();
  }
  t.strictSame([...new Set((await Promise.all(slow)).map(({ status }) => status))], [408], 'nothing arrives for 10 s');
});

t.test('R20: unfinished bodies are bounded per token, and leave room for every other token', async (t) => {
  const small = await hubBench({ limits: { inboxBytes: 1_000_000, bodyBytesPerToken: 600_000 } });
  const send = (token: string, how: Sending): Promise<Answered> =>
    small.send('/api/tasks', { method: 'POST', token, headers: JSON_TYPE, ...how });
  const open = (token: string): Promise<Answered> => {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(250_000).fill(0x20)) });
    return send(token, { body });
  };
  const held = [open('submitter'), open('submitter')];
  await turn();
  const over = await open('submitter');
  t.strictSame([...(refusals(over) as unknown[]), over.headers.get('retry-after')], [429, 'rate_limited', '1'], 'its own limit');
  held.push(open('admin'), open('admin'));
  await turn();
  t.strictSame(refusals(await open('admin')), [429, 'rate_limited']);
  const other = 'a-token-of-somebody-else';
  const record = aToken({ id: 'tok-other', name: 'other', role: 'submitter', agentId: null, hash: hashOf(other) });
  await small.storage.agents.addToken(record);
  const large = { json: { description: 'honest', metadata: { text: 'y'.repeat(200_000) } } };
  t.equal((await send(other, large)).status, 201, 'a submit of another token has its own room even when all is taken');
  small.clock.advance(10_000);
  small.clock.advance(10_000);
  t.strictSame(
    (await Promise.all(held)).map(({ status }) => status),
    [408, 408, 408, 408],
  );
  t.strictSame((await send('submitter', large)).status, 201, 'the bytes in progress are released');
  await small.close();
});

t.test('R20: operator actions need no room for a body', async (t) => {
  const small = await hubBench({ limits: { inboxBytes: 800, bodyBytesPerToken: 1, submitBytes: 1 } });
  const path = `/api/tasks/${aTaskId(1)}/cancel`;
  t.strictSame(refusals(await small.send(path, { method: 'POST', token: 'operator', json: {} })), [404, 'unknown_task']);
  const much = { method: 'POST', token: 'operator', headers: JSON_TYPE, body: `{${' '.repeat(2_000)}}` };
  t.strictSame(refusals(await small.send(path, much)), [413, 'body_too_large']);
  await small.close();
});

t.test('a token that sends too many requests is refused', async (t) => {
  const limited = await hubBench({ limits: { requestsPerSecond: 2, requestBurst: 3 } });
  const ask = (token: string): Promise<Answered> => limited.send('/api/schemas', { token });
  for (let n = 0; n < 3; n += 1) t.equal((await ask('viewer')).status, 200);
  const over = await ask('viewer');
  t.strictSame([...(refusals(over) as unknown[]), over.headers.get('retry-after')], [429, 'rate_limited', '1']);
  t.equal((await ask('operator')).status, 200, 'other tokens are not affected');
  limited.clock.advance(500);
  t.equal((await ask('viewer')).status, 200);
  t.equal((await ask('viewer')).status, 429);
  await limited.close();
});

t.test('failures of the queue and the database have their own answers', async (t) => {
  const cases: readonly (readonly [code: ErrorCode, status: number, error: string])[] = [
    ['AC_HUB_BUSY', 503, 'hub_busy'],
    ['AC_HUB_STOPPING', 503, 'hub_stopping'],
    ['AC_STORE_CLOSED', 503, 'hub_stopping'],
    ['AC_STORE_UNAVAILABLE', 503, 'storage_unavailable'],
    ['AC_STORE_RETRY', 503, 'storage_unavailable'],
    ['AC_COMMIT_UNKNOWN', 503, 'storage_unavailable'],
    ['AC_INTERNAL', 500, 'internal'],
  ];
  for (const [code, status, error] of cases) {
    bench.intercept = () => {
      throw new AgentcomError(code, 'a hidden reason');
    };
    const got = await submit({ json: { description: 'x' } });
    t.strictSame(refusals(got), [status, error], code);
    t.equal(got.headers.get('retry-after'), status === 503 ? '2' : null);
    t.notMatch(got.text, /hidden/, 'the reason is only in the log');
    t.match(bench.log.lines.at(-1), { level: status === 500 ? 'error' : 'warn', fields: { status, error: 'a hidden reason' } });
  }
});

t.test('an unavailable storage and a busy hub do not flood the log', async (t) => {
  for (const code of ['AC_STORE_UNAVAILABLE', 'AC_HUB_BUSY'] as const) {
    bench.intercept = () => {
      throw new AgentcomError(code, 'a hidden reason');
    };
    const before = bench.log.lines.length;
    for (let n = 0; n < 1_000; n += 1) await submit({ json: { description: 'x' } });
    const lines = bench.log.lines.slice(before).filter(({ message }) => message === 'A request was rejected.');
    t.match(lines, [{ level: 'warn', fields: { error: 'a hidden reason', status: 503, address: String, token: 'admin' } }], code);
    t.equal(lines.length, 1, `${lines.length} lines of 1,000 requests`);
    bench.clock.advance(10_000);
  }
});

t.test('health is public, always answers, and does not load the database', async (t) => {
  const health = (): Promise<Answered> => bench.send('/health', { token: null });
  const { loop_delay_ms: loopDelayMs, server_time: serverTime, ...rest } = (await health()).json;
  t.strictSame(rest, { status: 'ok', version: '0.1.0', storage: 'memory', durable: false, transport: 'none', deadlocks: 2 });
  t.ok(Number.isInteger(loopDelayMs), 'the delay of the event loop is reported');
  t.equal(serverTime, bench.clock.nowMs());
  bench.healthy = false;
  t.equal((await health()).json['status'], 'ok', 'requested again within a second');
  bench.clock.advance(1_000);
  const degraded = await health();
  t.strictSame([degraded.status, degraded.json['status']], [200, 'degraded']);
  const unready = await bench.send('/ready', { token: null });
  t.strictSame(refusals(unready), [503, 'storage_unavailable'], 'a hub that waits for its database is alive but not ready');
  t.equal(unready.headers.get('retry-after'), '2');
  bench.healthy = true;
  bench.clock.advance(1_000);
  const ready = await bench.send('/ready', { token: null });
  t.strictSame([ready.status, ready.json], [200, { status: 'ready' }]);
  t.equal((await bench.send('/health', { method: 'HEAD', token: null })).text, '');
});

t.test('health and readiness answer within 3 s while the database hangs, and ask it only once meanwhile', async (t) => {
  let requestCount = 0;
  let answer: (canCommit: boolean) => void = () => undefined;
  const healthy = (): Promise<boolean> => {
    requestCount += 1;
    return new Promise((resolve) => (answer = resolve));
  };
  const hanging = await hubBench({ deps: { healthy } });
  const get = (path: string): Promise<Answered> => hanging.send(path, { token: null });
  const both = Promise.all([get('/health'), get('/ready')]);
  await turn();
  hanging.clock.advance(3_000);
  const [health, ready] = await both;
  t.strictSame([health.status, health.json['status'], ready.status], [200, 'degraded', 503]);
  hanging.clock.advance(60_000);
  const later = get('/health');
  await turn();
  hanging.clock.advance(1);
  t.equal((await later).json['status'], 'degraded', 'at once, since it has waited already');
  t.equal(requestCount, 1);
  answer(true);
  await turn();
  const recovered = get('/ready');
  await turn();
  answer(true);
  t.equal((await recovered).status, 200);
  t.equal(requestCount, 2);
  await hanging.close();
});

t.test('every body and frame has a JSON Schema', async (t) => {
  const { json } = await bench.send('/api/schemas', { token: 'agent' });
  t.match(json, {
    protocol_version: 2,
    http: { bodies: { submit: { type: 'object', additionalProperties: false, required: ['description'] } } },
    frames: { from_sidecar: { 1: { identify: { type: 'object' } }, 2: { task_released: {} } }, from_hub: { task_assign: {} } },
  });
});

t.test('a refused request is logged with its client and the ID of its token, never the token itself', async (t) => {
  const unknown = 'an-unknown-token-of-the-usual-length-0123456';
  const cases: readonly (readonly [sending: Sending & { readonly query?: string }, fields: object])[] = [
    [
      { token: null, from: '10.0.0.1' },
      { status: 401, address: '10.0.0.1', token: 'none' },
    ],
    [
      { token: unknown, from: '10.0.0.2' },
      { status: 401, address: '10.0.0.2', token: 'an-unkno…' },
    ],
    [
      { token: 'too-short', from: '10.0.0.3' },
      { status: 401, address: '10.0.0.3', token: 'invalid' },
    ],
    [
      { token: null, headers: { cookie: 'a=b' }, from: '10.0.0.4' },
      { status: 401, address: '10.0.0.4', token: 'session' },
    ],
    [
      { token: 'agent', from: '10.0.0.5' },
      { status: 403, error: 'forbidden', address: '10.0.0.5', token: 'tok-agent' },
    ],
    [
      { token: ADMIN_TOKEN, query: 'limit=x', from: '10.0.0.6' },
      { status: 400, address: '10.0.0.6', token: 'admin' },
    ],
  ];
  for (const [{ query = '', ...sending }, fields] of cases) {
    await bench.send(`/api/agents?${query}`, sending);
    t.match(bench.log.lines.at(-1), { level: 'warn', message: 'A request was refused.', fields });
  }
  t.notOk(JSON.stringify(bench.log.lines).includes(unknown));
  for (let n = 0; n < 1_000; n += 1) await bench.send(`/api/agents/${n}`, { token: `${n}${unknown}`, from: '10.0.0.9' });
  const lines = bench.log.lines.filter(({ fields }) => fields['address'] === '10.0.0.9');
  t.ok(lines.length <= 2, `${lines.length} lines for a guesser`);
});

t.test('no secret reaches the log', async (t) => {
  const planted = 'planted-secret-0123456789';
  await bench.send(`/api/tasks?status=${planted}`, { token: planted, headers: { cookie: planted, 'x-api-key': planted } });
  await bench.send('/api/onboard/register', { json: { agent_id: 'a', secret: planted }, token: null });
  await submit({ json: { description: planted, more: planted }, headers: { ...JSON_TYPE, 'idempotency-key': planted } });
  await submit({ body: `{"${planted}` });
  bench.intercept = () => {
    throw new TypeError('a bug');
  };
  await submit({ json: { description: planted } });
  bench.intercept = null;
  const secret = await bench.send('/admin/enrol-secrets', { json: {} });
  const token = await bench.send('/admin/tokens', { json: { name: 'x', role: 'viewer' } });
  const log = JSON.stringify(bench.log.lines);
  for (const word of [planted, ADMIN_TOKEN, String(secret.json['secret']), String(token.json['token'])])
    t.notOk(log.includes(word), word.slice(0, 8));
  t.ok(bench.log.lines.length >= 6, 'though there were lines');
});
