import { createHash } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { hubLinkContract } from '../../product/contracts/wire/hub-link.contract.ts';
import { linkRecorder, nextOf } from '../../product/contracts/wire/wire-recorders.ts';

hubLinkContract('ws', { transport: () => wsTransport({ log: silentLog }), link: wsLink({ log: silentLog }) }, t);

/** A TCP server that answers each connection with `does`, until the test ends. */
const oddHub = async (t: Test, does: (socket: Socket) => void): Promise<string> => {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    // What the link does to it is what the test observes from the other side.
    socket.on('error', () => undefined);
    does(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
};

const goneFrom = async (t: Test, url: string): Promise<{ readonly code: number; readonly reason: string }> => {
  const { events, saw } = linkRecorder();
  const link = wsLink({ log: silentLog, handshakeMs: 200 }).connect({ url, frameBytesMax: 1_000 }, events);
  const gone = await nextOf(saw, 'gone');
  t.equal(link.send('x'), false);
  t.same(saw.left, []);
  return gone;
};

t.test('a link gives up on a silent hub after the handshake timeout', async (t) => {
  const url = await oddHub(t, () => undefined);
  const from = performance.now();
  t.match(await goneFrom(t, url), { code: 1006, reason: /handshake within 200 ms/ });
  t.ok(performance.now() - from >= 199);
});

t.test('and on a hub that answers too slowly', async (t) => {
  const url = await oddHub(t, (socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nX-Slow: ');
    const trickle = setInterval(() => socket.write('z'), 20);
    socket.on('close', () => clearInterval(trickle));
  });
  t.match(await goneFrom(t, url), { code: 1006, reason: /handshake within 200 ms/ });
});

t.test('a peer that is not a hub ends the link at once', async (t) => {
  const answers = [
    'SSH-2.0-OpenSSH_9.6\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    '',
  ];
  for (const answer of answers) {
    const url = await oddHub(t, (socket) => void socket.once('data', () => socket.end(answer)));
    t.equal((await goneFrom(t, url)).code, 1006, JSON.stringify(answer));
  }
});

t.test('a WebSocket that is refused over HTTP: the reason names the status and what to do', async (t) => {
  for (const [status, reason] of [
    ['404 Not Found', /^expected a WebSocket, found HTTP 404\. The address of a hub ends with \/ws\. A proxy .* Upgrade and Connection$/],
    ['403 Forbidden', /^expected a WebSocket, found HTTP 403\. .*hub\.listen\.names$/],
    ['503 Service Unavailable', /^expected a WebSocket, found HTTP 503$/],
  ] as const) {
    const url = await oddHub(t, (socket) => socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`));
    t.match(await goneFrom(t, url), { code: 1006, reason });
  }
});

t.test('a hub without TLS at a wss:// address: the reason says so', async (t) => {
  const url = await oddHub(t, (socket) => void socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
  t.match(await goneFrom(t, url.replace('ws:', 'wss:')), { code: 1006, reason: /^it does not speak TLS there: use ws:\/\/ / });
});

t.test('a redirect is not followed', async (t) => {
  const url = await oddHub(
    t,
    (socket) => void socket.once('data', () => socket.end('HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n')),
  );
  t.match(await goneFrom(t, url), { code: 1006, reason: /302/ });
});

t.test('a reset of an open link calls onGone once', async (t) => {
  const transport = wsTransport({ log: silentLog });
  t.teardown(() => transport.close(1001, 'over'));
  const options = {
    frameBytesMax: 100,
    unidentifiedBytesMax: 1_000,
    socketsMax: 10,
    socketQueueBytesMax: 1_000,
    http: () => ({ status: 404, headers: {}, body: null }),
    isAllowedOrigin: () => true,
  };
  const silent = { onOpen: () => undefined, onFrame: () => undefined, onPong: () => undefined, onGone: () => undefined };
  const { port } = await transport.listen({ host: '127.0.0.1', port: 0, ...options }, silent);
  const inner: Socket[] = [];
  const url = await oddHub(t, (socket) => {
    const toHub = connect(port, '127.0.0.1');
    toHub.on('error', () => undefined);
    socket.on('close', () => toHub.destroy());
    inner.push(socket);
    socket.pipe(toHub).pipe(socket);
  });
  const { events, saw } = linkRecorder();
  wsLink({ log: silentLog }).connect({ url, frameBytesMax: 1_000 }, events);
  await nextOf(saw, 'open');
  inner[0]?.resetAndDestroy();
  t.equal((await nextOf(saw, 'gone')).code, 1006);
  t.same(saw.left, []);
});

t.test('frames sent in one event loop turn arrive in order, in one chunk', async (t) => {
  const texts: string[] = [];
  const chunks: number[] = [];
  const url = await oddHub(t, (socket) => {
    socket.once('data', (head: Buffer) => {
      const key = /sec-websocket-key: (.*)\r\n/i.exec(head.toString())?.[1] ?? '';
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk.length);
        for (let at = 0; at < chunk.length;) {
          const length = (chunk[at + 1] as number) & 0x7f;
          const mask = chunk.subarray(at + 2, at + 6);
          texts.push(Buffer.from(chunk.subarray(at + 6, at + 6 + length).map((byte, n) => byte ^ (mask[n % 4] as number))).toString());
          at += 6 + length;
        }
        if (texts.length >= 4) socket.end();
      });
    });
  });
  const { events, saw } = linkRecorder();
  const link = wsLink({ log: silentLog }).connect({ url, frameBytesMax: 1_000 }, events);
  await nextOf(saw, 'open');
  for (const text of ['one', 'two', 'three', 'four']) t.equal(link.send(text), true);
  await nextOf(saw, 'gone');
  t.same(texts, ['one', 'two', 'three', 'four']);
  t.equal(chunks.length, 1);
});
