/** Cancels, reclaims and stops of a worker. */
import { once } from 'node:events';
import t from 'tap';
import { TaskAborted, worker, type WorkerOptions } from '../../../apps/worker/index.ts';
import { tcpProxy } from '../../durability/tcp-proxy.ts';
import { gate } from '../../rig/gate.ts';
import { workerRoom } from './worker-room.ts';

/** Works until it is stopped. */
const untilStopped: WorkerOptions['handle'] = async (_task, { signal }) => {
  await once(signal, 'abort');
};

t.test('a cancel aborts the signal, and is confirmed when the handler has settled', async (t) => {
  const room = await workerRoom(t);
  const started = gate();
  const aborted = gate<unknown>();
  const settle = gate();
  await room.worker({
    handle: async (_task, { signal }) => {
      started.open();
      await once(signal, 'abort');
      aborted.open(signal.reason);
      await settle.opened;
      signal.throwIfAborted();
    },
  });
  const id = await room.submit({ description: 'x' });
  await started.opened;
  t.equal((await room.hub.api.tasks.cancel(id)).status, 'cancelled');
  const reason = await aborted.opened;
  t.ok(reason instanceof TaskAborted && reason instanceof Error);
  t.match(reason, { name: 'AbortError', graceMs: 1_000, message: /^The task was stopped: / });
  t.equal((await room.hub.api.agents.get('w1')).status, 'stopping', 'not confirmed yet');
  settle.open();
  await room.event(id, 'stop_confirmed');
  t.equal((await room.hub.api.tasks.get(id)).status, 'cancelled');
});

t.test('the hub refuses a result sent after the cancel', async (t) => {
  const room = await workerRoom(t);
  const started = gate();
  const { saw } = await room.worker({
    handle: async (task, { signal }) => {
      if (task.description === 'after') return 'after';
      started.open();
      await once(signal, 'abort');
      return { late: true };
    },
  });
  const id = await room.submit({ description: 'x' });
  await started.opened;
  await room.hub.api.tasks.cancel(id);
  t.match(await room.done({ description: 'after' }), { status: 'completed', result: { output: 'after' } });
  const task = await room.hub.api.tasks.get(id);
  t.match(task, { status: 'cancelled', result: null });
  const refused = { type: 'refused', fence: { taskId: id, generation: 1, token: `${id}.g1` }, result: { late: true } };
  t.match(await saw('refused'), { ...refused, reason: /^[a-z_]+$/ }, 'and the worker hands it out');
});

t.test('a handler that never settles occupies its own slot only', async (t) => {
  const room = await workerRoom(t, { killGraceMs: 50 });
  const started = gate();
  const worker = await room.worker({
    slots: 2,
    handle: async (task) => {
      if (task.description === 'works') return 'worked';
      started.open();
      await new Promise(() => undefined);
      return undefined;
    },
  });
  const id = await room.submit({ description: 'hangs' });
  await started.opened;
  await room.hub.api.tasks.cancel(id);
  t.match(await worker.saw('stop_overdue'), { fence: { taskId: id }, waitedMs: 50 });
  t.equal((await room.done({ description: 'works' })).status, 'completed');
  t.equal((await room.done({ description: 'works' })).status, 'completed');
  t.match(await room.hub.api.agents.get('w1'), { pending_stops: 1 }, 'the hub counts the slot as taken');
});

t.test('stop: running handlers may finish, and no new task starts', async (t) => {
  const room = await workerRoom(t);
  const started = gate();
  const go = gate();
  const worker = await room.worker({
    slots: 2,
    drainMs: 30_000,
    handle: async () => {
      started.open();
      await go.opened;
      return 'ended';
    },
  });
  const id = await room.submit({ description: 'x' });
  await started.opened;
  const stopping = worker.stop();
  t.equal(worker.stop(), stopping, 'stopping twice is the same as once');
  for await (const { event } of room.hub.api.events({ lastEventId: '0' })) if (event === 'agent_draining') break;
  const later = await room.submit({ description: 'later' });
  go.open();
  await stopping;
  await worker.finished;
  t.match(await room.hub.api.tasks.get(id), { status: 'completed', result: { output: 'ended' } });
  t.equal((await room.hub.api.tasks.get(later)).status, 'queued');
  await worker.saw('disconnected');
});

t.test('stop: a handler that runs too long is aborted, and its task is handed back without using a retry', async (t) => {
  const room = await workerRoom(t);
  const started = gate();
  const worker = await room.worker({
    drainMs: 0,
    handle: (task, context) => {
      started.open();
      return untilStopped(task, context);
    },
  });
  const done = room.done({ description: 'x', max_retries: 0 });
  await started.opened;
  await worker.stop();
  await room.worker({ agentId: 'w2', handle: () => 'by the other' });
  t.match(await done, { status: 'completed', result: { output: 'by the other' }, generation: 3 });
});

t.test('when a worker is away too long, another completes its task, and its own result is refused', async (t) => {
  const room = await workerRoom(t, { quietAfterStartMs: 0, reconnectGraceMs: 2_000 });
  const proxy = await tcpProxy(t, Number(new URL(room.hub.url).port));
  const started = gate();
  const go = gate();
  const aborted = gate();
  const refused = gate<unknown>();
  const away = await room.worker({
    agentId: 'away',
    log: { warn: (message, { reason }) => message === 'the hub refused a report' && refused.open(reason) },
    hub: `http://127.0.0.1:${proxy.port}`,
    handle: async (_task, { signal }) => {
      started.open();
      signal.addEventListener('abort', () => aborted.open());
      await go.opened;
      return 'stale';
    },
  });
  const done = room.done({ description: 'x' });
  await started.opened;
  await proxy.refuse();
  await away.saw('disconnected');
  await room.worker({ agentId: 'here', handle: () => 'fresh' });
  t.match(await done, { status: 'completed', result: { output: 'fresh' } });
  await proxy.restore();
  await aborted.opened;
  go.open();
  const { id } = await done;
  t.equal(await refused.opened, 'stale_generation');
  t.match(await room.hub.api.tasks.get(id), { status: 'completed', result: { output: 'fresh' } });
});

t.test('ready resolves when a worker stops that no hub has identified', async (t) => {
  const room = await workerRoom(t);
  const options = { token: 'not-a-token-of-this-hub', agentId: 'w1', handle: untilStopped, log: {} };
  for (const hub of ['http://127.0.0.1:1', room.hub.url]) {
    const running = worker({ ...options, hub });
    await running.stop();
    await running.ready;
    await running.finished;
  }
});
