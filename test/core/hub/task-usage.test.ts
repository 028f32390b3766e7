/** How a whole hub counts the usage of attempts, and passes their sessions on. */
import t from 'tap';
import type { TaskId } from '../../../core/domain/ids.ts';
import { totalOf } from '../../../core/domain/usage.ts';
import { taskRecordJson } from '../../../core/protocol/task-json.ts';
import { hubRig, type HubRig } from './hub-rig.ts';

const totals = async (rig: HubRig, id: TaskId) => totalOf((await rig.record(id)).task.usage);
const eventsOf = async (rig: HubRig, id: TaskId) =>
  (await rig.record(id)).events.flatMap(({ event, generation, details }) =>
    details?.['usage'] === undefined ? [] : [[event, generation, details['usage']]],
  );

t.test('J8: the usage of a task is that of all its attempts, each counted once', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const large = (tokens: number) => ({ models: [{ model: 'large', input_tokens: tokens }] });
  const report = (type: string, generation: number, more: object) => peer.send({ type, task_id: id, generation, ...more });

  await report('task_progress', 1, { tokens_used: 60, cost_usd: 0.25, ...large(60) });
  await report('task_progress', 1, { tokens_used: 100, cost_usd: 0.5, ...large(90) });
  await rig.pass(1_000);
  t.match(await totals(rig, id), { tokensUsed: 100, costUsd: 0.5 });
  const failed = { error: 'no', tokens_used: 110, cost_usd: 0.75, ...large(100) };
  await report('task_failed', 1, failed);
  await report('task_failed', 1, failed);
  t.match(await totals(rig, id), { tokensUsed: 110, costUsd: 0.75 }, 'a repeat counts once');

  await rig.pass(2_000);
  await report('task_released', 3, { reason: 'slow down', cause: 'rate_limited', retry_after_ms: 5_000, tokens_used: 5 });
  t.match(await totals(rig, id), { tokensUsed: 115 });
  await rig.pass(10_000);
  await report('task_complete', 5, { result: 'x', tokens_used: 30, cost_usd: 0.25, ...large(25) });
  t.match(await totals(rig, id), { tokensUsed: 145, costUsd: null, models: [{ model: 'large', inputTokens: 125 }] });
  t.same(await eventsOf(rig, id), [
    ['failed', 1, { tokens_used: 110, cost_usd: 0.75, models: [{ model: 'large', input_tokens: 100 }] }],
    ['released', 3, { tokens_used: 5 }],
    ['completed', 5, { tokens_used: 30, cost_usd: 0.25, models: [{ model: 'large', input_tokens: 25 }] }],
  ]);
});

t.test('J8: the totals of a task are marked incomplete if a started attempt reported no usage', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const attempts = async (wasWoken: boolean): Promise<unknown> => {
    const id = await rig.submit();
    if (wasWoken) await peer.send({ type: 'wake_result', task_id: id, generation: 1, status: 'success' });
    await peer.send({ type: 'task_failed', task_id: id, generation: 1, error: 'no' });
    await rig.pass(2_000);
    const untold = JSON.parse(taskRecordJson({ ...(await rig.record(id)) }, null)) as object;
    t.match(untold, { tokens_used: null, usage_incomplete: false }, 'no usage was reported');
    await peer.send({ type: 'task_complete', task_id: id, generation: 3, result: 'x', tokens_used: 30, cost_usd: 0.25 });
    return JSON.parse(taskRecordJson({ ...(await rig.record(id)) }, null));
  };
  t.match(await attempts(true), { tokens_used: 30, cost_usd: 0.25, usage_incomplete: true });
  t.match(
    await attempts(false),
    { tokens_used: 30, cost_usd: 0.25, usage_incomplete: false },
    'an attempt that never started used nothing',
  );
});

t.test('the usage of a revoked attempt is known up to its stop, and to its end if its sidecar reports it', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_progress', task_id: id, generation: 1, tokens_used: 40 });
  await rig.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' });
  await peer.send({ type: 'task_cancel_ack', task_id: id, generation: 1, outcome: 'killed', tokens_used: 70, cost_usd: 0.5 });
  t.match(await totals(rig, id), { tokensUsed: 70, costUsd: 0.5 });
  t.same(await eventsOf(rig, id), [
    ['stop_requested', 1, { tokens_used: 40 }],
    ['stop_confirmed', 1, { tokens_used: 70, cost_usd: 0.5 }],
  ]);

  const lost = await rig.submit({ maxRetries: 0 });
  await peer.send({ type: 'task_progress', task_id: lost, generation: 1, tokens_used: 8 });
  await peer.cut();
  await (await peer.reconnect()).identify();
  t.same(await eventsOf(rig, lost), [['lost', 1, { tokens_used: 8 }]]);
});

t.test('the usage of a late result is counted, and so is usage reported by a version 1 agent', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 1_000 } });
  const one = await rig.peer('a1');
  await one.identify();
  const id = await rig.submit({ assignTo: 'a1' as never });
  await one.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await one.cut();
  await rig.pass(2_000);
  const back = await one.reconnect();
  await back.identify({ held: [{ task_id: id, generation: 1, status: 'reporting' }], checks: { ok: false } });
  await back.send({ type: 'task_complete', task_id: id, generation: 1, result: 'late', tokens_used: 12 });
  t.equal((await rig.record(id)).events.at(-1)?.event, 'late_result');
  t.match(await totals(rig, id), { tokensUsed: 12 });
  const old = await rig.peer('v1');
  await old.identify({ protocol_version: 1, instance_id: undefined, held: undefined, capabilities: ['old'] });
  await rig.pass(6_000);
  const other = await rig.submit({ neededCapabilities: ['old'] });
  await old.send({ type: 'task_complete', task_id: other, generation: 1, result: { tokens_used: 9 }, models: 5, session_id: 7, cause: [] });
  t.match(await totals(rig, other), { tokensUsed: 9 }, 'and fields unknown to version 1 are ignored');
});

t.test('a session is passed only to the next attempt on the same machine', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 10_000_000 } });
  const one = await rig.peer('a1');
  await one.identify();
  const id = await rig.submit();
  t.notOk('session_id' in (one.newFrames().at(-1) ?? {}), 'the first has none');
  await one.send({ type: 'task_progress', task_id: id, generation: 1, session_id: 'ses-1' });
  await one.send({ type: 'task_failed', task_id: id, generation: 1, error: 'no' });
  one.newFrames();
  await rig.pass(2_000);
  t.match(one.newFrames(), [{ type: 'task_assign', generation: 3, session_id: 'ses-1' }]);

  // The same identity on another machine has no such session.
  await one.send({ type: 'task_failed', task_id: id, generation: 3, error: 'no' });
  await one.cut();
  const moved = await one.reconnect();
  await moved.identify({ instance_id: 'machine-2' });
  await rig.pass(5_000);
  const [assign] = moved.newFrames().filter(({ type }) => type === 'task_assign');
  t.match(assign, { generation: 5 });
  t.notOk('session_id' in (assign ?? {}));
  t.equal((await rig.record(id)).task.session, null, 'and the session of the previous machine is dropped');
});
