/** A hub that sends faster than the disk of a sidecar takes. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocketServer, type WebSocket } from 'ws';
import { wsLink } from '../../adapters/link-ws/ws-link.ts';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { createSidecar } from '../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING } from '../../core/config/times.ts';
import { silentLog } from '../../core/ports/log.ts';
import { seededIds } from '../product/twins/ids-seeded/seeded-ids.ts';
import { memoryJournal } from '../product/twins/journal-memory/memory-journal.ts';
import { memoryResultInbox } from '../product/twins/results-memory/memory-result-inbox.ts';
import { gate } from '../rig/gate.ts';

const MIB = 2 ** 20;
/** What the system buffers between two sockets of one machine, at most. */
const SYSTEM_BYTES_MAX = 16 * MIB;

const offer = (n: number, description: string): string =>
  JSON.stringify({
    type: 'task_assign',
    task_id: `task-${String(n).padStart(16, '0')}`,
    generation: 1,
    description,
    assigned_at: Date.now(),
    run_max_ms: 3_600_000,
  });

/** A hub that accepts one sidecar, whose journal saves nothing until `release` is called. */
async function slowDisk(t: Test) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const saving = gate();
  const released = gate();
  const clock = systemClock();
  const sidecar = createSidecar({
    config: {
      hubs: [`ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`],
      agentId: 'worker-1',
      name: 'worker-1',
      token: 'token',
      plainToken: true,
      capabilities: [],
      slots: 1,
      timing: SIDECAR_TIMING,
    },
    link: wsLink({ log: silentLog }),
    journal: memoryJournal({
      sync: () => {
        saving.open();
        return released.opened;
      },
    }),
    results: memoryResultInbox({ clock }),
    runner: undefined,
    clock,
    ids: seededIds({ seed: 'slow-disk' }),
    digest: systemDigest(),
    log: silentLog,
    stopController: () => new AbortController(),
  });
  t.teardown(async () => {
    released.open();
    for (const client of server.clients) client.terminate();
    await Promise.all([sidecar.stop(), new Promise((resolve) => server.close(resolve))]);
  });
  const connected = once(server, 'connection') as Promise<[WebSocket, IncomingMessage]>;
  void sidecar.start();
  const [hub, { socket }] = await connected;
  await once(hub, 'message');
  hub.send(JSON.stringify({ type: 'identified', agent_id: 'worker-1', protocol_version: 2, store_id: 'store-1', held: [] }));
  await sidecar.ready;
  hub.send(offer(0, 'held up by the disk'));
  await saving.opened;
  return { hub, socket, release: released.open };
}

/** How many of the bytes that this hub has sent were taken, once no more are. */
async function takenOf(hub: WebSocket, sentBytes: number): Promise<number> {
  let before = -1;
  while (before !== hub.bufferedAmount) {
    before = hub.bufferedAmount;
    for (let turn = 0; turn < 500; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return sentBytes - hub.bufferedAmount;
}

t.test('R20: while its journal is being written, a sidecar reads only so much of its hub, and answers all of it later', async (t) => {
  const { hub, release } = await slowDisk(t);
  const frames = Array.from({ length: 1_000 }, (_, n) => offer(n + 1, 'x'.repeat(100_000)));
  for (const frame of frames) hub.send(frame);
  const taken = await takenOf(
    hub,
    frames.reduce((sum, frame) => sum + frame.length, 0),
  );
  t.ok(taken < SYSTEM_BYTES_MAX, `${Math.round(taken / MIB)} MiB of 95 were taken`);

  const rejected = new Set<unknown>();
  const all = new Promise<void>((resolve) =>
    hub.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Readonly<Record<string, unknown>>;
      if (frame['type'] === 'task_rejected') rejected.add(frame['task_id']);
      if (rejected.size === frames.length) resolve();
    }),
  );
  release();
  await all;
  t.equal(hub.bufferedAmount, 0);
});

t.test('R20: frames of two bytes are bounded too', async (t) => {
  const { hub, socket } = await slowDisk(t);
  const frames = Buffer.alloc(32 * MIB, Buffer.from([0x81, 2, ...Buffer.from('{}')]));
  socket.write(frames);
  const taken = await takenOf(hub, frames.length);
  t.ok(taken < SYSTEM_BYTES_MAX, `${Math.round(taken / MIB)} MiB of 32 were taken`);
});
