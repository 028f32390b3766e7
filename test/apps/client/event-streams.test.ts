/** Event streams: consumers that take their time, and what a stream must not contain. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { hubClient } from '../../../apps/client/index.ts';
import { ScriptedApp, type Call } from '../cli/scripted-app.ts';
import { runningHub } from '../running-hub.ts';
import { listening, streamOf } from './scripted-hub.ts';

t.test('a consumer may take longer for an event than a stream may be silent, and than it goes on without the hub', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { task_id } = await hub.api.tasks.submit({ description: 'x' });
  const reconnects: string[] = [];
  const times = { idleMs: 200, giveUpAfterMs: 600, onReconnect: (reason: string) => reconnects.push(reason) };
  const seen: string[] = [];
  for await (const { event } of hub.api.tasks.watch(task_id, times)) {
    seen.push(event);
    if (event !== 'submitted') continue;
    await sleep(1_000);
    await hub.api.tasks.cancel(task_id);
  }
  t.equal(seen.at(0), 'submitted');
  t.equal(seen.at(-1), 'cancelled');
  t.equal(new Set(seen).size, seen.length, 'each once');
  t.strictSame(reconnects, [], 'the connection lasts');
});

t.test('what cannot be read in a stream is an error, and is not read again', async (t) => {
  let [opened, answer] = [0, (c: Call): Response => c.body(null as never, 204)];
  const app = new ScriptedApp().get('/api/events', (c) => {
    opened += 1;
    return answer(c);
  });
  const hub = hubClient({ url: (await listening(t, app)).url });
  const wrong: readonly (readonly [answer: (c: Call) => Response, message: RegExp])[] = [
    [answer, /^GET \/api\/events was answered with status 204 and no content type, not an event stream\./],
    [(c) => streamOf(c, 'id: 7\ndata: {"id":7,\n\n'), /^GET \/api\/events: expected a JSON object in event 7, found \{"id":7,\. Check/],
    [(c) => streamOf(c, 'id: 7\ndata: null\n\n'), /found null\. Check/],
    [(c) => streamOf(c, `data: ${'x'.repeat(70_000)}\n\n`), /^Expected events of at most 65536 characters/],
  ];
  for (const [given, message] of wrong) {
    [opened, answer] = [0, given];
    await t.rejects(hub.events().next(), { code: 'AC_API', message });
    await t.rejects(hub.tasks.wait('task-00000000000000aa'), { code: 'AC_API', message });
    t.equal(opened, 2);
  }
});

t.test('what a program throws into a stream reaches it, and a stream that breaks off is an unreachable hub', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  await hub.api.tasks.submit({ description: 'x' });
  const mine = new Error('mine');
  const onReceived = (): void => {
    throw mine;
  };
  await t.rejects(hub.api.events({ lastEventId: '0', onReceived }).next(), mine);
  const events = hub.api.events({ lastEventId: '0' });
  await events.next();
  await t.rejects(events.throw(mine), mine);
  await t.rejects(hub.api.events({ idleMs: 100, giveUpAfterMs: 0 }).next(), {
    code: 'AC_API_UNREACHABLE',
    message: /nothing received for 0\.1 s/,
    details: { reason: 'ETIMEDOUT' },
  });
  const cut = hub.api.events({ giveUpAfterMs: 0 }).next();
  await sleep(100);
  await hub.stop();
  await t.rejects(cut, { code: 'AC_API_UNREACHABLE' });
});
