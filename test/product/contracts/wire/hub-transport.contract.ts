/** What every `HubTransport` must do. Real transports also show, with `rawPeer`, that they withstand what no correct link does. */
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { HubTransport } from '../../../../core/ports/hub-transport.ts';
import { inSuite, refuseOptions, type CaseTest, type ContractCase, type TestRunner } from '../contract-case.ts';
import { httpTests } from './hub-transport-http.contract.ts';
import { rawPeerTests } from './hub-transport-raw.contract.ts';
import { waitingUpgradeTests } from './hub-transport-upgrades.contract.ts';
import { upgradeStatus } from './upgrade-status.ts';
import { fetchFrom } from './wire-address.ts';
import { hubRecorder, linkRecorder, nextOf } from './wire-recorders.ts';
import { reply, textOf } from './web-http.ts';
import { FRAME_BYTES_MAX, join, openToAll, roundTrip, wireRoom, type WireSubject } from './wire-room.ts';

/** A transport under test. */
export interface HubTransportSubject extends WireSubject {
  /** How HTTP reaches a transport whose capabilities say that it is not on TCP. One on TCP is reached by TCP. */
  readonly reach?: Reach | undefined;
}

/** HTTP and upgrades to a transport that is not on TCP. */
export interface Reach {
  fetch(url: string, init?: RequestInit): Promise<Response>;
  /** Requests a socket as a page of `origin` would: 101, or the status of the refusal. Releases it again. */
  upgradeStatus(url: string, origin?: string): Promise<number>;
}

const byTcp = (ca: string | undefined): Reach => ({
  fetch: (url, init) => (ca === undefined ? fetch(url, init) : fetchFrom({ port: Number(new URL(url).port), ca }, url, init)),
  upgradeStatus: (url, origin) => upgradeStatus(url, origin, ca),
});
const GONE = {
  onTcp: 'Which cases there are follows from capabilities.tcp of the transport.',
  takesUnmasked: 'Whether it is sent frames without a mask follows from capabilities.checksMask of the transport.',
  fetch: 'Where capabilities.tcp is true the suite connects by itself; otherwise pass reach: { fetch, upgradeStatus }.',
  upgradeStatus: 'Where capabilities.tcp is true the suite connects by itself; otherwise pass reach: { fetch, upgradeStatus }.',
};

const codeOf = async (doing: Promise<unknown>): Promise<unknown> =>
  doing.then(
    () => 'nothing was thrown',
    (thrown: unknown) => (AgentcomError.is(thrown) ? thrown.code : thrown),
  );

const listenAgain = (transport: HubTransport, port: number) => transport.listen(openToAll({ port }), hubRecorder().events);

/** Adds the suite; `name` appears in the titles. */
export const hubTransportContract = (name: string, subject: HubTransportSubject, runner: TestRunner): void => {
  const suite = `HubTransport contract, ${name}`;
  refuseOptions(suite, subject, GONE);
  const { tcp, checksMask } = subject.transport().capabilities;
  if (typeof tcp !== 'boolean' || typeof checksMask !== 'boolean') {
    throw new TypeError(`${suite}: the capabilities of the transport must state tcp and checksMask, true or false.`);
  }
  const reach = tcp ? byTcp(subject.ca) : subject.reach;
  if (reach === undefined) {
    throw new TypeError(`${suite}: capabilities.tcp is false, so its subject needs reach: { fetch, upgradeStatus }.`);
  }
  inSuite(suite, runner, (test) => {
    framesTests(test, subject);
    endTests(test, subject);
    doorTests(test, subject, reach);
    lifeTests(test, subject);
    if (tcp) httpTests(test, subject);
    if (tcp) rawPeerTests(test, subject, { checksMask });
    if (tcp) waitingUpgradeTests(test, subject);
  });
};

const framesTests = (test: CaseTest, subject: WireSubject): void => {
  test('delivers frames in order, both ways, after onOpen', async (t) => {
    const room = await wireRoom(t, subject);
    const { events, saw } = linkRecorder();
    // Sent in the same moment as the opening: the hub must not see the frame first.
    const link = subject.link.connect(
      { url: room.url, frameBytesMax: FRAME_BYTES_MAX },
      { ...events, onOpen: () => void link.send('first') },
    );
    t.teardown(() => link.destroy());
    const { connection } = await nextOf(room.hubSaw, 'open');
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'first');

    const sent = Array.from({ length: 500 }, (_, n) => `${n} ${'é'.repeat(n % 300)}`);
    t.ok(sent.every((text) => link.send(text) && connection.send(text)));
    const up: string[] = [];
    const down: string[] = [];
    for (const _ of sent) {
      up.push((await nextOf(room.hubSaw, 'frame')).text);
      down.push((await nextOf(saw, 'frame')).text);
    }
    t.strictSame(up, sent);
    t.strictSame(down, sent);
    t.equal(connection.bufferedBytes(), 0);
  });

  test('accepts a frame of the maximum size and closes the socket for one byte more', async (t) => {
    const room = await wireRoom(t, subject);
    const { link, linkSaw } = await join(t, subject, room);
    const fits = 'é'.repeat(FRAME_BYTES_MAX / 2);
    link.send(fits);
    t.equal((await nextOf(room.hubSaw, 'frame')).text, fits);
    link.send(`${fits}x`);
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1009, 'the hub gets the reason, whatever the peer sees');
    t.equal((await nextOf(linkSaw, 'gone')).code, room.transport.capabilities.tooLargeCode);
  });

  test('R20: closes a socket that sends more than allowed before identify, and accepts it afterwards', async (t) => {
    const room = await wireRoom(t, subject, { unidentifiedBytesMax: 1_500 });
    const stranger = await join(t, subject, room);
    stranger.link.send('x'.repeat(900));
    t.equal((await nextOf(room.hubSaw, 'frame')).text.length, 900);
    stranger.link.send('x'.repeat(900));
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1009);
    await nextOf(stranger.linkSaw, 'gone');

    const { connection, link } = await join(t, subject, room);
    link.send('x'.repeat(900));
    await nextOf(room.hubSaw, 'frame');
    connection.identified();
    for (let n = 0; n < 5; n += 1) {
      link.send('x'.repeat(FRAME_BYTES_MAX));
      t.equal((await nextOf(room.hubSaw, 'frame')).text.length, FRAME_BYTES_MAX);
    }
  });

  test('closes a socket with 1013 when its send buffer exceeds the limit', async (t) => {
    const room = await wireRoom(t, subject, { socketQueueBytesMax: 500_000 });
    const { connection } = await join(t, subject, room, 1_000_000);
    // Five of these are slightly less than the limit, including the heads of their frames.
    const chunk = 'x'.repeat(99_000);
    let sent = 0;
    // The system's own buffers hold some megabytes before anything is buffered here; without a pause they cannot drain.
    while (sent < 1_000 && connection.send(chunk)) sent += 1;
    t.ok(sent < 1_000, 'in the end the frame is refused');
    t.ok(sent >= 5, `up to the limit may be buffered, found ${sent} frames`);
    t.equal(connection.send('more'), false);
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1013);
  });

  test('sends a frame that is larger than the limit of the send buffer', async (t) => {
    const room = await wireRoom(t, subject, { socketQueueBytesMax: 1_000 });
    const large = 'x'.repeat(20_000_000);
    const { connection, linkSaw } = await join(t, subject, room, large.length);
    t.equal(connection.send(large), true);
    t.equal((await nextOf(linkSaw, 'frame')).text.length, large.length);
    t.equal(connection.send('more'), true);
    t.equal((await nextOf(linkSaw, 'frame')).text, 'more');
  });

  test('reports signs of life, peers and ids', async (t) => {
    const room = await wireRoom(t, subject);
    const one = await join(t, subject, room);
    const two = await join(t, subject, room);
    t.not(one.connection.id, two.connection.id);
    t.equal(one.connection.remoteAddress, '127.0.0.1');
    t.equal(one.connection.forwardedFor, null);
    two.connection.ping();
    t.equal((await nextOf(room.hubSaw, 'pong')).connection, two.connection);
  });
};

const endTests = (test: CaseTest, subject: WireSubject): void => {
  test('calls onGone once when the peer ends, and accepts nothing more', async (t) => {
    const room = await wireRoom(t, subject);
    const { connection, link } = await join(t, subject, room);
    link.send('last frame');
    link.destroy();
    const seen = [await room.hubSaw.next('the last frame or the end'), ...room.hubSaw.left];
    if (seen.at(-1)?.kind !== 'gone') seen.push(await nextOf(room.hubSaw, 'gone'));
    t.match(seen.at(-1), { kind: 'gone', connection: { id: connection.id }, code: 1006 });

    t.equal(connection.send('into the void'), false);
    connection.ping();
    connection.close(1000, 'too late');
    connection.close(1000, 'too late');
    await roundTrip(t, subject, room);
    t.strictSame(room.hubSaw.left, []);
  });

  test('closes with code and reason; nothing but onGone follows, once', async (t) => {
    const room = await wireRoom(t, subject);
    const { connection, link, linkSaw } = await join(t, subject, room);
    for (let n = 0; n < 50; n += 1) link.send(`${n}`);
    await nextOf(room.hubSaw, 'frame');
    const beforeClose = room.hubSaw.left.length;
    connection.close(4001, 'replaced');
    connection.close(4002, 'again');
    t.equal(connection.send('after the close'), false);
    t.match(await nextOf(linkSaw, 'gone'), { code: 4001, reason: 'replaced' });
    await roundTripAfterGone(t, subject, room, connection.id, beforeClose);
  });

  test('truncates a reason that is too long, between characters', async (t) => {
    const room = await wireRoom(t, subject);
    const { connection, linkSaw } = await join(t, subject, room);
    connection.close(1008, '€'.repeat(100));
    const { code, reason } = await nextOf(linkSaw, 'gone');
    t.equal(code, 1008);
    t.match(reason, /^€+$/);
  });
};

/** Frames that were there at the close may come first; then `onGone` of this connection, and nothing more of it. */
const roundTripAfterGone = async (
  t: ContractCase,
  subject: WireSubject,
  room: Awaited<ReturnType<typeof wireRoom>>,
  id: number,
  framesLeft: number,
): Promise<void> => {
  for (let n = 0; n < framesLeft; n += 1) await nextOf(room.hubSaw, 'frame');
  t.match(await nextOf(room.hubSaw, 'gone'), { connection: { id }, code: 4001 });
  await roundTrip(t, subject, room);
  t.strictSame(room.hubSaw.left, []);
};

const doorTests = (test: CaseTest, subject: WireSubject, { fetch, upgradeStatus }: Reach): void => {
  test('answers HTTP on the port of the sockets', async (t) => {
    const seen: string[] = [];
    const room = await wireRoom(t, subject, {
      http: async (request) => {
        seen.push(`${request.method} ${request.path} ${await textOf(request)} ${request.remoteAddress}`);
        return reply('made', 201, { 'x-kind': 'test' });
      },
    });
    await join(t, subject, room);
    const response = await fetch(`http://127.0.0.1:${room.port}/api/tasks`, { method: 'POST', body: 'body' });
    t.match(
      { status: response.status, kind: response.headers.get('x-kind'), text: await response.text() },
      { status: 201, kind: 'test', text: 'made' },
    );
    t.strictSame(seen, ['POST /api/tasks body 127.0.0.1']);
  });

  test('upgrades on /ws only, for allowed hosts only, up to the limit', async (t) => {
    const requests: unknown[] = [];
    const room = await wireRoom(t, subject, {
      socketsMax: 1,
      isAllowedOrigin: (headers) => requests.push(headers) > 0 && headers.origin !== 'http://evil.example',
    });
    t.equal(await upgradeStatus(`${room.url}s`), 404);
    t.equal(await upgradeStatus(room.url, 'http://evil.example'), 403);
    t.strictSame(requests, [{ host: `127.0.0.1:${room.port}`, origin: 'http://evil.example' }]);
    const { link } = await join(t, subject, room);
    t.equal(await upgradeStatus(room.url), 503);
    link.destroy();
    await nextOf(room.hubSaw, 'gone');
    t.equal(await upgradeStatus(room.url), 101);
  });

  test('after refuseNew refuses new connections and continues with open ones', async (t) => {
    const room = await wireRoom(t, subject);
    const { connection, link, linkSaw } = await join(t, subject, room);
    room.transport.refuseNew();
    t.equal(await upgradeStatus(room.url), 503);
    t.equal((await fetch(`http://127.0.0.1:${room.port}/health`)).status, 503);
    link.send('still here');
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'still here');
    connection.send('so are we');
    t.equal((await nextOf(linkSaw, 'frame')).text, 'so are we');
  });
};

const lifeTests = (test: CaseTest, subject: WireSubject): void => {
  test('names the address when it cannot listen, and can retry', async (t) => {
    const first = await wireRoom(t, subject);
    const other = subject.transport();
    t.teardown(() => other.close(1001, 'over'));
    const busy = await listenAgain(other, first.port).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    t.match(busy, { code: 'AC_PORT_BUSY', message: new RegExp(`127\\.0\\.0\\.1:${first.port}`) });
    t.equal(await codeOf(listenAgain(other, 70_000)), 'AC_LISTEN');
    t.ok((await listenAgain(other, 0)).port > 0);
  });

  test('listens only once, until closed', async (t) => {
    const room = await wireRoom(t, subject);
    t.equal(await codeOf(listenAgain(room.transport, 0)), 'AC_INTERNAL');
    await join(t, subject, room);
    await room.transport.close(1012, 'restart');
    t.equal((await listenAgain(room.transport, room.port)).port, room.port);
  });

  test('can be closed twice, concurrently and before listening; the port is free and every onGone called', async (t) => {
    const idle = subject.transport();
    await Promise.all([idle.close(1001, 'never opened'), idle.close(1001, 'never opened')]);

    const room = await wireRoom(t, subject);
    const joined = [await join(t, subject, room), await join(t, subject, room)];
    await Promise.all([room.transport.close(1012, 'restart'), room.transport.close(1001, 'second'), room.transport.close(1001, 'third')]);
    t.strictSame(
      room.hubSaw.left.map((saw) => [saw.kind, saw.kind === 'gone' && saw.code]),
      [
        ['gone', 1012],
        ['gone', 1012],
      ],
    );
    for (const { linkSaw } of joined) t.match(await nextOf(linkSaw, 'gone'), { code: 1012, reason: 'restart' });
    await room.transport.close(1001, 'again');

    const next = subject.transport();
    t.teardown(() => next.close(1001, 'over'));
    t.equal((await listenAgain(next, room.port)).port, room.port);
    t.equal(room.hubSaw.left.length, 2);
  });
};
