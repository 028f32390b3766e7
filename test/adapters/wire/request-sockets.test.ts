/** Requests in the messages of a WebSocket, on a real port. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocket, type RawData } from 'ws';
import { REQUEST_BYTES_MAX, REQUEST_SOCKETS_MAX, REQUESTS_MAX, UNREAD_BYTES_MAX } from '../../../adapters/kit/request-socket.ts';
import type { WsOptions } from '../../../adapters/transports.ts';
import { OTHER_FRAMES } from '../../../adapters/transport-ws/request-sockets.ts';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import type { HttpRequest, HttpResponse } from '../../../core/ports/http.ts';
import type { HubTransport } from '../../../core/ports/hub-transport.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { textOf } from '../../product/contracts/wire/web-http.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';
import { gate } from '../../rig/gate.ts';

t.setTimeout(60_000);

const TOKEN = 'Bearer a-token';
const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponse => ({
  status,
  headers: { 'content-type': 'application/json', 'x-frame-options': 'DENY', ...headers },
  body: JSON.stringify(body),
});

interface Door {
  readonly port: number;
  readonly transport: HubTransport;
}

/** A port whose handler knows the tokens that begin with `TOKEN`, and answers everything else as `answer` says. */
async function door(
  t: Test,
  answer: (request: HttpRequest) => HttpResponse | Promise<HttpResponse>,
  options: WsOptions = {},
  /** The status that its token gets. */
  lookUp: () => number | Promise<number> = () => 200,
): Promise<Door> {
  const transport = wsTransport({ log: silentLog, options });
  t.teardown(() => transport.close(1001, 'the test is over'));
  const http = async (request: HttpRequest): Promise<HttpResponse> => {
    if (request.path !== '/api/whoami') return answer(request);
    const id = request.header('authorization') ?? '';
    return json(id.startsWith(TOKEN) ? await lookUp() : 401, { id });
  };
  const { port } = await transport.listen(openToAll({ http }), hubRecorder().events);
  return { port, transport };
}

interface Answered {
  readonly id: number;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A client that sends what a test passes to it, and keeps the answers. */
async function client({ port }: Door, headers: Readonly<Record<string, string>> = { authorization: TOKEN }) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/socket`, { headers });
  const answers: Answered[] = [];
  let wake = (): void => undefined;
  socket.on('message', (data: RawData) => {
    const text = (data as Buffer).toString();
    const end = text.indexOf('\n');
    answers.push({ ...(JSON.parse(text.slice(0, end)) as Omit<Answered, 'body'>), body: text.slice(end + 1) });
    wake();
  });
  const closed = once(socket, 'close').then(([code, reason]) => ({ code: code as number, reason: String(reason) }));
  await once(socket, 'open');
  return {
    socket,
    closed,
    answers,
    send: (head: unknown, body = '') => socket.send(`${typeof head === 'string' ? head : JSON.stringify(head)}\n${body}`),
    async got(count: number): Promise<readonly Answered[]> {
      while (answers.length < count) await new Promise<void>((resolve) => (wake = resolve));
      return answers;
    },
  };
}

/** The status with which an upgrade is answered. The socket stays open until the test ends. */
function upgradedWith({ port }: Door, headers: object): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/socket`, { headers: { ...headers } });
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.on('open', () => resolve(101));
    socket.on('unexpected-response', (_request, { statusCode = 0 }) => {
      socket.terminate();
      resolve(statusCode);
    });
  });
}

const submit = (id: number) => ({ id, method: 'POST', path: '/api/tasks' });

t.test('it opens for a valid token only, and its requests have that token and no cookie', async (t) => {
  const seen: Record<string, unknown>[] = [];
  const found = await door(t, async (request) => {
    const names = ['authorization', 'host', 'cookie', 'content-type', 'idempotency-key', 'content-length', 'x-forwarded-for', 'user-agent'];
    const headers = Object.fromEntries(names.map((name) => [name, request.header(name)]));
    const { method, path, query, remoteAddress } = request;
    seen.push({ method, path, query, remoteAddress, headers, text: request.body === null ? null : await textOf(request) });
    return json(201, { found: seen.length });
  });
  for (const headers of [{}, { authorization: 'Bearer another' }]) t.equal(await upgradedWith(found, headers), 401);
  const { send, got } = await client(found, { authorization: TOKEN, cookie: 'session=1', 'x-forwarded-for': '192.0.2.7' });
  send({ ...submit(7), path: '/api/tasks?a=1', headers: { 'content-type': 'text/x', 'idempotency-key': 'k' } }, '{"description":"é\n"}');
  await got(1);
  send({ id: 8, method: 'POST', path: '/api/agents/a1/check' });
  t.strictSame(await got(2), [
    { id: 7, status: 201, headers: { 'content-type': 'application/json' }, body: '{"found":1}' },
    { id: 8, status: 201, headers: { 'content-type': 'application/json' }, body: '{"found":2}' },
  ]);
  const headers = {
    authorization: TOKEN,
    host: `127.0.0.1:${found.port}`,
    cookie: undefined,
    'x-forwarded-for': '192.0.2.7',
    'user-agent': undefined,
  };
  t.strictSame(seen, [
    {
      method: 'POST',
      path: '/api/tasks',
      query: 'a=1',
      remoteAddress: '127.0.0.1',
      headers: { ...headers, 'content-type': 'text/x', 'idempotency-key': 'k', 'content-length': '21' },
      text: '{"description":"é\n"}',
    },
    {
      method: 'POST',
      path: '/api/agents/a1/check',
      query: '',
      remoteAddress: '127.0.0.1',
      headers: { ...headers, 'content-type': undefined, 'idempotency-key': undefined, 'content-length': '0' },
      text: null,
    },
  ]);
});

t.test('answers come as they are ready; a token that is no longer valid closes it', async (t) => {
  const { opened: held, open: release } = gate();
  const found = await door(t, async (request) => {
    const text = await textOf(request);
    if (text === 'first') await held;
    if (text === 'revoked') return json(401, { error: 'unauthorized' }, { 'www-authenticate': 'Bearer' });
    return json(text === 'wrong secret' ? 401 : 200, text);
  });
  const { send, got, closed } = await client(found);
  send(submit(1), 'first');
  send(submit(2), 'second');
  t.match(await got(1), [{ id: 2, body: '"second"' }]);
  release();
  t.match(await got(2), [{}, { id: 1, body: '"first"' }]);
  send(submit(3), 'wrong secret');
  t.match(await got(3), [{}, {}, { id: 3, status: 401 }], 'a secret in a body is no token');
  send(submit(4), 'revoked');
  t.match(await got(4), [{}, {}, {}, { id: 4, status: 401 }]);
  t.match(await closed, { code: 1008, reason: 'the token is not valid' });
});

t.test('a token that is revoked closes it, whatever it is used for', async (t) => {
  let isRevoked = false;
  const found = await door(
    t,
    () => json(404, { error: 'unknown_route' }),
    { keepAliveMs: 100 },
    () => (isRevoked ? 401 : 200),
  );
  const { socket, send, closed } = await client(found);
  // Not idle: each answer is followed by another request, which needs no token.
  socket.on('message', () => send(submit(2)));
  send(submit(1));
  isRevoked = true;
  t.match(await closed, { code: 1008, reason: 'the token is not valid' });
});

t.test('a message that is no request closes it, with the reason', async (t) => {
  let cancelled = 0;
  const found = await door(t, (request) => {
    if (request.path === '/never') return new Promise<HttpResponse>(() => undefined);
    const stream = { next: () => Promise.resolve(new Uint8Array(1)), cancel: () => void (cancelled += 1) };
    return { status: 200, headers: {}, body: stream };
  });
  const wrong: readonly (readonly [head: unknown, RegExp])[] = [
    ['{', /^expected JSON in the first line$/],
    ['null', /^expected an object in the first line$/],
    [{ ...submit(1), id: '1' }, /^expected an integer as id$/],
    [{ ...submit(1), method: 'GET' }, /^expected POST as method$/],
    [{ id: 1, method: 'POST' }, /^expected a path$/],
    [{ ...submit(1), headers: 1 }, /^expected an object as headers$/],
    [{ ...submit(1), headers: { authorization: 'Bearer other' } }, /^expected only the headers content-type, /],
    [{ ...submit(1), headers: { 'content-type': 1 } }, /^expected only the headers content-type, /],
    [{ ...submit(1), path: `/${'x'.repeat(20_000)}` }, /^expected a line of at most 16384 bytes before the body$/],
    [submit(1), /^a stream is sent over HTTP only$/],
  ];
  for (const [head, why] of wrong) {
    const { send, closed } = await client(found);
    send(head);
    const { code, reason } = await closed;
    t.equal(code, 1008);
    t.match(reason, why);
  }
  t.equal(cancelled, 1, 'the stream ends');
  const many = await client(found);
  for (let id = 0; id <= REQUESTS_MAX; id += 1) many.send({ ...submit(id), path: '/never' });
  t.match(await many.closed, { code: 1008, reason: `at most ${REQUESTS_MAX} requests at once` });
  const large = await client(found);
  large.socket.on('error', () => undefined);
  large.send(submit(1), 'x'.repeat(REQUEST_BYTES_MAX));
  t.match(await large.closed, { code: 1009 });
});

t.test('it closes after its last answer when the hub stops, and when it is idle', async (t) => {
  const { opened: held, open: release } = gate();
  let running = 0;
  const found = await door(t, async () => {
    running += 1;
    await held;
    return json(200, 'done');
  });
  const busy = await client(found);
  const idle = await client(found);
  busy.send(submit(1), 'x');
  while (running === 0) await new Promise((resolve) => setImmediate(resolve));
  found.transport.refuseNew();
  busy.send(submit(2), 'x');
  t.match(await busy.got(1), [{ id: 2, status: 503, headers: { 'retry-after': '1' } }]);
  const closed = found.transport.close(1001, 'over');
  t.match(await idle.closed, { code: 1001, reason: 'the hub is stopping' });
  release();
  t.match(await busy.got(2), [{}, { id: 1, status: 200 }]);
  t.match(await busy.closed, { code: 1001 });
  await closed;
});

t.test('it closes when it is idle: no message has come for a while, whatever else has', async (t) => {
  const found = await door(
    t,
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      return json(200, 'x');
    },
    { keepAliveMs: 100 },
  );
  const [unused, pinging, halfway, busy] = await Promise.all([client(found), client(found), client(found), client(found)]);
  const timer = setInterval(() => {
    pinging.socket.ping();
    halfway.socket.send('x', { fin: false });
  }, 20);
  busy.send(submit(1), 'x');
  for (const one of [unused, pinging, halfway, busy]) t.match(await one.closed, { code: 1001, reason: 'it was idle' });
  clearInterval(timer);
  t.equal(busy.answers.length, 1, 'not before its answer');
});

t.test('a client that reads nothing is not read from', async (t) => {
  const long = 'x'.repeat(8 * UNREAD_BYTES_MAX);
  let handled = 0;
  const found = await door(t, () => {
    handled += 1;
    return json(200, long);
  });
  const { socket, send, got } = await client(found);
  socket.pause();
  const total = REQUESTS_MAX;
  for (let id = 0; id < total; id += 1) {
    send(submit(id), 'x');
    const before = handled;
    for (let turns = 0; turns < 50 && handled === before; turns += 1) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  t.ok(handled < total, `${handled} of ${total} requests were handled`);
  socket.resume();
  t.equal((await got(total)).length, total, 'the others are handled once it reads');
});

t.test('R20: a client that leaves its answers unread is disconnected, although it pings', async (t) => {
  const long = 'x'.repeat(8 * UNREAD_BYTES_MAX);
  const found = await door(t, () => json(200, long), { keepAliveMs: 100 });
  const { socket, send } = await client(found);
  const { _socket: raw } = socket as unknown as { readonly _socket: Socket };
  const closed = new Promise((resolve) => raw.on('close', resolve));
  socket.on('error', () => undefined);
  socket.pause();
  send(submit(1));
  const timer = setInterval(() => socket.ping(), 20);
  await closed;
  clearInterval(timer);
  t.pass('it is');
});

t.test('a client may send pings and pongs within the limit', async (t) => {
  const { socket, send, got } = await client(await door(t, () => json(200, 'x')));
  for (let n = 0; n < OTHER_FRAMES.burst / 2; n += 1) socket.pong();
  send(submit(1));
  t.match(await got(1), [{ id: 1, status: 200 }]);
});

t.test('bodies that wait for the handler are limited', async (t) => {
  const { opened: held, open: release } = gate();
  let handled = 0;
  const found = await door(t, async () => {
    handled += 1;
    await held;
    return json(200, 'x');
  });
  const { send, got } = await client(found);
  const half = 'x'.repeat(REQUEST_BYTES_MAX / 2);
  for (let id = 0; id < 10; id += 1) send(submit(id), half);
  while (handled < 3) await new Promise((resolve) => setImmediate(resolve));
  // Whatever it would read, it has read before it answers these.
  const other = await client(found);
  for (let pings = 0; pings < 5; pings += 1) {
    other.socket.ping();
    await once(other.socket, 'pong');
  }
  t.ok(handled >= 3 && handled <= 4, `${handled} of 10`);
  release();
  t.equal((await got(10)).length, 10);
});

t.test('R20: a port has a limited number of them, and a token half of those that others leave free', async (t) => {
  const found = await door(t, () => json(200, 'x'));
  /** How many sockets a token opens, and the status that the next one gets. */
  const opened = async (authorization: string): Promise<readonly [number, number]> => {
    for (let count = 0; ; count += 1) {
      const status = await upgradedWith(found, { authorization });
      if (status !== 101) return [count, status];
    }
  };
  const first = await client(found);
  t.strictSame(await opened(TOKEN), [REQUEST_SOCKETS_MAX / 2 - 1, 429]);
  for (const half of [32, 16, 8, 4, 2, 1]) t.strictSame(await opened(`${TOKEN} of ${half}`), [half, 429]);
  t.strictSame(await opened(`${TOKEN} of the last`), [1, 503]);
  first.socket.close();
  await first.closed;
  await client(found, { authorization: `${TOKEN}-new` });

  const wanted = REQUEST_SOCKETS_MAX + 10;
  const { opened: areThere, open: allThere } = gate();
  let there = 0;
  const another = (): void => {
    there += 1;
    if (there === wanted) allThere();
  };
  const slow = await door(
    t,
    () => json(200, 'x'),
    {},
    async () => {
      another();
      await areThere;
      return 200;
    },
  );
  /** Each of them is refused or has its token looked up before the first lookup is over. */
  const open = async (): Promise<number> => {
    const status = await upgradedWith(slow, { authorization: TOKEN });
    another();
    return status;
  };
  const statuses = await Promise.all(Array.from({ length: wanted }, open));
  const [all, half] = [REQUEST_SOCKETS_MAX, REQUEST_SOCKETS_MAX / 2];
  const count = (status: number): number => statuses.filter((each) => each === status).length;
  t.same([count(101), count(429), count(503)], [half, all - half, 10], 'also while tokens are looked up');
});

t.test('a client that disconnects while its token is looked up is not opened', async (t) => {
  let answer = (): void => undefined;
  const { opened: asked, open: isAsked } = gate();
  const transport = wsTransport({ log: silentLog });
  const http = async (): Promise<HttpResponse> => {
    isAsked();
    await new Promise<void>((resolve) => (answer = resolve));
    return json(200, { id: 'tok-1' });
  };
  const { port } = await transport.listen(openToAll({ http }), hubRecorder().events);
  const socket: Socket = connect(port, '127.0.0.1');
  const head = ['GET /api/socket HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
  socket.write(`${head.join('\r\n')}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
  await asked;
  socket.resetAndDestroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  answer();
  await transport.close(1001, 'over');
  t.pass('the port closes');
});
