/** Upgrades that wait while as many connections as may be are unidentified. */
import t from 'tap';
import type { HubConnection, PendingUpgrade } from '../../../../core/ports/hub-transport.ts';
import { UPGRADE_WAIT_MS } from '../../../../core/application/hub/sessions/limits/upgrade-queue.ts';
import { hubRig } from '../hub-rig.ts';

type Rig = Awaited<ReturnType<typeof hubRig>>;

const TOO_MANY = 'too many unidentified connections';

/** Sidecars that request an upgrade, each of which is a WebSocket as soon as the hub opens it. */
function sidecars(rig: Rig) {
  const log: string[] = [];
  const leaving = new Map<string, () => void>();
  const connections = new Map<string, HubConnection>();
  let late: (() => void) | null = null;
  let lastId = 1_000;
  const ask = (name: string, remoteAddress: string): void => {
    const upgrade: PendingUpgrade = {
      remoteAddress,
      forwardedFor: null,
      open: () => {
        if (late === null) return opened();
        queueMicrotask(opened);
        late();
        late = () => undefined;
      },
      refuse: (reason) => void log.push(`${name} refused: ${reason}`),
    };
    const opened = (): void => {
      const connection: HubConnection = {
        id: (lastId += 1),
        remoteAddress,
        forwardedFor: null,
        send: () => true,
        ping: () => undefined,
        identified: () => undefined,
        bufferedBytes: () => 0,
        close: (code) => {
          log.push(`${name} closed ${code}`);
          rig.sessions.onGone(connection, code);
        },
      };
      log.push(`${name} open`);
      connections.set(name, connection);
      rig.sessions.onOpen(connection);
    };
    leaving.set(name, rig.sessions.admit(upgrade));
  };
  return {
    /** `1.a`: the first of the address named a. */
    ask: (...names: readonly string[]) => names.forEach((name) => ask(name, `203.0.113.${name.charCodeAt(name.length - 1)}`)),
    /** The peer of a waiting upgrade disconnects. */
    leave: (name: string) => leaving.get(name)?.(),
    /** WebSockets that were open are closed; what follows in a later turn of the event loop has not happened yet. */
    close: (...names: readonly string[]) =>
      names.forEach((name) => {
        const connection = connections.get(name);
        if (connection !== undefined) rig.sessions.onGone(connection, 1006);
      }),
    /** From now on, an upgrade that the hub opens becomes a WebSocket a moment later. `meanwhile`: what happens until then, once. */
    openLate: (meanwhile: () => void) => void (late = meanwhile),
    /** What happened since the last call. */
    happened: () => log.splice(0),
  };
}

t.test('R20: upgrades over the limit of unidentified connections wait, addresses in turn, each in order of arrival', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 2 } });
  const { ask, close, happened } = sidecars(rig);
  ask('1.a', '1.b');
  t.strictSame(happened(), ['1.a open', '1.b open']);
  ask('2.a', '3.a', '4.a', '2.b', '3.b');
  t.strictSame(happened(), []);
  close('1.a');
  await rig.pass(1);
  t.strictSame(happened(), ['2.a open']);
  close('2.a', '1.b');
  await rig.pass(1);
  t.strictSame(happened(), ['2.b open', '3.a open']);
  close('2.b', '3.a');
  await rig.pass(1);
  t.strictSame(happened(), ['3.b open', '4.a open']);
  ask('5.a');
  close('3.b', '4.a');
  ask('5.b');
  await rig.pass(1);
  t.strictSame(happened(), ['5.a open', '5.b open'], 'one that arrives while there is room again, too');
  close('5.a', '5.b');
  await rig.pass(1);
  ask('6.a');
  t.strictSame(happened(), ['6.a open'], 'at once, since none waits');
  t.strictSame(rig.sessions.refusals().sockets, {});
  await rig.stop();
});

t.test('R20: a connection that identifies makes room for an upgrade that waits', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 1 } });
  const { ask, happened } = sidecars(rig);
  const peer = await rig.peer('known');
  ask('1.a');
  t.strictSame(happened(), []);
  await peer.identify();
  await rig.pass(1);
  t.strictSame(happened(), ['1.a open']);
  await rig.stop();
});

t.test('R20: when many leave at once, as many upgrades open as there is room for', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 200 } });
  const { ask, close, happened } = sidecars(rig);
  const names = Array.from({ length: 500 }, (_, n) => `${n}.a`);
  ask(...names);
  t.strictSame(
    happened(),
    names.slice(0, 200).map((name) => `${name} open`),
  );
  close(...names.slice(0, 150));
  await rig.pass(1);
  t.strictSame(
    happened(),
    names.slice(200, 350).map((name) => `${name} open`),
  );
  t.strictSame(rig.sessions.sockets, { identified: 0, unidentified: 200, waiting: 150 });
  await rig.stop();
});

t.test('R20: an upgrade waits for less than the 10 s after which a sidecar gives up', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 1 } });
  const { ask, leave, happened } = sidecars(rig);
  await rig.peer('stranger');
  ask('1.a', '2.a', '1.b');
  leave('2.a');
  await rig.pass(UPGRADE_WAIT_MS - 1);
  t.strictSame(happened(), []);
  await rig.pass(1);
  t.strictSame(happened(), [`1.a refused: ${TOO_MANY}`, `1.b refused: ${TOO_MANY}`]);
  t.strictSame(rig.sessions.refusals().sockets, { [TOO_MANY]: 2 });
  t.ok(UPGRADE_WAIT_MS < 10_000);
  await rig.stop();
});

t.test('R20: where an opened upgrade becomes a WebSocket only later, none that arrives meanwhile takes its place', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 1 } });
  const { ask, close, happened, openLate } = sidecars(rig);
  ask('1.a', '2.a');
  openLate(() => ask('1.b'));
  close('1.a');
  await rig.pass(1);
  t.strictSame(happened(), ['1.a open', '2.a open']);
  t.equal(rig.sessions.sockets.waiting, 1);
  await rig.stop();
});

t.test('an upgrade of an address that is blocked after invalid frames does not wait to be refused', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 2 } });
  const victim = await rig.peer('victim');
  const guesser = await victim.reconnect('203.0.113.97');
  for (let n = 0; n < 10; n += 1) await guesser.identify({ token: `guess ${n}` });
  t.equal(guesser.closed(), 1008);
  await victim.reconnect('198.51.100.1');
  const { ask, happened } = sidecars(rig);
  ask('1.a', '1.b');
  t.strictSame(happened(), ['1.a open', '1.a closed 1008']);
  await rig.stop();
});

t.test('R20: of the upgrades that may wait, one address has half of those that the others leave free', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 1, sockets: 4 } });
  const { ask, leave, happened } = sidecars(rig);
  await rig.peer('stranger');
  ask('1.a', '2.a', '3.a');
  t.strictSame(happened(), [`3.a refused: ${TOO_MANY}`]);
  ask('1.b', '2.b', '1.c', '1.d');
  t.strictSame(happened(), [`2.b refused: ${TOO_MANY}`, `1.d refused: ${TOO_MANY}`]);
  leave('1.a');
  leave('1.a');
  t.equal(rig.sessions.sockets.waiting, 3);
  ask('4.a', '2.d', '3.d');
  t.strictSame(happened(), [`4.a refused: ${TOO_MANY}`, `3.d refused: ${TOO_MANY}`], 'one that leaves makes room for one other');
  await rig.stop();
});

t.test('R20: an upgrade of an address that has clearly fewer connections does not wait', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 20 } });
  const { ask, happened } = sidecars(rig);
  ask(...Array.from({ length: 30 }, (_, n) => `${n}.a`));
  happened();
  ask('1.b');
  t.strictSame(happened(), ['1.b open', '0.a closed 1013']);
  ask(...Array.from({ length: 20 }, (_, n) => `${n + 2}.b`));
  const opened = happened().filter((what) => what.endsWith('open')).length;
  t.equal(opened, 8, 'until it has about as many: 9 of 20');
  await rig.stop();
});

t.test('R20: a hub that stops refuses the upgrades that wait', async (t) => {
  const rig = await hubRig({ limits: { unidentifiedSockets: 1 } });
  const { ask, close, happened } = sidecars(rig);
  ask('1.a', '1.b', '1.c');
  rig.sessions.refuseNew();
  t.strictSame(happened(), ['1.a open', '1.b refused: stopping', '1.c refused: stopping']);
  close('1.a');
  await rig.pass(1);
  t.strictSame(happened(), []);
  await rig.stop();
});
