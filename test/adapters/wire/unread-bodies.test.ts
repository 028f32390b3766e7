/** Request bodies that nobody reads. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { CHUNKS_FREE } from '../../../adapters/kit/arriving-body.ts';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import type { WsOptions } from '../../../adapters/transports.ts';
import type { HttpHandler } from '../../../core/ports/http.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { reply, textOf } from '../../product/contracts/wire/web-http.ts';
import { untilClosed } from '../../product/contracts/wire/wire-address.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';
import { gate } from '../../rig/gate.ts';

t.setTimeout(20_000);

const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';
const chunks = (count: number): string => '1\r\nx\r\n'.repeat(count);

async function opened(t: Test, http: HttpHandler, options: WsOptions = {}): Promise<number> {
  const transport = wsTransport({ log: silentLog, options });
  t.teardown(() => transport.close(1001, 'the test is over'));
  const { port } = await transport.listen(openToAll({ socketsMax: 1, http }), hubRecorder().events);
  return port;
}

/** A connection that the hub may reset. */
function connected(t: Test, port: number): Socket {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => socket.destroy());
  return socket;
}

/** What was received when `count` responses had begun, or the connection ended. */
function answers(socket: Socket, count: number): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    socket.on('data', (data) => {
      received += String(data);
      if (received.split('HTTP/1.1 ').length > count) resolve(received);
    });
    socket.on('close', () => resolve(received));
  });
}

for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) {
  t.test(`R20: ${method}: a body that still arrives in tiny chunks after the response ends the connection`, async (t) => {
    const port = await opened(t, () => reply('no', 401));
    const socket = connected(t, port);
    socket.write(`${method} / HTTP/1.1\r\nHost: x\r\n${CHUNKED}`);
    t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 401 /);
    socket.write(chunks(2 * CHUNKS_FREE));
    await untilClosed(socket);
  });

  t.test(`${method}: a connection continues after a body that is not read`, async (t) => {
    const port = await opened(t, ({ path }) => reply(path));
    const next = 'GET /next HTTP/1.1\r\nHost: x\r\n\r\n';
    for (const [what, head, body] of [
      ['with a length', 'Content-Length: 4\r\n\r\n', 'body'],
      ['in chunks', CHUNKED, `${chunks(CHUNKS_FREE / 2)}0\r\n\r\n`],
    ] as const) {
      const begin = `${method} /first HTTP/1.1\r\nHost: x\r\n${head}`;
      const both = /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 200 [\s\S]*\/next$/;
      const socket = connected(t, port);
      socket.write(`${begin}${body}${next}`);
      t.match(await answers(socket, 2), both, `${what}, in one piece`);
      const slow = connected(t, port);
      slow.write(begin);
      const received = answers(slow, 2);
      await once(slow, 'data');
      slow.write(`${body}${next}`);
      t.match(await received, both, `${what}, after the response`);
    }
  });
}

const FLOOD = `POST /read HTTP/1.1\r\nHost: x\r\n${CHUNKED}${chunks(2 * CHUNKS_FREE)}`;

t.test('a handler that reads a body of tiny chunks gets an error', async (t) => {
  const http: HttpHandler = (request) => textOf(request).then(reply, () => reply('too many chunks', 400));
  const socket = connected(t, await opened(t, http));
  socket.write(FLOOD);
  t.match(await answers(socket, 1), /^HTTP\/1\.1 400 [\s\S]*too many chunks$/);
  await untilClosed(socket);
});

t.test('R20: a peer that sends tiny chunks and reads nothing is disconnected', async (t) => {
  const { opened: isRefused, open: refused } = gate();
  const http: HttpHandler = async (request) => {
    if (request.path === '/large') return reply('x'.repeat(16_777_216));
    const read = textOf(request).finally(() => request.path === '/read' && refused());
    return read.then(reply, () => reply('too many chunks', 400));
  };
  const port = await opened(t, http, { httpConnectionsMax: 1 });
  const socket = connected(t, port);
  socket.pause();
  socket.write(`GET /large HTTP/1.1\r\nHost: x\r\n\r\n${FLOOD}`);
  await isRefused;
  // Until it is gone, its address gets no other connection.
  const isServed = async (): Promise<boolean> => {
    const another = connected(t, port);
    another.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    return (await answers(another, 1)) !== '';
  };
  while (!(await isServed())) await new Promise((resolve) => setTimeout(resolve, 20));
  t.pass('its place is free');
});
