/** Upgrades that `ws` finds invalid. */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import type { WsOptions } from '../../../adapters/transports.ts';
import type { ListenOptions, PendingUpgrade } from '../../../core/ports/hub-transport.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { gate, type Gate } from '../../rig/gate.ts';
import { reply } from '../../product/contracts/wire/web-http.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';

t.setTimeout(20_000);

interface Door {
  readonly port: number;
  /** Opens when the hub is asked for `/large`, which is more than all buffers hold. */
  readonly large: Gate;
}

async function door(t: Test, options: WsOptions = {}, listening: Partial<ListenOptions> = {}): Promise<Door> {
  const transport = wsTransport({ log: silentLog, options: { closeWithinMs: 100, ...options } });
  t.teardown(() => transport.close(1001, 'the test is over'));
  const large = gate();
  const http: ListenOptions['http'] = ({ path }) => {
    if (path === '/large') large.open();
    return reply(path === '/large' ? 'x'.repeat(16_777_216) : '{"id":"tok-1"}');
  };
  const { port } = await transport.listen(openToAll({ socketsMax: 1, http, ...listening }), hubRecorder().events);
  return { port, large };
}

const request = (...lines: readonly string[]): string => [...lines, 'Host: x', '', ''].join('\r\n');

/** A connection on which this was sent. The hub may reset it. */
function sending(t: Test, port: number, text: string, localAddress = '127.0.0.1'): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
  t.teardown(() => socket.destroy());
  socket.write(text);
  return socket;
}

/** Everything that is received until the connection ends. */
function answerOn(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    socket.on('data', (data) => (received += String(data))).on('close', () => resolve(received));
  });
}

/** Waits until a connection from this address has a place. */
async function served(t: Test, port: number, localAddress?: string): Promise<void> {
  const isServed = async (): Promise<boolean> =>
    (await answerOn(sending(t, port, request('GET / HTTP/1.1', 'Connection: close'), localAddress))) !== '';
  while (!(await isServed())) await new Promise((resolve) => setTimeout(resolve, 20));
}

const UPGRADE = ['Upgrade: websocket', 'Connection: Upgrade'];
const KEY = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
const VERSION = 'Sec-WebSocket-Version: 13';

for (const path of ['/ws', '/api/socket']) {
  for (const [what, status, lines] of [
    ['a wrong key', 400, [`GET ${path} HTTP/1.1`, ...UPGRADE, VERSION, 'Sec-WebSocket-Key: wrong']],
    ['a wrong version', 400, [`GET ${path} HTTP/1.1`, ...UPGRADE, KEY, 'Sec-WebSocket-Version: 12']],
    ['a wrong method', 405, [`POST ${path} HTTP/1.1`, ...UPGRADE, KEY, VERSION]],
    ['a wrong protocol', 400, [`GET ${path} HTTP/1.1`, ...UPGRADE, KEY, VERSION, 'Sec-WebSocket-Protocol: ,']],
  ] as const) {
    t.test(`R20: ${path} with ${what} is refused with ${status}, and keeps no connection of a peer that reads nothing`, async (t) => {
      const answer = await answerOn(sending(t, (await door(t)).port, request(...lines)));
      t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      t.match(answer, /\r\nSec-WebSocket-Version: 13, 8\r\n/);

      const { port, large } = await door(t, { httpConnectionsMax: 1 });
      const peer = sending(t, port, request('GET /large HTTP/1.1'));
      peer.pause();
      await large.opened;
      peer.write(request(...lines));
      await served(t, port);
    });
  }
}

t.test('R20: an upgrade that was invalid when it had waited keeps no connection either', async (t) => {
  const asked: PendingUpgrade[] = [];
  const admit = (upgrade: PendingUpgrade): (() => void) => {
    asked.push(upgrade);
    return () => undefined;
  };
  const { port } = await door(t, { httpConnectionsMax: 1 }, { pendingUpgradesMax: 1, admit });
  const lines = ['GET /ws HTTP/1.1', ...UPGRADE, KEY, VERSION, 'Sec-WebSocket-Protocol: ,'];
  // Together they have all places.
  for (let n = 0; n < 3; n += 1) {
    const peer = sending(t, port, request('GET /large HTTP/1.1') + request(...lines));
    peer.pause();
    while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    asked.pop()?.open();
  }
  await served(t, port, '127.0.0.2');
});
