/** An eavesdropper between a sidecar and its hub, who forwards each frame and keeps a copy. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { makeWorld } from '../apps/app-world.ts';

const READ_ONLY_TYPES = ['hello', 'challenge', 'identify', 'identified'];

interface Eavesdropper {
  readonly url: string;
  readonly received: readonly string[];
}

async function eavesdropper(t: Test, hubPort: number): Promise<Eavesdropper> {
  const received: string[] = [];
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on('connection', (sidecar) => {
    const hub = new WebSocket(`ws://127.0.0.1:${hubPort}/ws`);
    const waiting: string[] = [];
    const pass = (from: WebSocket, to: WebSocket): void => {
      from.on('message', (data) => {
        const text = String(data);
        received.push(text);
        if (to.readyState === WebSocket.OPEN) to.send(text);
        else waiting.push(text);
      });
      // Connections are cut at the end of a test.
      from.on('error', () => to.terminate());
      from.on('close', () => to.terminate());
    };
    pass(sidecar, hub);
    pass(hub, sidecar);
    hub.on('open', () => waiting.forEach((text) => hub.send(text)));
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, received };
}

t.test('an eavesdropper on every frame between sidecar and hub never sees the token, and can reuse nothing', async (t) => {
  const world = await makeWorld(t);
  await world.startHub();
  const line = await eavesdropper(t, world.port);
  await world.startSidecar('a1', { hubUrl: line.url });
  const { task_id: id } = await world.api.tasks.submit({ description: 'say hello', needed_capabilities: ['code'] });
  await world.ledgerLine(id, 'start');
  world.release();
  await world.event(id, ['completed']);
  const token = /token: "([^"]+)"/.exec(readFileSync(join(world.dir, 'a1.config.mjs'), 'utf8'))?.[1] ?? '';
  const { sha256 } = systemDigest();
  const types = line.received.map((text) => (JSON.parse(text) as { readonly type: string }).type);
  t.same(types.slice(0, READ_ONLY_TYPES.length), READ_ONLY_TYPES);
  const all = line.received.join('\n');
  t.ok(token.length >= 64);
  for (const secret of [token, Buffer.from(token).toString('hex'), Buffer.from(token).toString('base64'), sha256(token)])
    t.notOk(all.includes(secret));

  const thief = new WebSocket(`ws://127.0.0.1:${world.port}/ws`);
  await once(thief, 'open');
  const answers: unknown[] = [];
  thief.on('message', (data) => answers.push(JSON.parse(String(data))));
  for (const text of [line.received[0], line.received[2]]) {
    thief.send(text ?? '');
    await once(thief, 'message');
  }
  t.match(answers, [{ type: 'challenge' }, { type: 'error', error: 'invalid_token' }]);
  thief.terminate();
});
