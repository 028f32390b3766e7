import t, { type Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import type { Fate } from '../../product/twins/wire-memory/crossing.ts';
import { memoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import { hubLinkContract } from '../../product/contracts/wire/hub-link.contract.ts';
import { hubTransportContract } from '../../product/contracts/wire/hub-transport.contract.ts';
import { hubRecorder, linkRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';
import { memoryWireSubject } from '../suites/twin-subjects.ts';

const subject = memoryWireSubject();
hubTransportContract('memory', subject, t);
hubLinkContract('memory', subject, t);

/** A hub and a connected link on a wire with virtual time; `fate` is asked from the opening on. */
const virtualRoom = async (t: Test, fate: Fate) => {
  const clock = virtualClock();
  let isFateful = false;
  const wire = memoryWire({ clock, fate: (crossing) => (isFateful ? fate(crossing) : [{ delayMs: 0 }]) });
  const transport = wire.transport();
  const hub = hubRecorder();
  const { port } = await transport.listen(openToAll({ host: 'hub-1', port: 4_000 }), hub.events);
  const sidecar = linkRecorder();
  const url = `ws://hub-1:${port}/ws`;
  const link = wire.link({ remoteAddress: '10.0.0.7' }).connect({ url, frameBytesMax: 1_000 }, sidecar.events);
  clock.advance(1);
  const opened = hub.saw.left[0];
  if (opened?.kind !== 'open') throw new Error('The room did not open.');
  t.equal(opened.connection.remoteAddress, '10.0.0.7');
  await hub.saw.next('the opening');
  await sidecar.saw.next('the opening');
  isFateful = true;
  const framesAtHub = () => hub.saw.left.flatMap((saw) => (saw.kind === 'frame' ? [saw.text] : []));
  return { clock, wire, transport, hub, sidecar, link, url, connection: opened.connection, framesAtHub };
};

t.test('nothing is delivered before time advances; delays keep the order, overtaking does not', async (t) => {
  const delays: Readonly<Record<string, { delayMs: number; overtakes?: boolean }>> = {
    slow: { delayMs: 50 },
    quick: { delayMs: 5 },
    racing: { delayMs: 10, overtakes: true },
  };
  const { clock, link, framesAtHub } = await virtualRoom(t, ({ text }) => [delays[text] ?? { delayMs: 0 }]);
  for (const text of Object.keys(delays)) t.ok(link.send(text));
  t.equal(link.bufferedBytes(), 'slowquickracing'.length);
  t.same(framesAtHub(), []);
  clock.advance(10);
  t.same(framesAtHub(), ['racing']);
  clock.advance(39);
  t.same(framesAtHub(), ['racing']);
  clock.advance(1);
  t.same(framesAtHub(), ['racing', 'slow', 'quick']);
  t.equal(link.bufferedBytes(), 0);
});

t.test('frames are lost or duplicated as scripted, by direction and text', async (t) => {
  const requests: string[] = [];
  const { clock, link, connection, sidecar, framesAtHub } = await virtualRoom(t, (crossing) => {
    requests.push(`${crossing.from} ${crossing.kind} ${crossing.text} ${crossing.connection === connection.id}`);
    if (crossing.text === 'lost') return [];
    return crossing.text === 'double' ? [{ delayMs: 1 }, { delayMs: 7 }] : [{ delayMs: 0 }];
  });
  for (const text of ['a', 'lost', 'double', 'b']) link.send(text);
  connection.send('down');
  clock.advance(10);
  t.same(framesAtHub(), ['a', 'double', 'double', 'b']);
  t.match(sidecar.saw.left, [{ kind: 'frame', text: 'down' }]);
  t.same(requests, [
    'sidecar frame a true',
    'sidecar frame lost true',
    'sidecar frame double true',
    'sidecar frame b true',
    'hub frame down true',
  ]);
});

t.test('with a half-open peer the hub gives up a second after its close, and the link never notices', async (t) => {
  const { clock, connection, hub, sidecar, wire } = await virtualRoom(t, () => []);
  connection.ping();
  connection.close(1001, 'no signs of life');
  clock.advance(999);
  t.same(hub.saw.left, []);
  clock.advance(1);
  t.match(hub.saw.left, [{ kind: 'gone', code: 1001 }]);
  clock.advance(60_000);
  t.same(sidecar.saw.left, []);
  t.same(wire.open(), [connection.id], 'the link still considers itself open');
});

t.test('a lost handshake is abandoned after 10 s, and a duplicated one is one connection', async (t) => {
  const clock = virtualClock();
  let copies = 0;
  const wire = memoryWire({ clock, fate: ({ kind }) => Array.from({ length: kind === 'connect' ? copies : 1 }, () => ({ delayMs: 1 })) });
  const hub = hubRecorder();
  await wire.transport().listen(openToAll({ port: 4_000 }), hub.events);
  const target = { url: 'ws://127.0.0.1:4000/ws', frameBytesMax: 100 };
  const lost = linkRecorder();
  wire.link().connect(target, lost.events);
  clock.advance(9_999);
  t.same(lost.saw.left, []);
  clock.advance(1);
  t.match(lost.saw.left, [{ kind: 'gone', code: 1006 }]);
  copies = 2;
  const doubled = linkRecorder();
  wire.link().connect(target, doubled.events);
  clock.advance(10);
  t.match(
    hub.saw.left.map(({ kind }) => kind),
    ['open'],
  );
  t.match(doubled.saw.left, [{ kind: 'open' }]);
});

t.test('a cut is reported once at both ends', async (t) => {
  const { clock, connection, hub, sidecar, wire, link } = await virtualRoom(t, () => [{ delayMs: 0 }]);
  wire.cut(connection.id);
  wire.cut(connection.id);
  wire.cut(12_345);
  t.same([...hub.saw.left, ...sidecar.saw.left], [], 'not from inside the call');
  clock.advance(5_000);
  t.match(hub.saw.left, [{ kind: 'gone', code: 1006 }]);
  t.match(sidecar.saw.left, [{ kind: 'gone', code: 1006 }]);
  t.equal(link.send('x') || connection.send('x'), false);
  t.same(wire.open(), []);
  t.equal(clock.pending, 0, 'nothing is left pending');
});

t.test('a crashed hub receives nothing more; its links end, callers fail, and its port is free', async (t) => {
  const { clock, hub, sidecar, wire, transport, link, url } = await virtualRoom(t, () => [{ delayMs: 0 }]);
  link.send('into the void');
  const request = wire.fetch('http://hub-1:4000/health');
  transport.crash();
  transport.crash();
  await Promise.all([t.rejects(request, /ECONNREFUSED/), clock.walk(10, () => Promise.resolve())]);
  t.same(hub.saw.left, []);
  t.match(sidecar.saw.left, [{ kind: 'gone', code: 1006 }]);
  await transport.close(1001, 'nothing is open');
  await transport.listen(openToAll({ host: 'hub-1', port: 4_000 }), hub.events);
  wire.link().connect({ url, frameBytesMax: 100 }, linkRecorder().events);
  clock.advance(1);
  t.match(hub.saw.left, [{ kind: 'open' }]);
});
