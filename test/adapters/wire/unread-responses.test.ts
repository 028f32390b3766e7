/** Responses that their clients do not read: how long they keep memory and a connection. */
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import type { HttpRequest, HttpResponse } from '../../../core/ports/http.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Teardown } from '../../product/contracts/contract-case.ts';
import { reply } from '../../product/contracts/wire/web-http.ts';
import { untilClosed } from '../../product/contracts/wire/wire-address.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';

// Node disconnects a client that reads nothing only after up to 20 s.
t.setTimeout(90_000);

/** A port that answers each request with `text`, and what `whenSent` of each request called back, by path. */
async function answeringRoom(t: Teardown, text: string) {
  const transport = wsTransport({ log: silentLog });
  t.teardown(() => transport.close(1001, 'over'));
  const sent: string[] = [];
  let served = 0;
  const http = ({ path, whenSent }: HttpRequest): HttpResponse | Promise<HttpResponse> => {
    served += 1;
    whenSent?.(() => sent.push(path));
    return path === '/never' ? new Promise(() => undefined) : reply(text);
  };
  const { port } = await transport.listen(openToAll({ http }), hubRecorder().events);
  const ask = (...paths: readonly string[]): Socket => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    t.teardown(() => socket.destroy());
    socket.pause();
    socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    return socket;
  };
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { sent, ask, until, served: () => served };
}

t.test('R20: a request learns when its client has taken the response, or has disconnected', async (t) => {
  const short = await answeringRoom(t, 'short');
  short.ask('/one', '/two');
  await short.until(() => short.sent.length === 2);
  t.strictSame(short.sent, ['/one', '/two'], 'the system takes a short response at once');
  // The responses of the others wait for the first one.
  const waiting = short.ask('/never', '/three', '/four');
  await short.until(() => short.served() === 5);
  t.equal(short.sent.length, 2);
  waiting.destroy();
  await short.until(() => short.sent.length === 5);
  t.strictSame(short.sent.slice(2).sort(), ['/four', '/never', '/three']);

  const long = await answeringRoom(t, 'x'.repeat(16_777_216));
  for (const [path, ends] of [
    ['/read', (socket: Socket) => socket.resume()],
    ['/left', (socket: Socket) => socket.destroy()],
  ] as const) {
    const socket = long.ask(path);
    const served = long.served();
    await long.until(() => long.served() > served);
    await new Promise((resolve) => setTimeout(resolve, 100));
    t.notOk(long.sent.includes(path));
    ends(socket);
    await long.until(() => long.sent.includes(path));
  }
});

t.test('R20: a client that reads nothing of a long response is disconnected long before an idle connection is', async (t) => {
  const room = await answeringRoom(t, 'x'.repeat(16_777_216));
  const socket = room.ask('/unread');
  await room.until(() => room.sent.length === 1);
  let bytes = 0;
  const closed = untilClosed(socket);
  socket.on('data', (data) => (bytes += data.byteLength)).resume();
  await closed;
  t.ok(bytes < 16_777_216, `it got ${bytes} bytes`);
});
