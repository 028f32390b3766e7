/** Waits for tasks and other reads: what they ask the hub for, how many at a time, and when they end. */
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { hubClient } from '../../../apps/client/index.ts';
import { freePort } from '../cli/cli-world.ts';
import { ScriptedApp } from '../cli/scripted-app.ts';
import { runningHub } from '../running-hub.ts';
import { listening, streamOf } from './scripted-hub.ts';
import { gate } from '../../rig/gate.ts';

const sse = (id: number, event: string): string => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify({ id, event })}\n\n`;

/** After the last read that a client may send, one more that it sends at the same time arrives within this time. */
const MORE_WOULD_ARRIVE_MS = 100;

t.test('a wait ends with the task, its timeout or its signal, whatever the hub does', async (t) => {
  let gets = 0;
  const app = new ScriptedApp()
    .get('/api/events', (c) => {
      if (c.target.includes('bb')) return streamOf(c, sse(1, 'completed'));
      const body = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(sse(1, 'submitted'))) });
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    })
    .get('/api/tasks/:id', (c) => {
      gets += 1;
      if (c.target.includes('aa')) return c.json({ status: 'assigned' });
      return c.json({ error: 'storage_unavailable', message: 'away' }, 503, { 'retry-after': '0' });
    });
  const { url } = await listening(t, app);
  const { tasks } = hubClient({ url });
  t.equal(await tasks.wait('task-00000000000000bb', { timeoutMs: 500 }), null, 'also while the hub cannot answer');
  t.ok(gets > 0, 'which was requested');
  t.equal(await tasks.wait('task-00000000000000aa', { timeoutMs: 50 }), null, 'at its timeout');
  const controller = new AbortController();
  const waiting = tasks.wait('task-00000000000000aa', { signal: controller.signal, timeoutMs: 60_000 });
  controller.abort();
  t.equal(await waiting, null, 'with its signal');
  for (const timeoutMs of [-1, NaN, Infinity, 2 ** 31])
    await t.rejects(tasks.wait('task-00000000000000aa', { timeoutMs }), {
      code: 'AC_USAGE',
      message: `timeoutMs: expected milliseconds from 0 to 2147483647, found ${timeoutMs}.`,
    });
});

t.test('a wait for a task that has not ended asks for it once, and for one that has ended it opens no stream', async (t) => {
  const hub = await runningHub({ limits: { streams: 4 } });
  t.teardown(hub.stop);
  const { tasks } = hub.api;
  const { task_id } = await tasks.submit({ description: 'x' });
  const waiting = tasks.wait(task_id);
  for await (const { event } of hub.api.events({ taskId: task_id, lastEventId: '0' })) {
    if (event === 'submitted') await tasks.cancel(task_id);
    if (event === 'cancelled') break;
  }
  t.match(await waiting, { status: 'cancelled' });
  const others = await Promise.all([1, 2].map(() => tasks.submit({ description: 'y' })));
  const open = others.map((other) => hub.api.events({ taskId: other.task_id, lastEventId: '0' }));
  for (const stream of open) await stream.next();
  t.match(await tasks.wait(task_id), { status: 'cancelled' }, 'also while the token has all streams that it may have');
  await t.rejects(tasks.wait('task-0123456789abcdef'), { code: 'AC_API', details: { status: 404, error: 'unknown_task' } });
  const counted = (await hub.api.metrics()).matchAll(
    /^agentcom_http_requests_total\{.*route="(\/api\/(?:events|tasks\/:id))",status="(\d+)"\} (\d+)$/gm,
  );
  t.strictSame(Object.fromEntries([...counted].map(([, route, status, count]) => [`${route} ${status}`, Number(count)])), {
    '/api/events 200': 4,
    '/api/events 404': 1,
    '/api/events 409': 1,
    '/api/tasks/:id 200': 2,
  });
  await Promise.all(open.map((stream) => stream.return()));
});

t.test('many waits ask for their tasks some at a time, and end with their signal while others are asking', async (t) => {
  let [asking, most] = [0, 0];
  const { opened: asked, open: answer } = gate();
  const { opened: full, open: fill } = gate();
  const app = new ScriptedApp()
    .get('/api/events', (c) => streamOf(c, sse(1, 'completed')))
    .get('/api/tasks/:id', async (c) => {
      asking += 1;
      most = Math.max(most, asking);
      if (asking === 32) fill();
      await asked;
      asking -= 1;
      return c.json({ status: 'completed' });
    });
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const waitForAll = (signal?: AbortSignal) =>
    Array.from({ length: 40 }, (_, index) => tasks.wait(`task-${String(index).padStart(16, '0')}`, { signal }));
  const patient = waitForAll();
  await full;
  const controller = new AbortController();
  const hasty = waitForAll(controller.signal);
  controller.abort();
  t.ok((await Promise.all(hasty)).every((task) => task === null));
  answer();
  t.ok((await Promise.all(patient)).every((task) => task?.status === 'completed'));
  t.equal(most, 32);
});

t.test(
  'on a hub that does not know the condition, a wait opens a stream only for a task that has not ended, and a task that does not exist is an error',
  async (t) => {
    let [status, streams] = ['dead_letter', 0];
    const app = new ScriptedApp()
      .get('/api/events', (c) => {
        if (c.target.includes('unless_ended')) return c.json({ error: 'validation_failed', message: 'additional' }, 400);
        streams += 1;
        status = 'completed';
        return streamOf(c, sse(1, 'submitted'), sse(2, 'completed'));
      })
      .get('/api/tasks/:id', (c) =>
        c.target.includes('bb') ? c.json({ error: 'unknown_task', message: 'There is no such task.' }, 404) : c.json({ status }),
      );
    const { tasks } = hubClient({ url: (await listening(t, app)).url });
    t.match(await tasks.wait('task-00000000000000aa'), { status: 'dead_letter' });
    t.equal(streams, 0);
    status = 'queued'; // retried
    t.match(await tasks.wait('task-00000000000000aa'), { status: 'completed' });
    t.equal(streams, 1);
    await t.rejects(tasks.wait('task-00000000000000bb'), { code: 'AC_API', details: { status: 404, error: 'unknown_task' } });
    const controller = new AbortController();
    controller.abort();
    t.equal(await tasks.wait('task-00000000000000aa', { signal: controller.signal }), null, 'with a signal that is aborted already');
  },
);

t.test('a wait gives up on a hub that is unreachable from its start', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`;
  await t.rejects(hubClient({ url }).tasks.wait('task-00000000000000aa', { giveUpAfterMs: 1 }), { code: 'AC_API_UNREACHABLE' });
});

t.test('a client has 32 reads in flight and the others wait, but not for output that is to come', async (t) => {
  let [held, reading, most] = [0, 0, 0];
  const never = new Promise<void>(() => undefined);
  const { opened: answered, open: answerAll } = gate();
  const app = new ScriptedApp()
    .get('/api/tasks/:id/output/wait', async (c) => {
      held += 1;
      await never;
      return c.json({});
    })
    .get('/api/tasks/:id', async (c) => {
      reading += 1;
      most = Math.max(most, reading);
      if (reading === 32) setTimeout(answerAll, MORE_WOULD_ARRIVE_MS);
      await answered;
      reading -= 1;
      return c.json({ status: 'queued' });
    });
  const { tasks } = hubClient({ url: (await listening(t, app)).url });
  const controller = new AbortController();
  const waiting = Array.from({ length: 40 }, () => tasks.waitForOutput('task-00000000000000aa', 0, controller.signal));
  const read = await Promise.all(Array.from({ length: 200 }, () => tasks.get('task-00000000000000aa')));
  t.strictSame([read.length, most, held], [200, 32, 40]);
  controller.abort();
  await Promise.allSettled(waiting);
});

t.test('one signal for many calls has one listener while they last, and none after that', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  let isAway = true;
  const app = new ScriptedApp()
    .get('/api/events', (c) => (isAway ? c.body('away', 503) : streamOf(c, sse(1, 'completed'))))
    .get('/api/tasks/:id', async (c) => {
      await sleep(20);
      return c.json({ status: 'completed' });
    });
  const { tasks, events } = hubClient({ url: (await listening(t, app)).url });
  const { signal } = new AbortController();
  const listeners = (): number => getEventListeners(signal, 'abort').length;
  const streams = Array.from({ length: 20 }, () => events({ signal }));
  const first = streams.map((stream) => stream.next());
  const taskId = 'task-00000000000000aa';
  const waits = Array.from({ length: 20 }, (_, n) => tasks.wait(taskId, n % 2 === 0 ? { signal, timeoutMs: 60_000 } : { signal }));
  const reads = Array.from({ length: 60 }, () => tasks.get(taskId, { signal }));
  await sleep(10);
  t.equal(listeners(), 1);
  isAway = false;
  await Promise.all([...first, ...waits, ...reads]);
  t.equal(listeners(), 1, 'the streams are open: each has handed out an event');
  await Promise.all(streams.map((stream) => stream.return()));
  t.equal(listeners(), 0);
  t.strictSame(warnings, []);
});
