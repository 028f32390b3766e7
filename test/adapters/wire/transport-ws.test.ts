import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { ws, type WsOptions } from '../../../adapters/transports.ts';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import { PIPELINED_MAX } from '../../../adapters/transport-ws/http-front.ts';
import type { HttpRequest, HttpResponse } from '../../../core/ports/http.ts';
import type { PendingUpgrade } from '../../../core/ports/hub-transport.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { eventInbox } from '../../product/contracts/files/event-inbox.ts';
import { httpApiContract } from '../../product/contracts/wire/http-api.contract.ts';
import { hubTransportContract } from '../../product/contracts/wire/hub-transport.contract.ts';
import { rawPeer, TEXT } from '../../product/contracts/wire/raw-peer.ts';
import { reply, silentStream, textOf } from '../../product/contracts/wire/web-http.ts';
import { hubRecorder, nextOf } from '../../product/contracts/wire/wire-recorders.ts';
import { join, openToAll, roundTrip, wireRoom } from '../../product/contracts/wire/wire-room.ts';
import { testCertificate, tlsPair } from '../../rig/tls-pair.ts';
import { apiOverHttp } from '../http/api-over-http.ts';
import { realTransportTests } from './real-transport.ts';

const subject = { transport: () => wsTransport({ log: silentLog }), link: wsLink({ log: silentLog }) };

hubTransportContract('ws', subject, t);

await t.test('over TLS', async (t) => {
  const pair = tlsPair();
  const certificate = await testCertificate(t, pair);
  const { cert: ca } = pair;
  const link = wsLink({ log: silentLog, trust: { ca: [ca] } });
  hubTransportContract('ws over TLS', { transport: () => wsTransport({ log: silentLog, certificate }), link, ca }, t);
});

await realTransportTests(t, (log, options = {}) => wsTransport({ log, options }));

httpApiContract('over ws', { open: () => apiOverHttp(wsTransport({ log: silentLog })) }, t);

t.test('slow heads and bodies are cut off, each after its own timeout, with a 408 where possible', async (t) => {
  const answerTo = async (options: WsOptions, bytes: string): Promise<string> => {
    const transport = wsTransport({ log: silentLog, options });
    const { port } = await transport.listen(openToAll({ http: async (request) => reply(await textOf(request)) }), hubRecorder().events);
    const socket = connect(port, '127.0.0.1');
    socket.write(bytes);
    const text = await new Promise<string>((resolve) => {
      let received = '';
      socket.on('data', (chunk) => (received += chunk.toString()));
      // How it ends does not matter here, only that it ends.
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(received));
    });
    await transport.close(1001, 'over');
    return text;
  };
  const heads = { headersWithinMs: 100, requestWithinMs: 60_000 };
  t.match(await answerTo(heads, ''), /^(HTTP\/1\.1 408 |$)/, 'no byte');
  t.match(await answerTo(heads, 'GET / HTTP/1.1\r\nHost: x\r\nX-A'), /^HTTP\/1\.1 408 /, 'half a head');
  const bodies = { headersWithinMs: 100, requestWithinMs: 200 };
  t.match(await answerTo(bodies, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf'), /^HTTP\/1\.1 408 /, 'half a body');
});

t.test('R20: a frame before identify is buffered only up to its limit, regardless of its announced length', async (t) => {
  const room = await wireRoom(t, subject, { frameBytesMax: 1_048_576, unidentifiedBytesMax: 10_000 });
  const peer = await rawPeer(room);
  await nextOf(room.hubSaw, 'open');
  const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x0f, 0xff, 0xff, 0, 0, 0, 0]);
  peer.socket.write(Buffer.concat([head, Buffer.alloc(9_900, 'x')]));
  await roundTrip(t, subject, room);
  t.same(room.hubSaw.left, [], 'it has not sent too much yet');
  peer.socket.write(Buffer.alloc(100_000, 'x'));
  t.equal((await nextOf(room.hubSaw, 'gone')).code, 1009);
  t.equal(await peer.closeCode, 1009, 'the peer receives the code');
  peer.socket.destroy();
});

/** The hub closes a peer that sends on. */
async function closedWhileSending(t: Test, isIdentified: boolean): Promise<void> {
  const transport = () => wsTransport({ log: silentLog, options: { closeWithinMs: 3_000 } });
  const room = await wireRoom(t, { ...subject, transport }, { unidentifiedBytesMax: 10_000 });
  const peer = await rawPeer(room);
  const { connection } = await nextOf(room.hubSaw, 'open');
  if (isIdentified) connection.identified();
  connection.close(1013, 'any reason');
  for (let n = 0; n < 1_000; n += 1) peer.frame(TEXT, 'x'.repeat(994));
  const written = (): Promise<true> => new Promise((resolve) => peer.socket.write(Buffer.alloc(0), () => resolve(true)));
  const stalled = (): Promise<false> => new Promise((resolve) => setTimeout(resolve, 500, false));
  // The system's own buffers hold some megabytes that are not read.
  let megabytes = 1;
  while (megabytes < 64 && (await Promise.race([written(), stalled()]))) {
    for (let n = 0; n < 1_000; n += 1) peer.frame(TEXT, 'x'.repeat(994));
    megabytes += 1;
  }
  t.ok(megabytes < 64, 'the hub has stopped reading');
  peer.socket.destroy();
  t.equal((await nextOf(room.hubSaw, 'gone')).code, 1013);
  t.equal(await peer.closeCode, 1013, 'the peer receives the code');
}

t.test('R20: a peer that the hub has closed before identify is read only up to the same limit', (t) => closedWhileSending(t, false));

t.test('R20: a peer that the hub has closed after identify is read only up to the limit before it', (t) => closedWhileSending(t, true));

t.test('R20: one address gets half of the free non-WebSocket connections, and regains room when they close', async (t) => {
  const log = memoryLog();
  const transport = wsTransport({ log, options: { httpConnectionsMax: 6 } });
  t.teardown(() => transport.close(1001, 'over'));
  const { port } = await transport.listen(openToAll({ socketsMax: 2 }), hubRecorder().events);
  const open = async (localAddress: string) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  const kept = await Promise.all(['127.0.0.1', '127.0.0.1', '127.0.0.1'].map(open));
  const sidecar = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  await once(sidecar, 'open');
  kept.push(await open('127.0.0.1'));
  const refused = await open('127.0.0.1');
  refused.resume();
  await once(refused, 'close');
  t.match(log.lines, [{ message: 'Refused at the port: one address has half of the free connections.' }]);
  const other = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  other.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  t.match(String((await once(other, 'data'))[0]), /^HTTP\/1\.1 200 /, 'other addresses have room');
  sidecar.terminate();
  for (const socket of kept) {
    const closed = once(socket, 'close');
    socket.destroy();
    await closed;
  }
  t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
});

t.test('R20: a connection with too many pipelined requests is closed before they delay others', async (t) => {
  const log = memoryLog();
  const transport = wsTransport({ log });
  t.teardown(() => transport.close(1001, 'over'));
  let served = 0;
  const http = async (request: HttpRequest): Promise<HttpResponse> => {
    served += 1;
    return reply(await textOf(request));
  };
  const { port } = await transport.listen(openToAll({ http }), hubRecorder().events);
  /** What is received until `count` responses are there, or the connection is closed. */
  const answersTo = async (count: number): Promise<number> => {
    const socket = connect(port, '127.0.0.1');
    // The hub may reset it; the test needs only its end.
    socket.on('error', () => undefined);
    let received = '';
    socket.on('data', (chunk) => {
      received += String(chunk);
      if (received.split('HTTP/1.1 200 ').length > count) socket.destroy();
    });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    for (let n = 0; n < 3; n += 1) socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(count / 3));
    await closed;
    return received.split('HTTP/1.1 200 ').length - 1;
  };
  t.equal(await answersTo(3), 3, 'a few are answered');
  served = 0;
  t.ok((await answersTo(3_000)) <= 1 + PIPELINED_MAX);
  t.ok(served <= 1 + PIPELINED_MAX, `${served} of 3,000 were handled`);
  t.match(log.lines, [{ message: 'Refused at the port: too many pipelined requests.' }]);
});

t.test('R20: streams that wait for the response to an earlier request are cancelled when their peer disconnects', async (t) => {
  const transport = wsTransport({ log: silentLog });
  t.teardown(() => transport.close(1001, 'over'));
  const ended = eventInbox<'opened' | 'cancelled'>();
  const silent = () => silentStream({ onOpen: () => ended.put('opened'), onCancel: () => ended.put('cancelled') });
  const { port } = await transport.listen(openToAll({ http: () => reply(silent()) }), hubRecorder().events);
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3));
  for (let n = 0; n < 3; n += 1) t.equal(await ended.next('a stream'), 'opened');
  await once(socket, 'data');
  socket.destroy();
  for (let n = 0; n < 3; n += 1) t.equal(await ended.next('the end of a stream'), 'cancelled');
});

t.test('a malformed request is answered with 400 only', async (t) => {
  const room = await wireRoom(t, subject);
  const statusOf = (head: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(room.port, '127.0.0.1', () => socket.write(head));
      socket.once('data', (chunk) => {
        socket.destroy();
        resolve(chunk.toString().slice(0, 12));
      });
    });
  t.equal(await statusOf('GET / HTTP/1.1\r\nHost: a b\r\n\r\n'), 'HTTP/1.1 400');
  t.equal(await statusOf('NONSENSE\r\n\r\n'), 'HTTP/1.1 400');
  for (const host of ['', 'a/b', 'who@x', 'x:99999', '[::1', 'x\r\nHost: y']) {
    t.equal(await statusOf(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 'HTTP/1.1 400', `Host: ${host}`);
  }
  t.equal(await statusOf('GET / HTTP/1.0\r\n\r\n'), 'HTTP/1.1 400', 'no Host');
  for (const path of ['*', 'x', 'ftp://x/', '/a\\b']) {
    t.equal(await statusOf(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`), 'HTTP/1.1 400', path);
  }
  for (const [path, host] of [
    ['/', '[::1]:4000'],
    ['/', 'UPPER.example:65535'],
    ['http://x/a?b', 'x'],
    ['http://x', 'x'],
  ]) {
    // prettier-ignore
    t.equal(await statusOf(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 'HTTP/1.1 200', `${path} of ${host}`);
  }
  t.equal(await statusOf(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'y'.repeat(20_000)}\r\n\r\n`), 'HTTP/1.1 431');
  await join(t, subject, room);
});

/** Node before 22.21 and 24.9 cannot ignore an `Upgrade` header. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const ignoresUpgrade = major > 24 || (major === 24 && minor >= 9) || (major === 22 && minor >= 21);

t.test('an Upgrade header for another protocol is ignored', { skip: !ignoresUpgrade && 'this Node cannot' }, async (t) => {
  const room = await wireRoom(t, subject, { http: async (request) => reply(`${request.method} ${await textOf(request)}`) });
  const socket = connect(room.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  const upgrade = 'Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
  for (const protocol of ['h2c', 'TLS/1.2', 'websocket, h2c']) {
    socket.write(`POST /api HTTP/1.1\r\n${upgrade}Upgrade: ${protocol}\r\nContent-Length: 4\r\n\r\nbody`);
    t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 200 [\s\S]*POST body$/, protocol);
  }
  await join(t, subject, room);
});

t.test('ws() opens nothing, checks its options and creates the transport', async (t) => {
  const choice = ws({ closeWithinMs: 500 });
  t.match(choice, { port: 'transport', name: 'ws', options: { closeWithinMs: 500 }, capabilities: { tooLargeCode: 1009 } });
  t.same(choice.problems(), []);
  const wrong = ws({ closeWithinMs: 0.5, closeWithin: 1 } as object);
  t.match(wrong.problems(), [
    { path: 'closeWithinMs', message: /found 0\.5/ },
    { path: 'closeWithin', message: /no such option/ },
  ]);
  t.strictSame(ws('4000' as never).problems(), [
    { path: '', message: 'expected an object with its options, found a text of 4 characters' },
  ]);
  t.strictSame(ws(null as never).problems(), [{ path: '', message: 'expected an object with its options, found null' }]);
  t.match(ws({ requestWithinMs: 5_000 }).problems(), [{ path: 'requestWithinMs', message: /at least headersWithinMs \(10000\)/ }]);
  const transport = await choice.create({ log: silentLog });
  t.equal(transport.name, 'ws');
});

t.test('R20: a peer whose upgrade is refused is disconnected even if it reads nothing', async (t) => {
  const asked: PendingUpgrade[] = [];
  const transport = wsTransport({ log: silentLog, options: { httpConnectionsMax: 1, closeWithinMs: 100 } });
  t.teardown(() => transport.close(1001, 'over'));
  let text = 'x'.repeat(16_777_216);
  const options = openToAll({
    socketsMax: 1,
    pendingUpgradesMax: 1,
    http: () => reply(text),
    admit: (upgrade) => {
      asked.push(upgrade);
      return () => t.fail('it does not leave');
    },
  });
  const { port } = await transport.listen(options, hubRecorder().events);
  const upgrade = ['GET /ws HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'];
  for (let n = 0; n < 3; n += 1) {
    const peer = connect(port, '127.0.0.1').on('error', () => undefined);
    peer.pause();
    t.teardown(() => peer.destroy());
    peer.write(['GET / HTTP/1.1', 'Host: x', '', ...upgrade, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''].join('\r\n'));
    while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    asked.pop()?.refuse('no room');
  }
  // Three connections are all that the port accepts.
  text = 'answered';
  const answer = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    return response === null ? answer() : response.text();
  };
  t.equal(await answer(), 'answered');
});

t.test('connections that do not wait for an upgrade have no more places than before', async (t) => {
  const transport = wsTransport({ log: silentLog, options: { httpConnectionsMax: 1 } });
  t.teardown(() => transport.close(1001, 'over'));
  const options = openToAll({ socketsMax: 1, pendingUpgradesMax: 10, admit: () => () => undefined });
  const { port } = await transport.listen(options, hubRecorder().events);
  const from = (localAddress: string) => {
    const peer = connect({ port, host: '127.0.0.1', localAddress });
    t.teardown(() => peer.destroy());
    return peer;
  };
  const idle = [from('127.0.0.1'), from('127.0.0.2')];
  await Promise.all(idle.map((peer) => once(peer, 'connect')));
  const third = from('127.0.0.3');
  third.resume();
  await once(third, 'close');
  t.ok(idle.every((peer) => !peer.destroyed));
});
