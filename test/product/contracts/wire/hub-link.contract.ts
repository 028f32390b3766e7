/** What every `HubLink` must do. */
import type { LinkEvents } from '../../../../core/ports/hub-link.ts';
import { inSuite, type CaseTest, type ContractCase, type TestRunner } from '../contract-case.ts';
import { linkRecorder, nextOf } from './wire-recorders.ts';
import { FRAME_BYTES_MAX, join, roundTrip, wireRoom, type WireSubject } from './wire-room.ts';
import { gate } from '../../../rig/gate.ts';

/** Adds the suite; `name` appears in the titles. */
export const hubLinkContract = (name: string, subject: WireSubject, runner: TestRunner): void => {
  inSuite(`HubLink contract, ${name}`, runner, (test) => {
    openingTests(test, subject);
    endingTests(test, subject);
  });
};

const openingTests = (test: CaseTest, subject: WireSubject): void => {
  test('delivers frames in order after onOpen, and sends in order', async (t) => {
    const room = await wireRoom(t, subject);
    const { events, saw } = linkRecorder();
    const link = subject.link.connect({ url: room.url, frameBytesMax: FRAME_BYTES_MAX }, events);
    t.teardown(() => link.destroy());
    t.strictSame(saw.left, [], 'nothing synchronously in connect');
    t.equal(link.send('too early'), false);

    // In the same moment as the hub's side of the opening.
    const { connection } = await nextOf(room.hubSaw, 'open');
    const sent = Array.from({ length: 300 }, (_, n) => `${n} ${'ü'.repeat(n)}`);
    for (const text of sent) connection.send(text);
    await nextOf(saw, 'open');
    t.ok(sent.every((text) => link.send(text)));
    for (const text of sent) {
      if ((await nextOf(saw, 'frame')).text !== text) t.fail(`down: ${text}`);
      if ((await nextOf(room.hubSaw, 'frame')).text !== text) t.fail(`up: ${text}`);
    }
    t.equal(link.bufferedBytes(), 0);
    t.strictSame([...saw.left, ...room.hubSaw.left], []);
  });

  test('confirms each sent frame, asynchronously and before onGone', async (t) => {
    const room = await wireRoom(t, subject);
    const { events, saw } = linkRecorder();
    let taken = 0;
    const { opened: all, open: tell } = gate();
    const link = subject.link.connect(
      { url: room.url, frameBytesMax: FRAME_BYTES_MAX },
      {
        ...events,
        onTaken() {
          taken += 1;
          if (taken === 20) tell();
        },
      },
    );
    t.teardown(() => link.destroy());
    await nextOf(saw, 'open');
    for (let n = 0; n < 20; n += 1) link.send('x'.repeat(n * 1_000));
    t.equal(taken, 0, 'nothing synchronously in send');
    await all;
    t.equal(link.bufferedBytes(), 0);
  });

  test('accepts a frame of the maximum size and ends with 1009 for one byte more', async (t) => {
    const room = await wireRoom(t, subject);
    const { connection, linkSaw, link } = await join(t, subject, room, 100);
    connection.send('é'.repeat(50));
    t.equal((await nextOf(linkSaw, 'frame')).text.length, 50);
    connection.send('x'.repeat(101));
    connection.send('after');
    t.equal((await nextOf(linkSaw, 'gone')).code, 1009);
    t.equal(link.send('into the void'), false);
    await nextOf(room.hubSaw, 'gone');
    await roundTrip(t, subject, room);
    t.strictSame(linkSaw.left, []);
  });

  test('reports a failed connection once, asynchronously, with 1006', async (t) => {
    const room = await wireRoom(t, subject, { isAllowedOrigin: () => false });
    const closed = subject.transport();
    const { port } = await closed.listen({ ...noOptions, host: '127.0.0.1', port: 0 }, noEvents);
    await closed.close(1001, 'gone before anyone connected');

    for (const [url, reason] of [
      [`ws://127.0.0.1:${port}/ws`, /ECONNREFUSED/],
      [room.url, /403/],
      [`${room.url}/elsewhere`, /404/],
      ['no address', /URL/],
      ['ftp://127.0.0.1/ws', /protocol/],
    ] as const) {
      const { events, saw } = linkRecorder();
      const link = subject.link.connect({ url, frameBytesMax: FRAME_BYTES_MAX }, events);
      t.strictSame(saw.left, [], `${url}: nothing synchronously in connect`);
      t.match(await nextOf(saw, 'gone'), { code: 1006, reason }, url);
      t.equal(link.send('x'), false);
      link.destroy();
      link.destroy();
      t.strictSame(saw.left, []);
    }
  });
};

const endingTests = (test: CaseTest, subject: WireSubject): void => {
  test('reports the close code and reason of the hub once, and delivers nothing afterwards', async (t) => {
    const room = await wireRoom(t, subject);
    const { connection, link, linkSaw } = await join(t, subject, room);
    connection.send('one');
    connection.close(4001, 'replaced');
    t.equal((await nextOf(linkSaw, 'frame')).text, 'one');
    t.match(await nextOf(linkSaw, 'gone'), { code: 4001, reason: 'replaced' });
    t.equal(link.send('into the void'), false);
    t.equal(typeof link.bufferedBytes(), 'number');
    link.destroy();
    await nextOf(room.hubSaw, 'gone');
    await roundTrip(t, subject, room);
    t.strictSame(linkSaw.left, []);
  });

  test('leaves with 1001, behind what it has sent', async (t) => {
    const room = await wireRoom(t, subject);
    const { link, linkSaw } = await join(t, subject, room);
    // It has no close frames.
    if (link.leave === undefined) return;
    link.send('last');
    link.leave();
    t.equal(link.send('after'), false);
    t.equal((await nextOf(room.hubSaw, 'frame')).text, 'last');
    t.match(await nextOf(room.hubSaw, 'gone'), { code: 1001 });
    link.leave();
    link.destroy();
    await roundTrip(t, subject, room);
    t.strictSame(linkSaw.left, []);
  });

  const destroyedAt = {
    once: (events: LinkEvents, _end: () => void) => events,
    onOpen: (events: LinkEvents, end: () => void) => ({ ...events, onOpen: () => (events.onOpen(), end()) }),
    onFrame: (events: LinkEvents, end: () => void) => ({ ...events, onFrame: (text: string) => (events.onFrame(text), end()) }),
  };
  for (const [when, wrap] of Object.entries(destroyedAt)) {
    test(`delivers nothing after destroy, not even onGone: ${when === 'once' ? 'called at once' : `called by ${when}`}`, async (t) => {
      const room = await wireRoom(t, subject);
      const { events, saw } = linkRecorder();
      const end = (): void => {
        link.destroy();
        link.destroy();
      };
      const link = subject.link.connect({ url: room.url, frameBytesMax: FRAME_BYTES_MAX }, wrap(events, end));
      if (when === 'once') end();
      else {
        const { connection } = await nextOf(room.hubSaw, 'open');
        for (let n = 0; n < 20; n += 1) connection.send(`${n}`);
        await nextOf(room.hubSaw, 'gone');
      }
      await drained(t, subject, room);
      t.equal(link.send('into the void'), false);
      t.strictSame(
        saw.left.map(({ kind }) => kind),
        when === 'once' ? [] : when === 'onOpen' ? ['open'] : ['open', 'frame'],
      );
    });
  }

  test('the hub notices a destroyed link', async (t) => {
    const room = await wireRoom(t, subject);
    const { link } = await join(t, subject, room);
    link.destroy();
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1006);
  });
};

/** Like a round trip, but a link that was destroyed at once may still appear and disappear at the hub before it. */
const drained = async (t: ContractCase, subject: WireSubject, room: Awaited<ReturnType<typeof wireRoom>>): Promise<void> => {
  const { events, saw } = linkRecorder();
  const link = subject.link.connect({ url: room.url, frameBytesMax: FRAME_BYTES_MAX }, events);
  t.teardown(() => link.destroy());
  await nextOf(saw, 'open');
  link.send('drained');
  for (;;) {
    const next = await room.hubSaw.next('a frame of the last link');
    if (next.kind === 'frame' && next.text === 'drained') break;
  }
  link.destroy();
  await nextOf(room.hubSaw, 'gone');
};

const noEvents = { onOpen: () => undefined, onFrame: () => undefined, onPong: () => undefined, onGone: () => undefined };
const noOptions = {
  frameBytesMax: 1,
  unidentifiedBytesMax: 1,
  socketsMax: 1,
  socketQueueBytesMax: 1,
  http: () => ({ status: 404, headers: {}, body: null }),
  isAllowedOrigin: () => true,
};
