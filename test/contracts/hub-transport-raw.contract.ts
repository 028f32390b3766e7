/** What a `HubTransport` on real sockets must withstand from peers that break the rules. */
import { connect } from 'node:net';
import type { Test } from 'tap';
import { BINARY, PING, rawPeer, TEXT } from './raw-peer.ts';
import { nextOf } from './wire-recorders.ts';
import { FRAME_BYTES_MAX, roundTrip, wireRoom, type WireSubject } from './wire-room.ts';

const UNMASKED = 'a frame without a mask';

export interface RawSubject extends WireSubject {
  /** It reads a frame without a mask as if it had one, so that only its garbled text may show it. */
  readonly takesUnmasked?: boolean;
}

export const rawPeerTests = async (t: Test, subject: RawSubject): Promise<void> => {
  await t.test('closes a socket with 1003 for a binary frame, and delivers nothing of it or after it', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room.port);
    await nextOf(room.hubSaw, 'open');
    peer.frame(BINARY, 'x');
    peer.frame(TEXT, 'after');
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1003);
    t.equal(await peer.closeCode, 1003);
    peer.socket.destroy();
    t.same(room.hubSaw.left, []);
  });

  await t.test('puts a message in pieces together, and holds its sum against the limit', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room.port);
    await nextOf(room.hubSaw, 'open');
    peer.frame(TEXT, 'one ', { fin: false });
    peer.frame(0, 'message');
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'one message');
    peer.frame(TEXT, 'x'.repeat(FRAME_BYTES_MAX), { fin: false });
    peer.frame(0, 'y');
    t.equal((await nextOf(room.hubSaw, 'gone')).code, room.transport.capabilities.tooLargeCode);
    peer.socket.destroy();
  });

  const broken: readonly (readonly [string, (peer: Awaited<ReturnType<typeof rawPeer>>) => void])[] = [
    ['text that is not UTF-8', (peer) => peer.frame(TEXT, Buffer.from([0xff, 0xfe]))],
    [UNMASKED, (peer) => peer.frame(TEXT, 'bare', { masked: false })],
    ['an opcode that does not exist', (peer) => peer.frame(5, 'what')],
    ['compressed frames, which nobody agreed on', (peer) => void peer.socket.write(Buffer.from([0xc1, 0x80, 0, 0, 0, 0]))],
    ['noise', (peer) => void peer.socket.write(Buffer.alloc(4_096, 0xa5))],
    ['a reset', (peer) => void peer.socket.resetAndDestroy()],
    ['the end of its half of TCP, and silence', (peer) => void peer.socket.end()],
  ];
  await t.test('ends a socket once, and no other, for', async (t) => {
    for (const [what, does] of broken) {
      const skip = what === UNMASKED && subject.takesUnmasked === true ? 'this transport does not look at the mask bit' : false;
      await t.test(what, { skip }, async (t) => {
        const room = await wireRoom(t, subject);
        const peer = await rawPeer(room.port);
        await nextOf(room.hubSaw, 'open');
        does(peer);
        await nextOf(room.hubSaw, 'gone');
        peer.socket.destroy();
        await roundTrip(t, subject, room);
        t.same(room.hubSaw.left, []);
      });
    }
  });

  await t.test('takes a ping as a sign of life, and passes on x-forwarded-for as given', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room.port, ['X-Forwarded-For: 10.0.0.9, 10.0.0.1']);
    t.equal((await nextOf(room.hubSaw, 'open')).connection.forwardedFor, '10.0.0.9, 10.0.0.1');
    peer.frame(PING, 'hm');
    await nextOf(room.hubSaw, 'pong');
    peer.socket.destroy();
    await nextOf(room.hubSaw, 'gone');
  });

  await t.test('does not wait for a peer that answers no close', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room.port);
    const { connection } = await nextOf(room.hubSaw, 'open');
    connection.ping();
    const from = performance.now();
    connection.close(4001, 'replaced');
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 4001, 'gone, and no pong before it');
    t.ok(performance.now() - from < 2_000);
    t.equal(await peer.closeCode, 4001);
    peer.socket.destroy();
  });

  await t.test('closes within its bound while peers of all kinds hang', async (t) => {
    const room = await wireRoom(t, subject, { http: () => new Promise<Response>(() => undefined) });
    const silent = await rawPeer(room.port);
    await nextOf(room.hubSaw, 'open');
    const notReading = await rawPeer(room.port);
    const { connection } = await nextOf(room.hubSaw, 'open');
    notReading.socket.pause();
    for (let n = 0; n < 30; n += 1) connection.send('x'.repeat(100_000));
    const speechless = connect(room.port, '127.0.0.1');
    const waiting = connect(room.port, '127.0.0.1');
    const halfRequest = connect(room.port, '127.0.0.1');
    for (const socket of [speechless, waiting, halfRequest]) socket.on('error', () => undefined);
    waiting.write(`GET /never HTTP/1.1\r\nHost: 127.0.0.1:${room.port}\r\n\r\n`);
    await new Promise<void>((resolve) => halfRequest.write('POST /api HTTP/1.1\r\nContent-Le', () => resolve()));

    const from = performance.now();
    await room.transport.close(1012, 'restart');
    t.ok(performance.now() - from < 5_000);
    t.same(
      room.hubSaw.left.map((saw) => saw.kind === 'gone' && saw.code),
      [1012, 1012],
    );
    for (const socket of [silent.socket, notReading.socket, speechless, waiting, halfRequest]) socket.destroy();
  });
};
