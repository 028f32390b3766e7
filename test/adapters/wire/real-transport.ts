/** Requirements for a transport on real sockets beyond the contract of its port: limits, logs, and cleanup. */
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import type { Test } from 'tap';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import type { HttpResponse } from '../../../core/ports/http.ts';
import type { HubTransport } from '../../../core/ports/hub-transport.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import { eventInbox } from '../../product/contracts/files/event-inbox.ts';
import { reply } from '../../product/contracts/wire/web-http.ts';
import { hubRecorder, linkRecorder, nextOf } from '../../product/contracts/wire/wire-recorders.ts';
import { join, openToAll, wireRoom } from '../../product/contracts/wire/wire-room.ts';

/** Creates one that does not listen yet. */
export type MakeTransport = (log: Log, options?: { readonly httpConnectionsMax?: number }) => HubTransport;

/** What keeps the process alive. A closed handle is listed for a few more turns of the loop, so they are awaited. */
const resources = async (): Promise<readonly string[]> => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate');
};

const answerOf = (port: number, agent: Agent): Promise<number> =>
  new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/health', agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });

export const realTransportTests = async (t: Test, make: MakeTransport): Promise<void> => {
  const subject = { transport: () => make(silentLog), link: wsLink({ log: silentLog }) };

  await t.test('1,000 sockets and requests leave nothing behind', async (t) => {
    const transport = make(silentLog);
    const { events, saw } = hubRecorder();
    const before = await resources();
    const { port } = await transport.listen(openToAll(), events);
    const agent = new Agent({ keepAlive: true, maxSockets: 20 });
    for (let round = 0; round < 10; round += 1) {
      const links = Array.from({ length: 100 }, () => {
        const { events: linkEvents, saw: linkSaw } = linkRecorder();
        return { link: subject.link.connect({ url: `ws://127.0.0.1:${port}/ws`, frameBytesMax: 100 }, linkEvents), linkSaw };
      });
      for (const { link, linkSaw } of links) {
        await nextOf(linkSaw, 'open');
        link.send('hello');
      }
      await Promise.all(links.map(() => answerOf(port, agent)));
      for (const { link } of links) link.destroy();
      for (let ended = 0; ended < 100;) if ((await saw.next('the end of a link')).kind === 'gone') ended += 1;
    }
    await transport.close(1001, 'over');
    agent.destroy();
    t.same(await resources(), before);
  });

  await t.test('an idle keep-alive connection does not delay close, and an active one ends with its answer', async (t) => {
    const requested = eventInbox<() => void>();
    const http = () => new Promise<HttpResponse>((resolve) => requested.put(() => resolve(reply('done'))));
    const room = await wireRoom(t, subject, { http });
    const agent = new Agent({ keepAlive: true });
    t.teardown(() => agent.destroy());
    const idle = answerOf(room.port, agent);
    (await requested.next('the first request'))();
    t.equal(await idle, 200);
    const running = answerOf(room.port, agent);
    const answer = await requested.next('the second request');
    const from = performance.now();
    const closed = room.transport.close(1012, 'restart');
    answer();
    t.equal(await running, 200, 'the earlier request is still answered');
    await closed;
    t.ok(performance.now() - from < 900, 'sooner than the limit');
  });

  await t.test('a handler that throws fails only its own request or socket, and is logged', async (t) => {
    const log = memoryLog();
    const transport = make(log);
    t.teardown(() => transport.close(1001, 'over'));
    const { events, saw } = hubRecorder();
    const fail = (): never => {
      throw new Error('planted');
    };
    const onFrame: typeof events.onFrame = (connection, text) => (text === 'bad' ? fail() : events.onFrame(connection, text));
    const { port } = await transport.listen(openToAll({ http: fail }), { ...events, onFrame });
    const room = { transport, port, url: `ws://127.0.0.1:${port}/ws`, hubSaw: saw };

    t.match(await fetch(`http://127.0.0.1:${port}/x`).then((response) => response.json()), { error: 'internal', message: /log/ });
    const broken = await join(t, subject, room);
    const whole = await join(t, subject, room);
    broken.link.send('bad');
    t.equal((await nextOf(broken.linkSaw, 'gone')).code, 1011);
    t.equal((await nextOf(saw, 'gone')).code, 1011);
    whole.link.send('good');
    t.equal((await nextOf(saw, 'frame')).text, 'good');
    t.same(
      log.lines.filter(({ level }) => level === 'error').map(({ fields }) => String(fields['error'])),
      ['Error: planted', 'Error: planted'],
    );
  });

  await t.test('connections over the limit are dropped and logged once, and room is freed later', async (t) => {
    const log = memoryLog();
    const transport = make(log, { httpConnectionsMax: 1 });
    t.teardown(() => transport.close(1001, 'over'));
    const { port } = await transport.listen(openToAll({ socketsMax: 1 }), hubRecorder().events);
    const open = (localAddress: string) =>
      new Promise<{ close(): Promise<void>; ended: Promise<void> }>((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', localAddress });
        socket.on('error', () => undefined);
        const ended = new Promise<void>((done) => socket.once('close', () => done()));
        socket.resume();
        socket.once('connect', () => resolve({ ended, close: () => (socket.destroy(), ended) }));
      });
    const kept = [await open('127.0.0.1'), await open('127.0.0.2')];
    for (let n = 0; n < 3; n += 1) await (await open('127.0.0.1')).ended;
    t.same(
      log.lines.map(({ message }) => message),
      ['Refused at the port: connections full.'],
    );
    for (const socket of kept) await socket.close();
    t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
  });

  await t.test('an address of another machine is an AC_LISTEN error that names it', async (t) => {
    const transport = make(silentLog);
    await t.rejects(transport.listen(openToAll({ host: '192.0.2.1', port: 4_000 }), hubRecorder().events), {
      code: 'AC_LISTEN',
      message: /192\.0\.2\.1:4000/,
    });
    await transport.close(1001, 'nothing was open');
  });

  await t.test('a close during startup undoes it', async (t) => {
    const transport = make(silentLog);
    const starting = transport.listen(openToAll(), hubRecorder().events);
    await transport.close(1001, 'changed our mind');
    const { port } = await starting;
    await t.rejects(fetch(`http://127.0.0.1:${port}/`));
  });
};
