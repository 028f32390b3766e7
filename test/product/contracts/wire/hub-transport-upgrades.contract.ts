/** What a `HubTransport` on real sockets must do with upgrades that the hub lets wait. */
import { once } from 'node:events';
import type { ListenOptions, PendingUpgrade } from '../../../../core/ports/hub-transport.ts';
import type { CaseTest, Teardown } from '../contract-case.ts';
import { eventInbox, type EventInbox } from '../files/event-inbox.ts';
import { connectTo, untilClosed, type WireSocket } from './wire-address.ts';
import { linkRecorder, nextOf } from './wire-recorders.ts';
import { FRAME_BYTES_MAX, roundTrip, wireRoom, type WireRoom, type WireSubject } from './wire-room.ts';

const STATUS_LINES = { 101: 'HTTP/1.1 101 Switching Protocols', 503: 'HTTP/1.1 503 Service Unavailable' };

type Asked = { readonly kind: 'asked'; readonly upgrade: PendingUpgrade } | { readonly kind: 'left' };

interface WaitingRoom extends WireRoom {
  readonly asked: EventInbox<Asked>;
}

/** A transport whose hub lets every upgrade wait. */
async function waitingRoom(t: Teardown, subject: WireSubject, changes: Partial<ListenOptions> = {}): Promise<WaitingRoom> {
  const asked = eventInbox<Asked>();
  const admit = (upgrade: PendingUpgrade): (() => void) => {
    asked.put({ kind: 'asked', upgrade });
    return () => asked.put({ kind: 'left' });
  };
  return { ...(await wireRoom(t, subject, { admit, pendingUpgradesMax: 10, ...changes })), asked };
}

interface Peer extends WireSocket {
  /** The status line of the answer; empty if the connection ended without one. */
  readonly status: Promise<string>;
  readonly ended: Promise<unknown>;
}

function upgrading(t: Teardown, room: WireRoom, after = ''): Peer {
  const { socket, tcp } = connectTo(room);
  t.teardown(() => Promise.resolve(void socket.destroy()));
  socket.on('error', () => undefined);
  const head = [
    'GET /ws HTTP/1.1',
    `Host: 127.0.0.1:${room.port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'X-Forwarded-For: 192.0.2.1',
  ];
  socket.write([...head, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', after].join('\r\n'));
  const ended = untilClosed(socket);
  const answered = once(socket, 'data').then(([chunk]) => String(chunk).split('\r\n', 1)[0] ?? '');
  return { socket, tcp, status: Promise.race([answered, ended.then(() => '')]), ended };
}

export const waitingUpgradeTests = (test: CaseTest, subject: WireSubject): void => {
  test('leaves an upgrade unanswered until the hub opens it, and then delivers its frames', async (t) => {
    const room = await waitingRoom(t, subject);
    const { events, saw } = linkRecorder();
    const link = subject.link.connect({ url: room.url, frameBytesMax: FRAME_BYTES_MAX }, events);
    t.teardown(() => link.destroy());
    const { upgrade } = await nextOf(room.asked, 'asked');
    t.equal(upgrade.remoteAddress, '127.0.0.1');
    t.equal(upgrade.forwardedFor, null);
    t.strictSame([saw.left, room.hubSaw.left], [[], []]);
    upgrade.open();
    t.equal((await nextOf(room.hubSaw, 'open')).connection.remoteAddress, '127.0.0.1');
    await nextOf(saw, 'open');
    link.send('first');
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'first');
    upgrade.open();
    upgrade.refuse('too late');
    link.send('second');
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'second', 'only the first answer counts');
  });

  test('refuses a waiting upgrade with 503', async (t) => {
    const room = await waitingRoom(t, subject);
    const peer = upgrading(t, room);
    const { upgrade } = await nextOf(room.asked, 'asked');
    t.equal(upgrade.forwardedFor, '192.0.2.1');
    upgrade.refuse('no room');
    t.equal(await peer.status, STATUS_LINES[503]);
    await peer.ended;
    upgrade.open();
    t.strictSame([room.asked.left, room.hubSaw.left], [[], []]);
  });

  for (const [how, leave] of [
    ['closes its connection', ({ socket }) => socket.destroy()],
    ['resets it', ({ tcp }) => tcp.resetAndDestroy()],
    ['ends its half of it', ({ socket }) => socket.end()],
    ['sends a frame before the answer', ({ socket }) => socket.write(Buffer.alloc(1_000, 'x'))],
  ] satisfies readonly (readonly [string, (peer: Peer) => unknown])[]) {
    test(`reports a peer that ${how} while its upgrade waits`, async (t) => {
      const room = await waitingRoom(t, subject);
      const peer = upgrading(t, room);
      const { upgrade } = await nextOf(room.asked, 'asked');
      leave(peer);
      await nextOf(room.asked, 'left');
      t.not(await peer.status, STATUS_LINES[101]);
      await peer.ended;
      upgrade.open();
      upgrade.refuse('it is gone');
      t.strictSame([room.asked.left, room.hubSaw.left], [[], []], 'once');
    });
  }

  test('disconnects a peer that sends a frame with its request, if its upgrade waits', async (t) => {
    const room = await waitingRoom(t, subject);
    const peer = upgrading(t, room, 'x'.repeat(1_000));
    await nextOf(room.asked, 'asked');
    await nextOf(room.asked, 'left');
    t.not(await peer.status, STATUS_LINES[101]);
    await peer.ended;
  });

  test('opens no upgrade that waited while the transport began to refuse', async (t) => {
    const room = await waitingRoom(t, subject);
    const peer = upgrading(t, room);
    const { upgrade } = await nextOf(room.asked, 'asked');
    room.transport.refuseNew();
    upgrade.open();
    t.equal(await peer.status, STATUS_LINES[503]);
    t.strictSame(room.hubSaw.left, []);
  });

  test('opens no waiting upgrade when all WebSockets are open', async (t) => {
    const room = await waitingRoom(t, subject, { socketsMax: 1 });
    const peers = [upgrading(t, room), upgrading(t, room)];
    const upgrades = [(await nextOf(room.asked, 'asked')).upgrade, (await nextOf(room.asked, 'asked')).upgrade];
    for (const upgrade of upgrades) upgrade.open();
    await nextOf(room.hubSaw, 'open');
    t.strictSame(new Set(await Promise.all(peers.map(({ status }) => status))), new Set(Object.values(STATUS_LINES)));
  });

  test('closes although upgrades wait', async (t) => {
    const room = await waitingRoom(t, subject);
    const peer = upgrading(t, room);
    await nextOf(room.asked, 'asked');
    await room.transport.close(1001, 'stopping');
    await nextOf(room.asked, 'left');
    await peer.ended;
    t.strictSame(room.hubSaw.left, []);
  });

  test('answers at once if the hub does, from within its call', async (t) => {
    let isOpen = true;
    const room = await wireRoom(t, subject, {
      admit: ({ open, refuse }) => {
        if (isOpen) open();
        else refuse('no room');
        return () => t.fail('it does not wait');
      },
    });
    await roundTrip(t, subject, room);
    isOpen = false;
    t.equal(await upgrading(t, room).status, STATUS_LINES[503]);
  });
};
