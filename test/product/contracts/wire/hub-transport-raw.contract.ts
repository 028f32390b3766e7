/** What a `HubTransport` on real sockets must withstand from peers that break the rules. */
import type { TransportEvents } from '../../../../core/ports/hub-transport.ts';
import type { CaseTest } from '../contract-case.ts';
import { eventInbox } from '../files/event-inbox.ts';
import { BINARY, PING, rawPeer, TEXT } from './raw-peer.ts';
import { connectTo } from './wire-address.ts';
import { nextOf } from './wire-recorders.ts';
import { FRAME_BYTES_MAX, openToAll, roundTrip, wireRoom, type WireSubject } from './wire-room.ts';

/** What may be buffered in a socket that floods, what may be read from it at once on top of that, and when it must have ended. */
const QUEUE_BYTES_MAX = 500_000;
const READ_BYTES = 524_288;
const FLOOD_BYTES = 67_108_864;
/** A masked ping with the longest allowed payload. */
const PING_OF_125 = Buffer.concat([Buffer.from([0x80 | PING, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125, 'p')]);

type Fault = readonly [what: string, does: (peer: Awaited<ReturnType<typeof rawPeer>>) => void];

/** `checksMask`: the capability of the transport. */
export const rawPeerTests = (test: CaseTest, subject: WireSubject, { checksMask }: { readonly checksMask: boolean }): void => {
  test('closes a socket with 1003 for a binary frame, and delivers neither it nor anything after it', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room);
    await nextOf(room.hubSaw, 'open');
    peer.frame(BINARY, 'x');
    peer.frame(TEXT, 'after');
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1003);
    t.equal(await peer.closeCode, 1003);
    peer.socket.destroy();
    t.strictSame(room.hubSaw.left, []);
  });

  test('reassembles a fragmented message, and applies the limit to its total size', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room);
    await nextOf(room.hubSaw, 'open');
    peer.frame(TEXT, 'one ', { fin: false });
    peer.frame(0, 'message');
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'one message');
    peer.frame(TEXT, 'x'.repeat(FRAME_BYTES_MAX), { fin: false });
    peer.frame(0, 'y');
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1009);
    peer.socket.destroy();
  });

  const broken: readonly Fault[] = [
    ['text that is not UTF-8', (peer) => peer.frame(TEXT, Buffer.from([0xff, 0xfe]))],
    ['an opcode that does not exist', (peer) => peer.frame(5, 'what')],
    ['compressed frames, which were not negotiated', (peer) => void peer.socket.write(Buffer.from([0xc1, 0x80, 0, 0, 0, 0]))],
    ['noise', (peer) => void peer.socket.write(Buffer.alloc(4_096, 0xa5))],
    ['a reset', (peer) => peer.reset()],
    ['the end of its half of TCP, and silence', (peer) => void peer.socket.end()],
  ];
  const unmasked: Fault = ['a frame without a mask', (peer) => peer.frame(TEXT, 'bare', { masked: false })];
  for (const [what, does] of checksMask ? [...broken, unmasked] : broken) {
    test(`ends exactly that socket, once, for ${what}`, async (t) => {
      const room = await wireRoom(t, subject);
      const peer = await rawPeer(room);
      await nextOf(room.hubSaw, 'open');
      does(peer);
      await nextOf(room.hubSaw, 'gone');
      peer.socket.destroy();
      await roundTrip(t, subject, room);
      t.strictSame(room.hubSaw.left, []);
    });
  }

  test('treats a ping as a sign of life, and passes on x-forwarded-for unchanged', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room, ['X-Forwarded-For: 10.0.0.9, 10.0.0.1']);
    t.equal((await nextOf(room.hubSaw, 'open')).connection.forwardedFor, '10.0.0.9, 10.0.0.1');
    peer.frame(PING, 'hm');
    await nextOf(room.hubSaw, 'pong');
    peer.socket.destroy();
    await nextOf(room.hubSaw, 'gone');
  });

  test('ends a socket that floods pings and reads no pong, whether or not it has sent a message', async (t) => {
    for (const first of [null, 'hello']) {
      const ended = eventInbox<number>();
      const transport = subject.transport();
      t.teardown(() => transport.close(1001, 'the test is over'));
      let waitingBytes = 0;
      const events: TransportEvents = {
        onOpen: () => undefined,
        onFrame: () => undefined,
        onPong: (connection) => (waitingBytes = Math.max(waitingBytes, connection.bufferedBytes())),
        onGone: (_, code) => ended.put(code),
      };
      const { port } = await transport.listen(openToAll({ socketQueueBytesMax: QUEUE_BYTES_MAX }), events);
      const peer = await rawPeer({ port, ca: subject.ca });
      if (first !== null) peer.frame(TEXT, first);
      peer.socket.pause();
      const pings = Buffer.concat(Array.from({ length: 500 }, () => PING_OF_125));
      let sent = 0;
      // The system's own buffers hold some megabytes of pongs before any are buffered here.
      while (sent < FLOOD_BYTES && ended.left.length === 0 && peer.socket.writable) {
        await new Promise<void>((resolve) => peer.socket.write(pings, () => resolve()));
        sent += pings.byteLength;
      }
      if (ended.left.length === 0 && sent >= FLOOD_BYTES) {
        t.fail(`after ${sent} bytes of pings the socket is open, and ${waitingBytes} bytes are buffered in it`);
      } else {
        // A transport may limit pongs by their number and cut the connection.
        t.ok([1006, 1013].includes(await ended.next('the end of the flooding socket')));
        t.ok(waitingBytes <= QUEUE_BYTES_MAX + READ_BYTES, `${waitingBytes} bytes were buffered`);
      }
      peer.socket.destroy();
    }
  });

  test('does not wait for a peer that does not answer the close', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room);
    const { connection } = await nextOf(room.hubSaw, 'open');
    connection.ping();
    const from = performance.now();
    connection.close(4001, 'replaced');
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 4001, 'gone, and no pong before it');
    t.ok(performance.now() - from < 2_000);
    t.equal(await peer.closeCode, 4001);
    peer.socket.destroy();
  });

  test('closes within its time limit while all kinds of peers hang', async (t) => {
    const room = await wireRoom(t, subject, { http: () => new Promise<never>(() => undefined) });
    const silent = await rawPeer(room);
    await nextOf(room.hubSaw, 'open');
    const notReading = await rawPeer(room);
    const { connection } = await nextOf(room.hubSaw, 'open');
    notReading.socket.pause();
    for (let n = 0; n < 30; n += 1) connection.send('x'.repeat(100_000));
    const speechless = connectTo(room).socket;
    const waiting = connectTo(room).socket;
    const halfRequest = connectTo(room).socket;
    for (const socket of [speechless, waiting, halfRequest]) socket.on('error', () => undefined);
    waiting.write(`GET /never HTTP/1.1\r\nHost: 127.0.0.1:${room.port}\r\n\r\n`);
    await new Promise<void>((resolve) => halfRequest.write('POST /api HTTP/1.1\r\nContent-Le', () => resolve()));

    const from = performance.now();
    await room.transport.close(1012, 'restart');
    t.ok(performance.now() - from < 5_000);
    t.strictSame(
      room.hubSaw.left.map((saw) => saw.kind === 'gone' && saw.code),
      [1012, 1012],
    );
    for (const socket of [silent.socket, notReading.socket, speechless, waiting, halfRequest]) socket.destroy();
  });
};
