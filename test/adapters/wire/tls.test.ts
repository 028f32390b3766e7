/** Both transports over TLS, and their clients: which key they accept, and what they send before they know it. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer as createPlainServer, type AddressInfo } from 'node:net';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { uwsTransport } from '../../../adapters/transport-uws/uws-transport.ts';
import type { WsOptions } from '../../../adapters/transports.ts';
import { wsTransport } from '../../../adapters/transport-ws/ws-transport.ts';
import { hubClient } from '../../../apps/client/index.ts';
import { exchangeTrusting } from '../../../apps/client/exchange/http-exchange.ts';
import type { HubTransport, ListenOptions, PortCertificate } from '../../../core/ports/hub-transport.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import { hubRecorder, linkRecorder, nextOf } from '../../product/contracts/wire/wire-recorders.ts';
import { reply } from '../../product/contracts/wire/web-http.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { testCertificate, tlsPair, type TestCertificate, type TestPair } from '../../rig/tls-pair.ts';
import { withUws } from './uws-native.ts';

type Make = (certificate: PortCertificate, log?: Log, options?: WsOptions) => HubTransport;

interface TlsRoom {
  readonly pair: TestPair;
  readonly certificate: TestCertificate;
  readonly port: number;
  readonly transport: HubTransport;
  readonly saw: ReturnType<typeof hubRecorder>['saw'];
}

async function tlsRoom(
  t: Test,
  make: Make,
  more: { log?: Log; options?: WsOptions; listen?: Partial<ListenOptions>; certificate?: TestCertificate } = {},
): Promise<TlsRoom> {
  const pair = tlsPair();
  const certificate = more.certificate ?? (await testCertificate(t, pair));
  const transport = make(certificate, more.log, more.options);
  t.teardown(() => transport.close(1001, 'the test is over'));
  const { events, saw } = hubRecorder();
  const { port } = await transport.listen(openToAll(more.listen), events);
  return { pair, certificate, port, transport, saw };
}

function link(t: Test, port: number, trust: HubTrust, { host = '127.0.0.1' }: { host?: string } = {}) {
  const { events, saw } = linkRecorder();
  const connection = wsLink({ log: silentLog, trust }).connect({ url: `wss://${host}:${port}/ws`, frameBytesMax: 1_000 }, events);
  t.teardown(() => connection.destroy());
  return { connection, saw };
}

async function ask(port: number, trust: HubTrust, host = '127.0.0.1'): Promise<string> {
  const question = { method: 'GET', path: '/x', headers: {}, body: undefined, signal: AbortSignal.timeout(5_000) };
  return (await exchangeTrusting(trust)(new URL(`https://${host}:${port}`), question)).text();
}

/** The key that the port presents, and the negotiated version. */
async function handshake(port: number, options: { maxVersion?: 'TLSv1.1' | 'TLSv1.2'; minVersion?: 'TLSv1' } = {}): Promise<TLSSocket> {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...options,
    ...(options.maxVersion === 'TLSv1.1' ? { ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
  });
  await once(socket, 'secureConnect');
  return socket;
}

/** What arrives on a plain connection until it is closed. */
async function untilClosed(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  // A reset is an end, too.
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return received;
}

/** Waits until the port has changed its certificate, which may take two turns of the loop, and checks that it is this one. */
async function newKey(t: Test, port: number, { cert }: TestPair): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  const socket = await handshake(port);
  t.equal(socket.getPeerCertificate().fingerprint256, new X509Certificate(cert).fingerprint256);
  socket.destroy();
}

async function onEach(t: Test, make: Make): Promise<void> {
  await t.test('HTTPS and WSS are served on one port, to clients that pin its fingerprint', async (t) => {
    const { pair, port, saw } = await tlsRoom(t, make, { listen: { http: ({ path }) => reply(`you asked for ${path}`) } });
    const trust = { fingerprints: [tlsPair().fingerprint, pair.fingerprint] };
    t.equal(await ask(port, trust), 'you asked for /x');
    const { connection, saw: linkSaw } = link(t, port, trust);
    const { connection: hubs } = await nextOf(saw, 'open');
    await nextOf(linkSaw, 'open');
    connection.send('there');
    t.equal((await nextOf(saw, 'frame')).text, 'there');
    hubs.send('and back');
    t.equal((await nextOf(linkSaw, 'frame')).text, 'and back');
  });

  await t.test('without a fingerprint, the CA and the name of the certificate decide', async (t) => {
    const { pair, port, saw } = await tlsRoom(t, make);
    await t.rejects(ask(port, {}), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    t.equal(await ask(port, { ca: [pair.cert] }, 'localhost'), 'hello');
    const stranger = link(t, port, {});
    t.match(await nextOf(stranger.saw, 'gone'), { code: 1006, reason: /self-signed/ });
    const known = link(t, port, { ca: [pair.cert] }, { host: 'localhost' });
    await nextOf(known.saw, 'open');
    await nextOf(saw, 'open');
    const other = await tlsRoom(t, make, { certificate: await testCertificate(t, tlsPair({ hosts: ['hub.example.org'] })) });
    const { cert } = other.certificate.current();
    await t.rejects(ask(other.port, { ca: [cert] }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  await t.test('TLS 1.1 is refused, 1.2 is not', async (t) => {
    const { port } = await tlsRoom(t, make);
    await t.rejects(handshake(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }), { code: /^ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION$/ });
    const socket = await handshake(port, { maxVersion: 'TLSv1.2' });
    t.equal(socket.getProtocol(), 'TLSv1.2');
    socket.destroy();
  });

  await t.test('plain HTTP and garbage are disconnected without an answer, and affect no other connection', async (t) => {
    const { pair, port, saw } = await tlsRoom(t, make);
    const { saw: linkSaw } = link(t, port, { fingerprints: [pair.fingerprint] });
    await nextOf(linkSaw, 'open');
    const { connection } = await nextOf(saw, 'open');
    for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0'.repeat(2_000)]) {
      t.notMatch(await untilClosed(port, bytes), /HTTP|hello/);
    }
    connection.send('still here');
    t.equal((await nextOf(linkSaw, 'frame')).text, 'still here');
    t.equal(await ask(port, { fingerprints: [pair.fingerprint] }), 'hello');
  });

  await t.test('a renewed certificate is used for new connections, and no open one is lost', async (t) => {
    const { pair, certificate, port, saw } = await tlsRoom(t, make);
    const old = { fingerprints: [pair.fingerprint] };
    const before = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const one = link(t, port, old);
        await nextOf(one.saw, 'open');
        return one;
      }),
    );
    for (const _ of before) await nextOf(saw, 'open');
    const renewed = tlsPair();
    t.equal(certificate.renew(renewed), true);
    await newKey(t, port, renewed);
    const after = link(t, port, { fingerprints: [renewed.fingerprint] });
    await nextOf(after.saw, 'open');
    await nextOf(saw, 'open');
    t.match(await nextOf(link(t, port, old).saw, 'gone'), { reason: /Expected the hub at 127\.0\.0\.1 to have the key/ });
    t.equal(await ask(port, { fingerprints: [renewed.fingerprint] }), 'hello');
    for (const { connection } of [...before, after]) connection.send('still here');
    for (const _ of [...before, after]) t.equal((await nextOf(saw, 'frame')).text, 'still here');
    t.same(
      before.flatMap(({ saw: { left } }) => left),
      [],
    );
    for (const { connection } of before) connection.destroy();
    for (const _ of before) await nextOf(saw, 'gone');
  });

  await t.test('after several renewals the last certificate is used, the connection limit covers all, and close ends them', async (t) => {
    const log = memoryLog();
    const { pair, certificate, port, transport, saw } = await tlsRoom(t, make, {
      log,
      options: { httpConnectionsMax: 10 },
      listen: { socketsMax: 2 },
    });
    const first = link(t, port, { fingerprints: [pair.fingerprint] });
    await nextOf(first.saw, 'open');
    await nextOf(saw, 'open');
    let last = pair;
    for (let n = 0; n < 5; n += 1) {
      last = tlsPair();
      t.equal(certificate.renew(last), true);
    }
    await newKey(t, port, last);
    const trust = { fingerprints: [last.fingerprint] };
    const second = link(t, port, trust);
    await nextOf(second.saw, 'open');
    await nextOf(saw, 'open');
    t.match(await nextOf(link(t, port, trust).saw, 'gone'), { reason: /503/ }, 'two sockets are open, with two certificates');
    await transport.close(1012, 'restart');
    for (const { saw } of [first, second]) t.match(await nextOf(saw, 'gone'), { code: 1012 });
    t.equal(certificate.listeners, 0);
    t.equal(saw.left.length, 2);
  });

  await t.test('after close another transport can take the port, and nothing holds on to the certificate', async (t) => {
    const { certificate, transport, port } = await tlsRoom(t, make);
    t.equal(certificate.listeners, 1);
    await transport.close(1001, 'over');
    t.equal(certificate.listeners, 0);
    const again = make(certificate);
    t.teardown(() => again.close(1001, 'over'));
    await again.listen(openToAll({ port }), hubRecorder().events);
  });
}

t.test('ws over TLS', async (t) => {
  const make: Make = (certificate, log = silentLog, options = {}) => wsTransport({ log, options, certificate });
  await onEach(t, make);

  await t.test('TLS 1.2 is refused if the config requires 1.3', async (t) => {
    const { port } = await tlsRoom(t, make, { certificate: await testCertificate(t, tlsPair(), 'TLSv1.3') });
    await t.rejects(handshake(port, { maxVersion: 'TLSv1.2' }), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
    const socket = await handshake(port);
    t.equal(socket.getProtocol(), 'TLSv1.3');
    socket.destroy();
  });

  await t.test('R20: a handshake that never ends is closed after its timeout', async (t) => {
    const { port } = await tlsRoom(t, make, { options: { headersWithinMs: 100 } });
    t.equal(await untilClosed(port, ''), '');
    // The first bytes of a handshake whose rest never comes.
    t.notMatch(await untilClosed(port, '\x16\x03\x01\x02\x00\x01'), /HTTP/);
    // One byte at a time is not progress.
    const slow = connect(port, '127.0.0.1', () => slow.write('\x16\x03\x01\x40\x00\x01'));
    slow.on('error', () => undefined);
    slow.resume();
    const trickle = setInterval(() => slow.write('\0'), 10);
    t.teardown(() => clearInterval(trickle));
    await new Promise<void>((resolve) => slow.once('close', () => resolve()));
  });

  await t.test('R20: handshakes count towards the connections of their address; WebSockets do not', async (t) => {
    const log = memoryLog();
    const { pair, port, saw } = await tlsRoom(t, make, { log, options: { httpConnectionsMax: 6 }, listen: { socketsMax: 2 } });
    const silent = () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.resume();
      t.teardown(() => socket.destroy());
      return once(socket, 'connect').then(() => socket);
    };
    const sidecar = link(t, port, { fingerprints: [pair.fingerprint] });
    await nextOf(sidecar.saw, 'open');
    await nextOf(saw, 'open');
    // Half of what the socket has left of 8: 4.
    const kept = await Promise.all(Array.from({ length: 4 }, silent));
    t.same(log.lines, []);
    await once(await silent(), 'close');
    t.match(log.lines, [{ message: 'Refused at the port: one address has half of the free connections.' }]);
    for (const socket of kept) {
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
    }
    t.equal(await ask(port, { fingerprints: [pair.fingerprint] }), 'hello');
  });
});

await withUws(t, 'uws over TLS', async (native) => {
  const make: Make = (certificate, log = silentLog, options = {}) => uwsTransport({ log, native, options, certificate });
  await t.test('uws over TLS', async (t) => {
    await onEach(t, make);

    await t.test('an unusable renewed certificate is ignored and logged', async (t) => {
      const log = memoryLog();
      const { pair, certificate, port } = await tlsRoom(t, make, { log });
      t.equal(certificate.renew({ cert: 'nothing', key: 'nothing' }), false);
      t.match(log.lines, [{ level: 'warn', message: /keeps the old one/, fields: { cert_file: certificate.certFile } }]);
      t.equal(await ask(port, { fingerprints: [pair.fingerprint] }), 'hello');
      const renewed = tlsPair();
      t.equal(certificate.renew(renewed), true, 'but the next one is');
      await newKey(t, port, renewed);
    });

    await t.test('R20: connections with all certificates count together', async (t) => {
      const log = memoryLog();
      const { certificate, port } = await tlsRoom(t, make, { log, options: { httpConnectionsMax: 2 }, listen: { socketsMax: 1 } });
      const open = () => {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        socket.resume();
        t.teardown(() => socket.destroy());
        return once(socket, 'connect').then(() => socket);
      };
      const kept = [await open(), await open()];
      const renewed = tlsPair();
      certificate.renew(renewed);
      await newKey(t, port, renewed);
      kept.push(await open());
      await once(await open(), 'close');
      t.match(log.lines, [{ message: 'Refused at the port: connections full.' }]);
      for (const socket of kept) {
        const closed = once(socket, 'close');
        socket.destroy();
        await closed;
      }
      t.equal(await ask(port, { fingerprints: [renewed.fingerprint] }), 'hello');
    });

    await t.test('unusable files are an AC_LISTEN error that names them', async (t) => {
      const certificate = await testCertificate(t, { cert: 'nothing', key: 'nothing' });
      await t.rejects(make(certificate).listen(openToAll(), hubRecorder().events), { code: 'AC_LISTEN', message: /cert\.pem/ });
    });
  });
});

t.test('a hub with another key gets only the handshake: no token, no frame, no request', async (t) => {
  const pair = tlsPair();
  const received: string[] = [];
  const impostor = createServer({ cert: pair.cert, key: pair.key }, (socket) => {
    socket.on('data', (chunk) => received.push(chunk.toString()));
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(impostor, 'listening');
  t.teardown(() => void impostor.close());
  const ended = once(impostor, 'connection').then(([socket]) => once(socket as TLSSocket, 'close'));
  const { port } = impostor.address() as AddressInfo;
  const trust = { fingerprints: [tlsPair().fingerprint] };
  const client = hubClient({ url: `https://127.0.0.1:${port}`, token: 'the-token', tls: trust });
  const refusal = {
    code: 'AC_HUB_FINGERPRINT',
    message: new RegExp(`found ${pair.fingerprint.replaceAll(/[+/]/g, '.')}. Nothing was sent`),
  };
  await t.rejects(client.whoami(), refusal);
  await ended;
  await t.rejects(client.tasks.submit({ description: 'secret work' }), refusal);
  t.match(await nextOf(link(t, port, trust).saw, 'gone'), { code: 1006, reason: /Nothing was sent/ });
  t.same(received, []);
});

t.test('a link gives up on a hub that never finishes its handshake', async (t) => {
  const held = createPlainServer((socket) => void t.teardown(() => socket.destroy())).listen(0, '127.0.0.1');
  await once(held, 'listening');
  t.teardown(() => void held.close());
  const { port } = held.address() as AddressInfo;
  const { events, saw } = linkRecorder();
  const trust = { fingerprints: [tlsPair().fingerprint] };
  wsLink({ log: silentLog, trust, handshakeMs: 100 }).connect({ url: `wss://127.0.0.1:${port}/ws`, frameBytesMax: 1_000 }, events);
  t.match(await nextOf(saw, 'gone'), { code: 1006, reason: /within 100 ms/ });
});
