/**
 * Version 1 does not keep results until they are acknowledged: what is lost with a connection ends its attempt, and
 * never runs again under the same generation.
 */
import t from 'tap';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import { hubRig, type HubRig, type Peer, type RigOptions } from '../hub-rig.ts';

const V1 = { protocol_version: 1, instance_id: undefined, held: undefined, status: 'idle' };

async function atWork(
  options: RigOptions & { readonly maxRetries?: number; readonly runMaxMs?: number } = {},
): Promise<{ rig: HubRig; peer: Peer; id: TaskId }> {
  const rig = await hubRig({ ...options, timing: { reconnectGraceMs: 180_000, ...options.timing } });
  // Silence counts from here on.
  await rig.pass(181_000);
  const peer = await rig.peer('a1');
  await peer.identify(V1);
  await rig.pass(6_000);
  const id = await rig.submit({ maxRetries: options.maxRetries ?? 3, runMaxMs: options.runMaxMs ?? null });
  await peer.send({ type: 'task_accepted', task_id: id });
  peer.newFrames();
  return { rig, peer, id };
}

t.test('R6, R12: an accepted task that a returning version 1 agent does not mention is lost, and uses up a retry', async (t) => {
  const { rig, peer, id } = await atWork({ maxRetries: 1 });
  await peer.cut();
  await rig.pass(4_000);
  const back = await peer.reconnect();
  await back.identify(V1);
  await rig.pass(5_100);
  const { task, events } = await rig.record(id);
  t.match(
    events.findLast(({ event }) => event === 'lost'),
    { generation: 1, details: { reason: 'not_held' } },
  );
  t.match(task, { retryCount: 1 });
  await rig.pass(2_000);
  t.match(
    back.newFrames().filter(({ type }) => type === 'task_assign'),
    [{ task_id: id, generation: 3 }],
    'a new generation for a new run',
  );
  await back.send({ type: 'task_accepted', task_id: id });
  await back.cut();
  const third = await back.reconnect();
  await third.identify(V1);
  await rig.pass(10_000);
  t.match((await rig.record(id)).task, { status: 'dead_letter', deadReason: 'retries_spent' });
  t.same(
    third.newFrames().filter(({ type }) => type === 'task_assign'),
    [],
    'two runs for max_retries 1',
  );
});

t.test('R12: a result over the frame limit fails its attempt as result_too_large, and ends when retries are spent', async (t) => {
  const { rig, peer, id } = await atWork({ maxRetries: 1 });
  const big = { type: 'task_complete', task_id: id, generation: 1, result: 'x'.repeat(rig.context.limits.frameBytes) };
  await peer.send(big);
  t.equal(peer.closed(), 1009);
  const { task, events } = await rig.record(id);
  t.match(task, { status: 'queued', retryCount: 1 });
  t.match(
    events.findLast(({ event }) => event === 'failed'),
    {
      generation: 1,
      details: { kind: 'result_too_large', error: /over the limit of 1048576 bytes.*limits\.frameBytes/ },
    },
  );
  const back = await peer.reconnect();
  await back.identify(V1);
  await rig.pass(6_000);
  t.match(back.newFrames().at(-1), { type: 'task_assign', task_id: id, generation: 3 });
  await back.send({ type: 'task_accepted', task_id: id });
  await back.send({ ...big, generation: 3 });
  t.match((await rig.record(id)).task, { status: 'dead_letter', retryCount: 2, lastError: /over the limit/ });
});

t.test('an oversized frame fails nothing if no task is accepted, or from a version 2 agent that is still working', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const big = { type: 'task_complete', task_id: id, generation: 1, result: 'x'.repeat(rig.context.limits.frameBytes) };
  await peer.send({ type: 'message', payload: 'x'.repeat(rig.context.limits.frameBytes) });
  t.equal(peer.closed(), 1009);
  t.equal(await rig.summary(id), 'assigned 1: submitted eligible assigned accepted', 'version 2 retains an unanswered result');
  const back = await peer.reconnect();
  await back.identify({ held: [{ task_id: id, generation: 1, status: 'reporting' }] });
  await back.send(big);
  t.match((await rig.record(id)).events.at(-1), { event: 'failed', details: { kind: 'result_too_large' } }, 'it was reporting that task');
});

t.test('R16: reconnects do not extend a run: v1RunMaxMs and run_max_ms keep counting', async (t) => {
  for (const limit of ['v1RunMaxMs', 'run_max_ms'] as const) {
    const options = limit === 'run_max_ms' ? { runMaxMs: 30_000 } : { timing: { v1RunMaxMs: 100_000, leaseMs: 60_000 } };
    const { rig, peer, id } = await atWork({ ...options, maxRetries: 0 });
    let open = peer;
    const endsWithinMs = limit === 'run_max_ms' ? 30_000 + 25_000 + 10_000 : 100_000 + 180_000 + 10_000;
    for (let ms = 0; ms < endsWithinMs; ms += 5_000) {
      await open.cut();
      await rig.pass(2_000);
      open = await open.reconnect();
      await open.identify(V1);
      await open.send({ type: 'state_report', task_id: id, generation: 1, status: 'working', assigned_at: 1 });
      await rig.pass(3_000);
      await open.send({ type: 'ping' });
    }
    t.match((await rig.record(id)).task, { status: 'dead_letter' }, `${limit} ends it`);
    await rig.stop();
  }
});

t.test('R15: a version 1 run over its limit ends by lease expiry, not by an absence shorter than the grace period', async (t) => {
  for (const [leftAtMs, reason] of [
    [90_000, 'disconnected'],
    [140_000, 'lease_expired'],
  ] as const) {
    const { rig, peer, id } = await atWork({ timing: { v1RunMaxMs: 100_000, leaseMs: 60_000 }, maxRetries: 0 });
    for (let ms = 0; ms < leftAtMs; ms += 10_000) {
      await rig.pass(10_000);
      await peer.send({ type: 'ping' });
    }
    await peer.cut();
    await rig.pass(reason === 'disconnected' ? 182_000 : 15_000);
    t.match(
      (await rig.record(id)).events.find(({ event }) => event === 'lost'),
      { details: { reason } },
      `left ${leftAtMs} ms after its accept`,
    );
    await rig.stop();
  }
});

t.test('R16: a version 2 run over its limit ends within one more grace period, however often its sidecar reconnects', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  let peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit({ runMaxMs: 30_000, maxRetries: 0 });
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  for (let ms = 0; ms < 30_000 + 25_000 + 180_000 + 30_000; ms += 10_000) {
    await peer.cut();
    await rig.pass(5_000);
    peer = await peer.reconnect();
    await peer.identify({ held: [{ task_id: id, generation: 1, status: 'working' }] });
    await rig.pass(5_000);
  }
  t.match((await rig.record(id)).task, { status: 'dead_letter' });
  t.match(
    (await rig.record(id)).events.find(({ event }) => event === 'lost'),
    { details: { reason: 'run_limit' } },
  );
});

t.test('a version 1 report still waiting for the store when its deadline passes counts', async (t) => {
  const { rig, peer, id } = await atWork();
  await peer.cut();
  const back = await peer.reconnect();
  await back.identify(V1);
  await rig.pass(4_990);
  const before = rig.queue.post.bind(rig.queue);
  const waiting: (() => void)[] = [];
  rig.queue.post = ((command, settled) => {
    if (command.kind === 'recover') waiting.push(() => before(command, settled));
    else before(command, settled);
  }) as typeof before;
  await back.send({ type: 'state_report', task_id: id, generation: 1, status: 'working', assigned_at: 1 });
  await rig.pass(5_000);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 }, 'its report is still on the way');
  for (const go of waiting) go();
  await rig.pass(10_000);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
  const agent = await rig.storage.agents.getAgent('a1' as AgentId);
  t.equal(agent?.live.length, 1);
});
