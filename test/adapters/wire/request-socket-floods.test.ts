/** Frames of a request socket that are not requests. */
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { OTHER_FRAMES } from '../../../adapters/transport-ws/request-sockets.ts';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { reply } from '../../product/contracts/wire/web-http.ts';
import { untilClosed } from '../../product/contracts/wire/wire-address.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';

t.setTimeout(20_000);

for (const [what, opcodes] of [
  ['pongs', [0x8a]],
  ['pings', [0x89]],
  ['messages after it was closed', [0x82, 0x81]],
] as const) {
  t.test(`R20: a client that sends too many ${what} is disconnected`, async (t) => {
    const transport = wsTransport({ log: silentLog, options: { closeWithinMs: 60_000 } });
    t.teardown(() => transport.close(1001, 'the test is over'));
    const { port } = await transport.listen(openToAll({ http: () => reply('{"id":"tok-1"}') }), hubRecorder().events);
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    t.teardown(() => socket.destroy());
    const head = ['GET /api/socket HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    socket.write([...head, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''].join('\r\n'));
    await once(socket, 'data');
    socket.resume();
    // Masked and empty: as a request, it closes the socket.
    const frames = opcodes.map((opcode) => Buffer.from([opcode, 0x80, 0, 0, 0, 0]));
    for (let n = 0; n < 2 * OTHER_FRAMES.burst; n += 1) for (const frame of frames) socket.write(frame);
    await untilClosed(socket);
  });
}
