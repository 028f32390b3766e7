/** Answers that no hub should give, and connections that end when they should not: each is an error of the call that got it. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { hubClient as browserClient } from '../../../apps/client/browser.ts';
import { hubClient } from '../../../apps/client/index.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { runningHub } from '../running-hub.ts';

/** A server of bytes: `answer` is called when a connection has sent its first ones. */
async function serving(t: Test, answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listening(t: Test, app: ScriptedApp): Promise<string> {
  const server = await app.listen();
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

t.test('a hub that refuses a large body before it is sent, and closes, does not end the process', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { tasks } = hubClient({ url: hub.url, token: hub.adminToken, retryWithinMs: 0 });
  const large = { description: 'x'.repeat(20_000_000) };
  for (let n = 0; n < 5; n += 1) await t.rejects(tasks.submit(large), { code: 'AC_API', details: { status: 413 } });
  // The connections break after their answers: an error that nobody listens for fails this test.
  await sleep(200);
});

t.test('an answer that switches protocols is an error at once, and not an answer that never comes', async (t) => {
  const url = await serving(t, (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'));
  const { tasks } = hubClient({ url, retryWithinMs: 0 });
  // More than the reads that may be in flight: none keeps its place.
  const all = await Promise.allSettled(Array.from({ length: 40 }, () => tasks.stats()));
  for (const one of all) t.match(one, { status: 'rejected', reason: { code: 'AC_API_UNREACHABLE', details: { reason: 'ECONNRESET' } } });
});

t.test('an answer without an end is refused once it is too long, in Node and over fetch', async (t) => {
  const chunk = Buffer.alloc(2 ** 20, ' ');
  for (const client of [hubClient, browserClient]) {
    const url = await serving(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n');
      const send = (): void => {
        while (!socket.destroyed) if (!socket.write(chunk)) return void socket.once('drain', send);
      };
      send();
    });
    await t.rejects(client({ url }).tasks.list({ limit: 500 }), {
      code: 'AC_API',
      message: /^GET \/api\/tasks\?limit=500: expected an answer of at most 268435456 bytes, found more\. /,
      details: { status: 200 },
    });
  }
});

t.test('JSON that is no page is an error that says so, and a hub that contradicts itself is not asked without a pause', async (t) => {
  for (const answer of ['{}', '[]', 'null', '{"events":5,"output":{}}']) {
    const app = new ScriptedApp().otherwise((c) => c.body(answer, 200, { 'content-type': 'application/json' }));
    const { tasks } = hubClient({ url: await listening(t, app) });
    const wrong = (name: string): RegExp => new RegExp(`^GET /api/tasks/x/${name}: expected the list "${name}", found `);
    await t.rejects(tasks.history('x').next(), { code: 'AC_API', message: wrong('events') });
    await t.rejects(tasks.followOutput('x').next(), { code: 'AC_API', message: wrong('output') });
  }
  let streams = 0;
  const app = new ScriptedApp()
    .get('/api/events', (c) => {
      streams += 1;
      return c.json({ error: 'invalid_state', message: 'It has ended.' }, 409);
    })
    .get('/api/tasks/:id', (c) => c.json({ status: 'queued' }));
  const { tasks } = hubClient({ url: await listening(t, app) });
  t.equal(await tasks.wait('x', { timeoutMs: 1_000 }), null);
  t.ok(streams >= 1 && streams <= 4, `${streams} streams`);
});

t.test('an ID with half a character is one that the hub does not know', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  await t.rejects(hub.api.tasks.get('task-\ud800'), { code: 'AC_API', details: { status: 404 } });
});
