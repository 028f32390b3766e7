/** A peer on the network without a token: what it may send, for how long, and whom it can keep out. */
import { gzipSync } from 'node:zlib';
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import t from 'tap';
import { systemIds } from '../../adapters/ids-system/system-ids.ts';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { wsTransport } from '../../adapters/transport-ws/ws-transport.ts';
import { HUB_LIMITS } from '../../core/config/limits.ts';
import { silentLog } from '../../core/ports/log.ts';
import { hubBench } from '../adapters/http/hub-bench.ts';
import { hubRecorder } from '../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../product/contracts/wire/wire-room.ts';
import { hubRig } from '../core/hub/hub-rig.ts';

t.test('tokens and secrets are 256 random bits', (t) => {
  const ids = systemIds({ clock: virtualClock() });
  const secrets = Array.from({ length: 1_000 }, () => ids.secret());
  t.ok(secrets.every((secret) => /^[0-9a-f]{64}$/.test(secret)));
  t.equal(new Set(secrets).size, secrets.length);
  // Each of the 256 bits is set in about half of them.
  for (let bit = 0; bit < 256; bit += 1) {
    const set = secrets.filter((secret) => (BigInt(`0x${secret}`) >> BigInt(bit)) & 1n).length;
    if (set < 400 || set > 600) t.fail(`bit ${bit} is set in ${set} of 1,000`);
  }
  t.end();
});

t.test('R20: 64 KiB before identify is accepted, one byte more closes with 1009', async (t) => {
  const rig = await hubRig();
  const sized = (bytes: number): string => {
    const text = JSON.stringify({ type: 'ping', pad: '' });
    return text.replace('""', `"${'x'.repeat(bytes - text.length)}"`);
  };
  const peer = await rig.peer('stranger');
  await peer.send(sized(HUB_LIMITS.unidentifiedFrameBytes));
  t.strictSame([peer.newFrames(), peer.closed()], [[{ type: 'error', error: 'not_identified' }], null]);
  await peer.send(sized(HUB_LIMITS.unidentifiedFrameBytes + 1));
  t.strictSame([peer.newFrames(), peer.closed()], [[], 1009]);
  await rig.stop();
});

t.test('R20: frames that arrive while an identify is checked share the size limit of one frame before it', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('stranger');
  const never = new Promise<undefined>(() => undefined);
  Object.assign(rig.storage.agents, { findToken: () => never });
  await peer.identify();
  await peer.send({ type: 'ping', pad: 'x'.repeat(40_000) });
  t.equal(peer.closed(), null);
  await peer.send({ type: 'ping', pad: 'x'.repeat(40_000) });
  t.equal(peer.closed(), 1008);
  const many = await rig.peer('another');
  await many.identify();
  for (let n = 0; n < 64; n += 1) await many.send({ type: 'ping' });
  t.equal(many.closed(), null);
  await many.send({ type: 'ping' });
  t.equal(many.closed(), 1008);
  t.strictSame(rig.sessions.refusals().sockets, { 'wait for identified': 2 });
  await rig.stop();
});

t.test('R20: a connection that has not identified within 10 s is closed', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('stranger');
  await rig.pass(HUB_LIMITS.identifyMs - 1);
  t.equal(peer.closed(), null);
  await rig.pass(1);
  t.equal(peer.closed(), 1008);
  t.strictSame(rig.sessions.refusals().sockets, { 'identify within the time': 1 });
  await rig.stop();
});

t.test('R20: unidentified connections over the limit are closed with 1013; identified ones do not count', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 2 } });
  const known = await rig.peer('known');
  await known.identify();
  const waiting = [await rig.peer('one'), await rig.peer('two')];
  const over = await rig.peer('three');
  t.equal(over.closed(), 1013);
  t.strictSame(rig.sessions.refusals().sockets, { 'too many unidentified connections': 1 });
  t.ok([known, ...waiting].every((peer) => peer.closed() === null));
  await waiting[0]?.identify();
  t.equal((await over.reconnect()).closed(), null, 'there is room again');
  await rig.stop();
});

t.test('R20: where each unidentified connection can hold a whole frame, together they hold at most 256 MiB', async (t) => {
  const limits = { frameBytes: 134_217_728, unidentifiedSockets: 3 };
  for (const [wholeFrames, closed] of [
    [true, [null, null, 1013, 1013]],
    [false, [null, null, null, 1013]],
  ] as const) {
    const rig = await hubRig({ limits, wholeFrames });
    const peers = [await rig.peer('one'), await rig.peer('two'), await rig.peer('three'), await rig.peer('four')];
    t.strictSame(
      peers.map((peer) => peer.closed()),
      closed,
    );
    await rig.stop();
  }
});

t.test('R20: silent unidentified connections from one address crowd out only that address', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 4 } });
  const flooder = await rig.peer('flooder');
  await flooder.cut();
  const silent = await Promise.all(Array.from({ length: 4 }, () => flooder.reconnect('203.0.113.1')));
  const victim = await rig.peer('victim');
  t.match(await victim.identify(), [{ type: 'identified' }], 'another address gets in');
  t.strictSame(
    silent.map((peer) => peer.closed()),
    [1013, null, null, null],
    'the oldest connection of the address with the most is closed',
  );
  await flooder.reconnect('203.0.113.1');
  t.equal((await flooder.reconnect('203.0.113.1')).closed(), 1013, 'its own address gets no further connection');
  const third = await victim.reconnect('198.51.100.7');
  t.equal(third.closed(), null);
  const bySharing = [await victim.reconnect('198.51.100.7'), await victim.reconnect('198.51.100.7')];
  t.strictSame(
    bySharing.map((peer) => peer.closed()),
    [null, 1013],
    'and no more than the other address has',
  );
  await rig.stop();
});

t.test('R20: behind a trusted proxy the forwarded address counts, and for IPv6 its network', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 2 }, trustedProxies: ['10.0.0.1'] });
  let lastId = 1_000;
  const closed: (number | null)[] = [];
  const open = (forwardedFor: string | null, remoteAddress = '10.0.0.1'): void => {
    const place = closed.push(null) - 1;
    rig.sessions.onOpen({
      id: (lastId += 1),
      remoteAddress,
      forwardedFor,
      send: () => true,
      ping: () => undefined,
      identified: () => undefined,
      bufferedBytes: () => 0,
      close: (code) => (closed[place] = code),
    });
  };
  open('2001:db8:1:1::1');
  open('spoofed, 2001:db8:1:1::2');
  open('198.51.100.1');
  t.strictSame(closed, [1013, null, null]);
  open('2001:db8:1:1::3');
  t.strictSame(closed, [1013, null, null, 1013], 'another from a /64 that already has one');
  await rig.stop();
});

t.test('R20: an unidentified peer that pings and reads nothing is closed when its send buffer exceeds the limit', async (t) => {
  const rig = await hubRig();
  const codes: number[] = [];
  let waiting = HUB_LIMITS.unidentifiedFrameBytes;
  const stranger = {
    id: 1_000,
    remoteAddress: '203.0.113.1',
    forwardedFor: null,
    send: () => true,
    ping: () => undefined,
    identified: () => undefined,
    bufferedBytes: () => waiting,
    close: (code: number) => codes.push(code),
  };
  rig.sessions.onOpen(stranger);
  rig.sessions.onPong(stranger);
  t.strictSame(codes, []);
  waiting += 1;
  rig.sessions.onPong(stranger);
  t.strictSame(codes, [1013]);
  await rig.stop();
});

t.test('wrong tokens block their address for a while, and cannot lock an agent out by its name', async (t) => {
  const rig = await hubRig();
  const victim = await rig.peer('victim');
  let guesser = await victim.reconnect('203.0.113.1');
  for (let n = 0; n < 10; n += 1) await guesser.identify({ token: `guess ${n}` });
  t.equal(guesser.closed(), 1008);
  guesser = await victim.reconnect('203.0.113.1');
  t.equal(guesser.closed(), 1008, 'the address is blocked');
  t.match(rig.sessions.refusals(), { frames: { invalid_token: 10 }, sockets: { 'blocked after invalid frames': 1 } });
  t.match(await victim.identify(), [{ type: 'identified' }], 'the agent that it named is not');
  await rig.pass(30_000);
  guesser = await victim.reconnect('203.0.113.1');
  t.equal(guesser.closed(), null, 'after half a minute it may try again');
  await rig.stop();
});

t.test('connections opened before their address was blocked may send one wrong frame each', async (t) => {
  const rig = await hubRig();
  const victim = await rig.peer('victim');
  const open = await Promise.all(Array.from({ length: 20 }, () => victim.reconnect('203.0.113.1')));
  const [first, ...others] = open;
  for (let n = 0; n < 10; n += 1) await first?.identify({ token: `guess ${n}` });
  t.equal(first?.closed(), 1008);
  for (const other of others) {
    t.equal(other.closed(), null, 'it may be another sidecar behind the same address');
    await other.identify({ token: 'a guess' });
    t.equal(other.closed(), 1008);
  }
  await rig.stop();
});

t.test('after identify the session is blocked, not its address', async (t) => {
  const rig = await hubRig();
  const [noisy, other] = [await rig.peer('noisy'), await rig.peer('other')];
  await noisy.identify();
  for (let n = 0; n < 10; n += 1) await noisy.send('no frame');
  t.equal(noisy.closed(), 1008);
  t.match(await (await noisy.reconnect('203.0.113.9')).identify(), [{ type: 'error', error: 'rate_limited' }], 'from any address');
  t.match(await other.identify(), [{ type: 'identified' }], 'another agent from the same address is not');
  await rig.stop();
});

t.test('compression is never negotiated, whatever the client offers', async (t) => {
  const transport = wsTransport({ log: silentLog });
  t.teardown(() => transport.close(1001, 'over'));
  const { port } = await transport.listen(openToAll(), hubRecorder().events);
  const clientRequest = request({
    port,
    host: '127.0.0.1',
    path: '/ws',
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
    },
  }).end();
  const [response, socket] = (await once(clientRequest, 'upgrade')) as [IncomingMessage, { destroy(): void }];
  t.equal(response.statusCode, 101);
  t.equal(response.headers['sec-websocket-extensions'], undefined);
  socket.destroy();
});

t.test('a compressed bomb is refused with 415 before any of it is read', async (t) => {
  const bench = await hubBench();
  const bomb = gzipSync(Buffer.alloc(64 * 1_048_576));
  for (const [path, type] of [
    ['/api/tasks', 'application/json'],
    ['/api/tasks/bulk', 'application/x-ndjson'],
  ] as const) {
    let taken = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          taken += 1;
          controller.enqueue(new Uint8Array(bomb));
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const got = await bench.send(path, { body, headers: { 'content-type': type, 'content-encoding': 'gzip' } });
    t.strictSame([got.status, got.json['error'], taken], [415, 'unsupported_media_type', 0], path);
  }
  await bench.close();
});

t.test('a cookie alone opens nothing', async (t) => {
  const bench = await hubBench();
  const { admin } = bench.tokens;
  for (const cookie of [`token=${admin}`, `authorization=Bearer ${admin}`, admin]) {
    const got = await bench.send('/api/tasks', { token: null, headers: { cookie } });
    t.strictSame([got.status, got.json['error']], [401, 'unauthorized']);
  }
  t.equal((await bench.send(`/api/tasks?token=${admin}&access_token=${admin}`, { token: null })).status, 401, 'nor does a query parameter');
  t.equal((await bench.send('/api/tasks', { headers: { cookie: 'token=x' } })).status, 200, 'nor does it interfere');
  await bench.close();
});
