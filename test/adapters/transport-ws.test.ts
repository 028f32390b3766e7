import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import t from 'tap';
import { wsLink } from '../../adapters/link-ws/ws-link.ts';
import { ws, type WsOptions } from '../../adapters/transport.ts';
import { memoryLog } from '../../adapters/log-memory/memory-log.ts';
import { wsTransport } from '../../adapters/transport-ws/ws-transport.ts';
import { silentLog } from '../../core/ports/log.ts';
import { eventInbox } from '../contracts/event-inbox.ts';
import { hubTransportContract } from '../contracts/hub-transport.contract.ts';
import { hubRecorder, linkRecorder, nextOf } from '../contracts/wire-recorders.ts';
import { join, openToAll, wireRoom } from '../contracts/wire-room.ts';
import { upgradeStatus } from './upgrade-status.ts';

await hubTransportContract(t, 'ws', {
  transport: () => wsTransport({ log: silentLog }),
  link: wsLink({ log: silentLog }),
  fetch: (url, init) => fetch(url, init),
  upgradeStatus,
  onTcp: true,
});

const subject = { transport: () => wsTransport({ log: silentLog }), link: wsLink({ log: silentLog }) };

/** What keeps the process alive. A handle that is closed is listed for some more turns of the loop; they are given. */
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

t.test('1,000 sockets and requests come and go and leave nothing behind', async (t) => {
  const transport = wsTransport({ log: silentLog });
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

t.test('an idle keep-alive connection does not hold up close, and one that is answered ends with its answer', async (t) => {
  const asked = eventInbox<() => void>();
  const http = () => new Promise<Response>((resolve) => asked.put(() => resolve(new Response('done'))));
  const room = await wireRoom(t, subject, { http });
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const idle = answerOf(room.port, agent);
  (await asked.next('the first request'))();
  t.equal(await idle, 200);
  const running = answerOf(room.port, agent);
  const answer = await asked.next('the second request');
  const from = performance.now();
  const closed = room.transport.close(1012, 'restart');
  answer();
  t.equal(await running, 200, 'what was asked before is still answered');
  await closed;
  t.ok(performance.now() - from < 900, 'sooner than the bound');
});

t.test('slow heads and bodies are cut off, each by its own time, with 408 where that can be said', async (t) => {
  const textOf = async (options: WsOptions, bytes: string): Promise<string> => {
    const transport = wsTransport({ log: silentLog, options });
    const { port } = await transport.listen(
      openToAll({ http: async (request) => new Response(await request.text()) }),
      hubRecorder().events,
    );
    const socket = connect(port, '127.0.0.1');
    socket.write(bytes);
    const text = await new Promise<string>((resolve) => {
      let received = '';
      socket.on('data', (chunk) => (received += chunk.toString()));
      // How it ends is not the question here; that it ends is.
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(received));
    });
    await transport.close(1001, 'over');
    return text;
  };
  const heads = { headersWithinMs: 100, requestWithinMs: 60_000 };
  t.match(await textOf(heads, ''), /^(HTTP\/1\.1 408 |$)/, 'no byte');
  t.match(await textOf(heads, 'GET / HTTP/1.1\r\nHost: x\r\nX-A'), /^HTTP\/1\.1 408 /, 'half a head');
  const bodies = { headersWithinMs: 100, requestWithinMs: 200 };
  t.match(await textOf(bodies, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf'), /^HTTP\/1\.1 408 /, 'half a body');
});

t.test('a handler that throws costs its own request or socket, and is logged', async (t) => {
  const log = memoryLog();
  const transport = wsTransport({ log });
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

t.test('a request that cannot be one is 400 and no more', async (t) => {
  const room = await wireRoom(t, subject);
  const statusOf = (head: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(room.port, '127.0.0.1', () => socket.write(head));
      socket.once('data', (chunk) => {
        socket.destroy();
        resolve(chunk.toString().slice(0, 12));
      });
    });
  t.equal(await statusOf('GET / HTTP/1.1\r\nHost: a b\r\n\r\n'), 'HTTP/1.1 400');
  t.equal(await statusOf('NONSENSE\r\n\r\n'), 'HTTP/1.1 400');
  t.equal(await statusOf(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'y'.repeat(20_000)}\r\n\r\n`), 'HTTP/1.1 431');
  t.equal(await statusOf('GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'), 'HTTP/1.1 400');
  await join(t, subject, room);
});

t.test('connections over the bound are dropped, said once, and there is room again later', async (t) => {
  const log = memoryLog();
  const transport = wsTransport({ log, options: { httpConnectionsMax: 1 } });
  t.teardown(() => transport.close(1001, 'over'));
  const { port } = await transport.listen(openToAll({ socketsMax: 1 }), hubRecorder().events);
  const open = () =>
    new Promise<{ close(): Promise<void>; ended: Promise<void> }>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      const ended = new Promise<void>((done) => socket.once('close', () => done()));
      socket.resume();
      socket.once('connect', () => resolve({ ended, close: () => (socket.destroy(), ended) }));
    });
  const kept = [await open(), await open()];
  for (let n = 0; n < 3; n += 1) await (await open()).ended;
  t.same(
    log.lines.map(({ message }) => message),
    ['Refused at the port: connections full.'],
  );
  for (const socket of kept) await socket.close();
  t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
});

t.test('an address that is not of this machine is AC_LISTEN and named', async (t) => {
  const transport = wsTransport({ log: silentLog });
  await t.rejects(transport.listen(openToAll({ host: '192.0.2.1', port: 4_000 }), hubRecorder().events), {
    code: 'AC_LISTEN',
    message: /192\.0\.2\.1:4000/,
  });
  await transport.close(1001, 'nothing was open');
});

t.test('a close during the start undoes it', async (t) => {
  const transport = wsTransport({ log: silentLog });
  const starting = transport.listen(openToAll(), hubRecorder().events);
  await transport.close(1001, 'changed our mind');
  const { port } = await starting;
  await t.rejects(fetch(`http://127.0.0.1:${port}/`));
});

t.test('ws() opens nothing, checks its options and makes the transport', async (t) => {
  const choice = ws({ closeWithinMs: 500 });
  t.match(choice, { port: 'transport', name: 'ws', options: { closeWithinMs: 500 }, capabilities: { tooLargeCode: 1009 } });
  t.same(choice.problems(), []);
  const wrong = ws({ closeWithinMs: 0.5, closeWithin: 1 } as object);
  t.match(wrong.problems(), [
    { path: 'closeWithinMs', message: /found 0\.5/ },
    { path: 'closeWithin', message: /no such option/ },
  ]);
  t.match(ws({ requestWithinMs: 5_000 }).problems(), [{ path: 'requestWithinMs', message: /at least headersWithinMs \(10000\)/ }]);
  const transport = await choice.create({ log: silentLog });
  t.equal(transport.name, 'ws');
});
