import { once } from 'node:events';
import { connect } from 'node:net';
import { join as joinPath } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { uws } from '../../../adapters/transports.ts';
import { loadUws, type UwsPackage } from '../../../adapters/transport-uws/uws-package.ts';
import { uwsTransport } from '../../../adapters/transport-uws/uws-transport.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { httpApiContract } from '../../product/contracts/wire/http-api.contract.ts';
import { hubTransportContract } from '../../product/contracts/wire/hub-transport.contract.ts';
import { CLOSE, PING, PONG, rawPeer, TEXT } from '../../product/contracts/wire/raw-peer.ts';
import { reply } from '../../product/contracts/wire/web-http.ts';
import { hubRecorder, nextOf } from '../../product/contracts/wire/wire-recorders.ts';
import { FRAME_BYTES_MAX, join, openToAll, wireRoom } from '../../product/contracts/wire/wire-room.ts';
import { testCertificate, tlsPair } from '../../rig/tls-pair.ts';
import { apiOverHttp } from '../http/api-over-http.ts';
import { realTransportTests } from './real-transport.ts';
import { withUws } from './uws-native.ts';

t.test('uws() opens and loads nothing, and checks its options', async (t) => {
  const choice = uws({ closeWithinMs: 500 });
  t.match(choice, { port: 'transport', name: 'uws', options: { closeWithinMs: 500 }, capabilities: { tooLargeCode: 1006 } });
  t.same(choice.problems(), []);
  t.match(uws({ closeWithinMs: 0.5, keepAliveMs: 1 } as object).problems(), [
    { path: 'closeWithinMs', message: /found 0\.5/ },
    { path: 'keepAliveMs', message: /there is no such option/ },
  ]);
});

t.test('a package that cannot be loaded is AC_PACKAGE_MISSING with installation instructions', async (t) => {
  const missing = loadUws(() => import('uWebSockets.js-that-nobody-has' as string));
  await t.rejects(missing, { code: 'AC_PACKAGE_MISSING', message: /npm install uNetworking\/uWebSockets\.js#v20\.[\s\S]*choose ws\(\)/ });
  const dir = t.testdir({
    'index.cjs': 'throw new Error("This version of uWS.js supports only Node.js versions 16 and 18.\\n\\nno file");',
    'old.cjs':
      'throw new Error("This version of uWS.js supports only Node.js versions 22 and 24.\\n\\n" + ' +
      '"Error: /lib/libc.so.6: version `GLIBC_2.38\' not found (required by /x/uws_linux_x64_137.node)");',
  });
  const unsupported = await loadUws(() => import(joinPath(dir, 'index.cjs'))).catch((error: unknown) => messageOf(error));
  t.match(
    unsupported,
    /has no binary for Node [\d.]+ on \w+ \w+: This version of uWS\.js supports only Node\.js versions 16 and 18\. Install a release/,
  );
  t.notMatch(unsupported, 'not installed');
  const unloadable = await loadUws(() => import(joinPath(dir, 'old.cjs'))).catch((error: unknown) => messageOf(error));
  t.match(
    unloadable,
    /cannot load its binary for Node [\d.]+ on \w+ \w+: \/lib\/libc\.so\.6: version `GLIBC_2\.38' not found \(required by .*\)\. Use a system/,
  );
  t.notMatch(unloadable, 'supports only');
});

await withUws(t, 'the uws transport', async (native) => {
  await t.test('it has no socket for requests', async (t) => {
    const log = memoryLog();
    const transport = uwsTransport({ log, native });
    t.teardown(() => transport.close(1001, 'over'));
    const { port } = await transport.listen(openToAll(), hubRecorder().events);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/api/socket`);
    socket.on('error', () => undefined);
    const [, { statusCode }] = (await once(socket, 'unexpected-response')) as [unknown, { readonly statusCode: number }];
    socket.terminate();
    t.equal(statusCode, 404, 'clients use HTTP');
    t.strictSame(log.lines, [], 'which is no reason for a warning');
  });
  hubTransportContract('uws', { transport: () => uwsTransport({ log: silentLog, native }), link: wsLink({ log: silentLog }) }, t);
  await t.test('over TLS', async (t) => {
    const pair = tlsPair();
    const certificate = await testCertificate(t, pair);
    const { cert: ca } = pair;
    const link = wsLink({ log: silentLog, trust: { ca: [ca] } });
    hubTransportContract('uws over TLS', { transport: () => uwsTransport({ log: silentLog, native, certificate }), link, ca }, t);
  });
  await realTransportTests(t, (log, options = {}) => uwsTransport({ log, options, native }));
  httpApiContract('over uws', { open: () => apiOverHttp(uwsTransport({ log: silentLog, native })) }, t);
  await ownTests(t, native);
});

async function ownTests(t: Test, native: UwsPackage): Promise<void> {
  const subject = { transport: () => uwsTransport({ log: silentLog, native }), link: wsLink({ log: silentLog }) };

  await t.test('uws() creates the transport', async (t) => {
    t.match(await uws().create({ log: silentLog }), { name: 'uws', capabilities: { tooLargeCode: 1006 } });
  });

  await t.test('a frame that makes it drop the connection is reported with the code of that fault', async (t) => {
    const log = memoryLog();
    const transport = uwsTransport({ log, native });
    t.teardown(() => transport.close(1001, 'over'));
    const { events, saw } = hubRecorder();
    const { port } = await transport.listen(openToAll(), events);
    for (const [payload, code] of [
      ['x'.repeat(FRAME_BYTES_MAX + 1), 1009],
      ['y'.repeat(FRAME_BYTES_MAX + 1), 1009],
      [Buffer.from([0xff, 0xfe]), 1007],
    ] as const) {
      const peer = await rawPeer({ port });
      peer.frame(TEXT, payload);
      await nextOf(saw, 'open');
      t.equal((await nextOf(saw, 'gone')).code, code);
      peer.socket.destroy();
    }
    t.same(log.lines, []);
  });

  await t.test('R20: empty frames, pings and pongs before identify count with their headers', async (t) => {
    for (const opcode of [TEXT, PING, PONG]) {
      const room = await wireRoom(t, subject, { unidentifiedBytesMax: 1_200 });
      const peer = await rawPeer(room);
      await nextOf(room.hubSaw, 'open');
      for (let n = 0; n < 201; n += 1) peer.frame(opcode, '');
      const kind = opcode === TEXT ? 'frame' : 'pong';
      for (let n = 0; n < 200; n += 1) await nextOf(room.hubSaw, kind);
      t.equal((await nextOf(room.hubSaw, 'gone')).code, 1009);
      peer.socket.destroy();
    }
    const room = await wireRoom(t, subject, { unidentifiedBytesMax: 1_200 });
    const peer = await rawPeer(room);
    (await nextOf(room.hubSaw, 'open')).connection.identified();
    for (let n = 0; n < 300; n += 1) peer.frame(PONG, '');
    for (let n = 0; n < 300; n += 1) await nextOf(room.hubSaw, 'pong');
    peer.socket.destroy();
  });

  await t.test('a peer that closes with a reason of uWebSockets.js is reported with its own code', async (t) => {
    const room = await wireRoom(t, subject);
    const peer = await rawPeer(room);
    await nextOf(room.hubSaw, 'open');
    const code = Buffer.from([1_000 >> 8, 1_000 & 0xff]);
    peer.frame(CLOSE, Buffer.concat([code, Buffer.from('Received too big message')]));
    t.equal((await nextOf(room.hubSaw, 'gone')).code, 1000);
    peer.socket.destroy();
  });

  await t.test('a malformed request is answered with 400 only', async (t) => {
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
    t.equal(await statusOf('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'), 'HTTP/1.1 400');
    for (const host of ['a/b', 'who@x', 'x:99999', '[::1', 'x\r\nHost: y']) {
      t.equal(await statusOf(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 'HTTP/1.1 400', `Host: ${host}`);
    }
    t.equal(await statusOf('GET /a\\b HTTP/1.1\r\nHost: x\r\n\r\n'), 'HTTP/1.1 400', 'a backslash');
    for (const host of ['[::1]:4000', 'UPPER.example:65535']) {
      t.equal(await statusOf(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 'HTTP/1.1 200', host);
    }
    t.equal(await statusOf('GET / HTTP/1.0\r\nHost: x\r\n\r\n'), 'HTTP/1.1 505');
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
    t.equal(await statusOf(`GET /ws HTTP/1.1\r\nHost: x\r\n${upgrade}Sec-WebSocket-Version: 7\r\n\r\n`), 'HTTP/1.1 400');
    const version = 'Sec-WebSocket-Version: 13\r\n';
    const badKey = upgrade.replace('==', '!!');
    t.equal(await statusOf(`GET /ws HTTP/1.1\r\nHost: x\r\n${badKey}${version}\r\n`), 'HTTP/1.1 400', 'a key that is not base64');
    const noUpgrade = upgrade.replace('Upgrade: websocket\r\n', '');
    t.equal(await statusOf(`GET /ws HTTP/1.1\r\nHost: x\r\n${noUpgrade}${version}\r\n`), 'HTTP/1.1 200', 'answered as HTTP');
    t.equal(await statusOf(`GET /ws HTTP/1.1\r\nHost: x\r\n${upgrade}${version}\r\n`), 'HTTP/1.1 101');
    await join(t, subject, room);
  });

  await t.test('reports an IPv6 peer in its short form, and an IPv4 peer as IPv4, on one port', async (t) => {
    const room = await wireRoom(t, subject, { host: '::', http: ({ remoteAddress }) => reply(remoteAddress) });
    t.equal(await (await fetch(`http://[::1]:${room.port}/`)).text(), '::1');
    t.equal(await (await fetch(`http://127.0.0.1:${room.port}/`)).text(), '127.0.0.1');
  });

  await t.test('accepts the first offered subprotocol, and no extension', async (t) => {
    const room = await wireRoom(t, subject);
    const offered = ['Sec-WebSocket-Protocol: one, two', 'Sec-WebSocket-Extensions: permessage-deflate'];
    const socket = connect(room.port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    const head = ['GET /ws HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'];
    socket.write([...head, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', ...offered, '', ''].join('\r\n'));
    const answer = (await new Promise<Buffer>((resolve) => socket.once('data', resolve))).toString();
    t.match(answer, /^HTTP\/1\.1 101 [\s\S]*\r\nSec-WebSocket-Protocol: one\r\n/i);
    t.notMatch(answer, /Extensions/i);
  });
}
