/** Submits over a WebSocket: when they are, and that nothing is lost when they cannot be. */
import { execFile } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { WebSocketServer, type WebSocket } from 'ws';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import { hubClient } from '../../../apps/client/index.ts';
import type { PortCertificate } from '../../../core/ports/hub-transport.ts';
import type { HttpRequest, HttpResponse } from '../../../core/ports/http.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { textOf } from '../../product/contracts/wire/web-http.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { gate } from '../../rig/gate.ts';
import { testCertificate, tlsPair } from '../../rig/tls-pair.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { runningHub } from '../running-hub.ts';
import { listening } from './scripted-hub.ts';

t.setTimeout(60_000);

const task = (n: number) => ({ task_id: `task-${String(n).padStart(16, '0')}`, status: 'queued', priority: 'normal', created_at: 1 });
const json = (status: number, body: unknown): HttpResponse => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** A hub whose submits are answered in order; `accept` is what only requests over HTTP have. */
async function hub(
  t: Test,
  answer: (n: number, request: HttpRequest) => HttpResponse | Promise<HttpResponse> = (n) => json(201, task(n)),
  certificate?: PortCertificate,
) {
  const over: ('http' | 'socket')[] = [];
  const keys: (string | undefined)[] = [];
  let sockets = 0;
  const transport = wsTransport({ log: silentLog, certificate });
  t.teardown(() => transport.close(1001, 'the test is over'));
  const http = async (request: HttpRequest): Promise<HttpResponse> => {
    if (request.path === '/api/whoami') {
      sockets += 1;
      return json(200, {});
    }
    over.push(request.header('accept') === undefined ? 'socket' : 'http');
    keys.push(request.header('idempotency-key'));
    await textOf(request);
    return answer(over.length, request);
  };
  const { port } = await transport.listen(openToAll({ http }), hubRecorder().events);
  return { url: `http://127.0.0.1:${port}`, port, over, keys, sockets: () => sockets };
}

/** The URL of a hub that answers submits over HTTP, and leaves its sockets to `onSocket`. */
async function hubWithSockets(t: Test, onSocket: (socket: WebSocket, stream: Socket) => void): Promise<string> {
  const sockets = new WebSocketServer({ noServer: true });
  const app = new ScriptedApp().post('/api/tasks', (c) => c.json(task(1), 201));
  const { url, server } = await listening(t, app);
  server.on('upgrade', (request: IncomingMessage, stream: Socket, head: Buffer) =>
    sockets.handleUpgrade(request, stream, head, (socket) => {
      t.teardown(() => stream.destroy());
      onSocket(socket, stream);
    }),
  );
  return url;
}

/** Submits one after the other until one has gone over a socket. */
async function submitUntilSocket(tasks: ReturnType<typeof hubClient>['tasks'], over: readonly string[]): Promise<void> {
  while (!over.includes('socket')) await tasks.submit({ description: 'x' });
}

t.test('the first submits go over HTTP, and more over one socket, with their keys', async (t) => {
  const { url, over, keys, sockets } = await hub(t);
  const { tasks } = hubClient({ url, token: 'a-token' });
  await submitUntilSocket(tasks, over);
  t.ok(over.indexOf('socket') >= 4, over.join());
  const before = over.length;
  const ids = await Promise.all([tasks.submit({ description: 'x' }, 'key-1'), tasks.submitMany([{ description: 'y' }]).catch(() => null)]);
  t.match(ids[0], { task_id: task(over.indexOf('socket', before) + 1).task_id });
  t.equal(keys[over.indexOf('socket', before)], 'key-1');
  t.ok(over.indexOf('http', before) > 0, 'only submits go over the socket');
  t.equal(sockets(), 1);
});

t.test('a client that submits rarely opens no socket, until it submits often again', async (t) => {
  const { now } = performance;
  t.teardown(() => void (performance.now = now));
  let aheadMs = 0;
  performance.now = () => now.call(performance) + aheadMs;
  const { url, over, sockets } = await hub(t);
  const { tasks } = hubClient({ url, token: 'a-token' });
  const submitRarely = async (): Promise<void> => {
    for (let n = 0; n < 6; n += 1) {
      aheadMs += 21_000;
      await tasks.submit({ description: 'x' });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await submitRarely();
  t.equal(sockets(), 0);
  await submitUntilSocket(tasks, over);
  t.equal(sockets(), 1);
  const before = over.length;
  await submitRarely();
  t.equal(sockets(), 1);
  t.strictSame(new Set(over.slice(before)), new Set(['http']));
  over.length = 0;
  await submitUntilSocket(tasks, over);
  t.equal(sockets(), 2);
});

t.test('a hub without sockets is asked once', async (t) => {
  const paths: string[] = [];
  const app = new ScriptedApp((call) => void paths.push(call.target)).post('/api/tasks', (c) => c.json(task(1), 201));
  const { url } = await listening(t, app);
  const { tasks } = hubClient({ url, token: 'a-token' });
  while (!paths.includes('/api/socket')) await tasks.submit({ description: 'x' });
  const before = paths.filter((path) => path === '/api/tasks').length;
  for (let n = 0; n < 20; n += 1) await tasks.submit({ description: 'x' });
  t.equal(paths.filter((path) => path === '/api/socket').length, 1);
  t.equal(paths.filter((path) => path === '/api/tasks').length, before + 20);
});

t.test('a hub or proxy that refuses a socket for now is asked again after two seconds', async (t) => {
  const { now } = performance;
  t.teardown(() => void (performance.now = now));
  let aheadMs = 0;
  performance.now = () => now.call(performance) + aheadMs;
  const app = new ScriptedApp().post('/api/tasks', (c) => c.json(task(1), 201));
  const { url, server } = await listening(t, app);
  let status = 0;
  let asked = 0;
  let closed = gate();
  server.on('upgrade', (_request, stream: Socket) => {
    asked += 1;
    stream.on('error', () => undefined).on('close', closed.open);
    stream.resume().end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
  });
  for (const [answer, isTemporary] of [
    [429, true],
    [502, true],
    [503, true],
    [504, true],
    [403, false],
  ] as const) {
    status = answer;
    asked = 0;
    closed = gate();
    const { tasks } = hubClient({ url, token: 'a-token' });
    while (asked === 0) await tasks.submit({ description: 'x' });
    await closed.opened;
    // The client has closed it, and is about to hear of that.
    await new Promise((resolve) => setTimeout(resolve, 50));
    aheadMs += 2_500;
    for (let n = 0; n < 8; n += 1) await tasks.submit({ description: 'x' });
    t.equal(asked, isTemporary ? 2 : 1, String(answer));
  }
});

t.test('R8: a submit whose socket breaks off is repeated with its key', async (t) => {
  const connections = new Set<Socket>();
  let isBreaking = false;
  const found = await hub(t, async (n, request) => {
    if (isBreaking && request.header('accept') === undefined) {
      isBreaking = false;
      for (const each of connections) each.resetAndDestroy();
    }
    return json(201, task(n));
  });
  // Between both, so that the test can cut the connection.
  const proxy = createServer((socket) => {
    const hub = connect(found.port, '127.0.0.1');
    connections.add(socket);
    for (const each of [socket, hub]) each.on('error', () => undefined).on('close', () => (socket.destroy(), hub.destroy()));
    socket.pipe(hub).pipe(socket);
  });
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close());
  const { port } = proxy.address() as { readonly port: number };
  const retries: string[] = [];
  const { tasks } = hubClient({ url: `http://127.0.0.1:${port}`, token: 'a-token', onRetry: (why) => retries.push(why) });
  await submitUntilSocket(tasks, found.over);
  isBreaking = true;
  t.match(await tasks.submit({ description: 'x' }, 'key-1'), { status: 'queued' });
  t.equal(found.keys.filter((key) => key === 'key-1').length, 2);
  t.equal(retries.length, 1);
  t.match(retries[0], /ECONNRESET/);
});

for (const [what, status, headers, error] of [
  ['no headers', 403, null, { code: 'AC_API_UNREACHABLE', details: { reason: 'ECONNRESET' } }],
  ['headers that are no text', 201, { 'content-type': 5, 'retry-after': {} }, { code: 'AC_API', details: { status: 201 } }],
] as const) {
  t.test(`an answer with ${what} fails as one that cannot be read`, async (t) => {
    let isAnswered = false;
    const url = await hubWithSockets(t, (socket) =>
      socket.on('message', (data: Buffer) => {
        isAnswered = true;
        const { id } = JSON.parse(data.toString().split('\n')[0] ?? '') as { readonly id: number };
        socket.send(`${JSON.stringify({ id, status, headers })}\nnot JSON`);
      }),
    );
    const { tasks } = hubClient({ url, token: 'a-token', retryWithinMs: 0 });
    let failure: unknown = null;
    while (!isAnswered) await tasks.submit({ description: 'x' }).catch((thrown: unknown) => (failure = thrown));
    t.match(failure, error);
  });
}

t.test('over HTTPS, the hub is recognized as for other requests', async (t) => {
  const pair = tlsPair();
  const certificate = await testCertificate(t, pair);
  const found = await hub(t, undefined, certificate);
  const url = found.url.replace('http:', 'https:');
  const ways = [{ ca: [pair.cert] }, { fingerprints: [pair.fingerprint] }];
  for (const tls of ways) {
    found.over.length = 0;
    await submitUntilSocket(hubClient({ url, token: 'a-token', tls }).tasks, found.over);
  }
  t.equal(found.sockets(), 2);
});

t.test('on a real hub, refusals are the same, and a revoked token ends it', async (t) => {
  const running = await runningHub();
  t.teardown(() => running.stop());
  const { token, id } = await running.api.tokens.create({ role: 'submitter', name: 'often' });
  const { tasks } = hubClient({ url: running.url, token });
  for (let n = 0; n < 50; n += 1) await tasks.submit({ description: `n${n}` });
  t.equal(Number((await running.api.tasks.stats())['queued']), 50);
  await t.rejects(tasks.submit({ description: '' }), { code: 'AC_API', message: /POST \/api\/tasks \(400 validation_failed\)/ });
  const several = await Promise.allSettled(['a', '', 'b'].map((description) => tasks.submit({ description })));
  t.strictSame(
    several.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  await running.api.tokens.revoke(id);
  for (let n = 0; n < 3; n += 1) await t.rejects(tasks.submit({ description: 'x' }), { code: 'AC_API', details: { status: 401 } });
});

t.test('a slow answer delays no others, and nothing is sent into a socket that closes', async (t) => {
  let release = (): void => undefined;
  const found = await hub(t, async (n, request) => {
    if (request.header('idempotency-key') === 'slow') await new Promise<void>((resolve) => (release = resolve));
    return json(201, task(n));
  });
  const { tasks } = hubClient({ url: found.url, token: 'a-token' });
  await submitUntilSocket(tasks, found.over);
  const slow = tasks.submit({ description: 'x' }, 'slow');
  while (!found.keys.includes('slow')) await new Promise((resolve) => setImmediate(resolve));
  await tasks.submit({ description: 'x' }, 'fast');
  release();
  await slow;

  let opened = 0;
  const url = await hubWithSockets(t, (socket, stream) => {
    opened += 1;
    socket.on('error', () => undefined);
    // A close frame, and a connection that stays open.
    stream.write(Buffer.from([0x88, 0x02, 0x03, 0xe9]));
    socket.pause();
  });
  const other = hubClient({ url, token: 'a-token' }).tasks;
  while (opened === 0) await other.submit({ description: 'x' });
  for (let n = 0; n < 20; n += 1) await other.submit({ description: 'x' });
});

t.test('a socket does not keep the process alive, open or not', async (t) => {
  const { url, over } = await hub(t);
  const app = new ScriptedApp().post('/api/tasks', (c) => c.json(task(1), 201));
  const unanswered = await listening(t, app);
  unanswered.server.on('upgrade', (_request, stream: Socket) => void stream.on('error', () => undefined));
  await ends(t, unanswered.url);
  await ends(t, url);
  t.ok(over.includes('socket'));
});

t.test('a socket whose TLS handshake hangs does not keep the process alive', async (t) => {
  const pair = tlsPair();
  const found = await hub(t, undefined, await testCertificate(t, pair));
  const connections: Socket[] = [];
  const proxy = createServer((socket) => {
    connections.push(socket.on('error', () => undefined));
    // The first one is for HTTP.
    if (connections.length > 1) return;
    const hub = connect(found.port, '127.0.0.1');
    for (const each of [socket, hub]) each.on('error', () => undefined).on('close', () => (socket.destroy(), hub.destroy()));
    socket.pipe(hub).pipe(socket);
  });
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const each of connections) each.destroy();
    proxy.close();
  });
  const { port } = proxy.address() as { readonly port: number };
  await ends(t, `https://127.0.0.1:${port}`, { fingerprints: [pair.fingerprint] });
  t.equal(connections.length, 2);
});

/** A program that submits and has nothing else to do. */
async function ends(t: Test, url: string, tls: object = {}): Promise<void> {
  const program = `
    const { hubClient } = await import(${JSON.stringify(builtTree().compiled('apps/client/index.ts'))});
    const { tasks } = hubClient({ url: ${JSON.stringify(url)}, token: 'a-token', tls: ${JSON.stringify(tls)} });
    for (let n = 0; n < 30; n += 1) await tasks.submit({ description: 'x' });
    console.log('done');`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { timeout: 8_000 });
  t.equal(stdout, 'done\n');
}
