/** How time affects assignments: deadlines, disconnects, quiet periods, jumps; with a whole hub and a virtual clock. */
import t from 'tap';
import type { AgentId, Generation } from '../../../../core/domain/ids.ts';
import { aTaskId } from '../../../product/contracts/fixtures.ts';
import { hubRig } from '../hub-rig.ts';

t.test('an assignment that is not accepted goes to another agent, and uses up no retry', async (t) => {
  const rig = await hubRig({ timing: { acceptMs: 10_000 } });
  const one = await rig.peer('a1');
  const two = await rig.peer('a2');
  await one.identify();
  const id = await rig.submit();
  await two.identify();
  await rig.pass(9_999);
  t.equal((await rig.record(id)).task.assignedTo, 'a1');
  await rig.pass(2_000);
  t.match((await rig.record(id)).task, { assignedTo: 'a2', generation: 3, retryCount: 0 });
  t.match(one.newFrames().at(-1), { type: 'task_cancelled', task_id: id, generation: 1, reason: 'reclaimed' });
});

t.test('R16: a lease lasts while progress renews it; without progress the attempt is lost', async (t) => {
  const rig = await hubRig({ timing: { leaseMs: 10_000, heartbeatMs: 1_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const name = { task_id: id, generation: 1 };
  await peer.send({ type: 'task_accepted', ...name });
  for (let n = 0; n < 5; n += 1) {
    await rig.pass(8_000);
    await peer.send({ type: 'task_progress', ...name });
  }
  t.equal((await rig.record(id)).task.generation, 1, 'forty seconds on a lease of ten');
  await rig.pass(10_001);
  t.match(await rig.summary(id), /lost stop_requested/);
  t.equal((await rig.record(id)).task.retryCount, 1);
  await peer.send({ type: 'task_complete', ...name, result: { ok: true } });
  t.match(peer.newFrames().at(-1), { type: 'task_ack', ...name, status: 'late' }, 'not assigned since: late, not lost');
  t.match((await rig.record(id)).events.at(-1), { event: 'late_result', details: { result: '{"ok":true}' } });
});

t.test('R15 J7: an absence shorter than the grace period costs nothing, a longer one costs the assignment', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 20_000, acceptMs: 5_000, leaseMs: 5_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  await rig.pass(20_001); // The quiet period after the start would keep it as well.
  const id = await rig.submit();
  const name = { task_id: id, generation: 1 };
  await peer.send({ type: 'task_accepted', ...name });
  await peer.cut();
  await rig.pass(19_000);
  t.equal((await rig.record(id)).task.status, 'assigned', 'disconnected longer than its lease, shorter than the grace period');
  const back = await peer.reconnect();
  t.match((await back.identify({ held: [{ ...name, status: 'working' }] }))[0], { held: [{ action: 'continue' }] });
  await back.send({ type: 'task_progress', ...name });
  t.match((await rig.record(id)).task, { generation: 1, retryCount: 0 });
  await back.cut();
  await rig.pass(20_001);
  t.match(
    (await rig.record(id)).events.find((event) => event.event === 'lost'),
    { details: { reason: 'disconnected' } },
  );
  const late = await peer.reconnect();
  const frames = await late.identify({ held: [{ ...name, status: 'working' }] });
  t.match(frames[0], { held: [{ ...name, action: 'abort', reason: 'stale_generation' }] });
});

t.test('the slots of an absent agent are free after the grace period, even with unconfirmed stops', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 20_000, sweepMs: 5_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.queue.do({ kind: 'cancel', taskId: id, by: 'op' });
  await peer.cut();
  await rig.pass(15_000);
  t.equal((await rig.storage.agents.getAgent('a1' as AgentId))?.pendingStops, 1);
  await rig.pass(10_000);
  t.equal((await rig.storage.agents.getAgent('a1' as AgentId))?.pendingStops, 0);
  t.match((await rig.record(id)).events.at(-1), { event: 'stop_confirmed', details: { outcome: 'agent_away' } });
});

t.test('R15 J7: nothing is reclaimed for silence in the quiet period after a start', async (t) => {
  const rig = await hubRig({ timing: { quietAfterStartMs: 100_000, acceptMs: 10_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await rig.pass(30_000);
  t.equal((await rig.record(id)).task.generation, 1);
  await rig.pass(71_000);
  t.match(await rig.summary(id), /reclaimed/);
});

t.test('R15: a jump of the wall clock reclaims nothing early', async (t) => {
  const rig = await hubRig({ timing: { quietAfterStartMs: 60_000, leaseMs: 100_000, sweepMs: 10_000, heartbeatMs: 1_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.pass(70_000);
  rig.clock.jumpWall(3_600_000);
  await rig.pass(20_000);
  t.equal((await rig.record(id)).task.generation, 1, 'its lease seems expired by an hour');
  await peer.send({ type: 'task_progress', task_id: id, generation: 1 });
  await rig.pass(60_000);
  t.equal((await rig.record(id)).task.generation, 1, 'it sent progress within the quiet period');
});

t.test('run_at, ttl and complete_by', async (t) => {
  const rig = await hubRig();
  const nowMs = rig.clock.nowMs();
  const later = await rig.submit({ runAtMs: nowMs + 5_000 });
  const short = await rig.submit({ ttlMs: 3_000 });
  const bound = await rig.submit({ completeByMs: nowMs + 20_000 });
  await rig.pass(4_000);
  t.equal(await rig.summary(short), 'dead_letter 0: submitted eligible expired dead_lettered');
  t.equal((await rig.record(later)).task.status, 'scheduled');
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 2 });
  await rig.pass(2_000);
  t.match(await rig.summary(later), /^assigned 1: submitted scheduled eligible assigned/);
  await peer.send({ type: 'task_accepted', task_id: bound, generation: 1 });
  await rig.pass(15_000);
  t.match(await rig.record(bound), { task: { status: 'dead_letter', deadReason: 'deadline', retryCount: 0 } });
  t.match(peer.newFrames().at(-1), { type: 'task_cancelled', task_id: bound, generation: 1, reason: 'deadline' });
});

t.test('R16: a task past its ttl is never assigned, even while the sweep that ends it waits behind reports', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const short = await rig.submit({ ttlMs: 3_000 });
  const from = { agentId: 'a1' as AgentId, session: (await rig.storage.agents.getAgent('a1' as AgentId))?.agent.sessionNumber ?? 0 };
  const generation = 1 as Generation;
  const flood = { kind: 'report', from, taskId: aTaskId(1), generation, body: { report: 'accepted' } } as const;
  for (let n = 0; n < 200; n += 1) rig.queue.post(flood, () => undefined, true);
  rig.clock.advance(3_500);
  const body = { report: 'complete', result: '1', details: null, tokensUsed: null, costUsd: null } as const;
  await rig.queue.do({ kind: 'report', from, taskId: first, generation, body });
  t.equal(await rig.summary(short), 'queued 0: submitted eligible', 'the sweep still waits');
  for (let n = 0; n < 40; n += 1) await rig.pass(100);
  t.equal(await rig.summary(short), 'dead_letter 0: submitted eligible expired dead_lettered');
});

t.test('R12: a failed task returns after its backoff, to another agent if one has room, and ends as a dead letter', async (t) => {
  const rig = await hubRig();
  const one = await rig.peer('a1');
  await one.identify();
  const id = await rig.submit({ maxRetries: 1 });
  await one.send({ type: 'task_failed', task_id: id, generation: 1, error: 'boom' });
  t.match(one.newFrames().at(-1), { type: 'task_ack', status: 'retried' });
  const two = await rig.peer('a2');
  await two.identify();
  await rig.pass(1_500);
  t.match(two.newFrames().at(-1), { type: 'task_assign', task_id: id, generation: 3 });
  await two.send({ type: 'task_failed', task_id: id, generation: 3, error: 'boom again' });
  t.match(two.newFrames(), [{ type: 'task_ack', status: 'dead_letter' }]);
  t.match((await rig.record(id)).task, { status: 'dead_letter', lastError: 'boom again', retryCount: 2 });
  t.match(await rig.queue.do({ kind: 'retry', taskId: id, by: 'op' }), { kind: 'done' });
  await rig.pass(0);
  t.match((await rig.record(id)).task, { status: 'assigned', round: 2, retryCount: 0, generation: 6 });
});

t.test('R13: three tasks in a row lost by one machine pause it, and the others do the work', async (t) => {
  const rig = await hubRig();
  const sick = await rig.peer('sick');
  await sick.identify({ slots: 3 });
  const ids = [await rig.submit(), await rig.submit(), await rig.submit()];
  for (const id of ids)
    await sick.send({ type: 'task_failed', task_id: id, generation: 1, error: 'wake_failed_after_3_attempts', kind: 'wake_failed' });
  await rig.pass(30_000);
  t.match(await rig.storage.agents.getAgent('sick' as AgentId), { agent: { brokenReason: /wake_failed_after_3_attempts/ } });
  for (const id of ids) t.equal((await rig.record(id)).task.status, 'queued', 'the failing machine gets nothing');
  const well = await rig.peer('well');
  t.equal((await well.identify({ slots: 3 })).filter((frame) => frame.type === 'task_assign').length, 3);
});

t.test('a dependent waits for all its dependencies, and runs when the last one completes', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  const second = await rig.submit();
  const both = await rig.submit({ dependsOn: [first, second] });
  t.equal((await rig.record(both)).task.status, 'blocked');
  await peer.send({ type: 'task_complete', task_id: first, generation: 1, result: 1 });
  t.equal((await rig.record(both)).task.status, 'blocked');
  await peer.send({ type: 'task_complete', task_id: second, generation: 1, result: 1 });
  t.equal(await rig.summary(both), 'assigned 1: submitted blocked eligible assigned');
});

t.test('R16: many tasks that no agent can run do not hide the one that can run', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  for (let n = 0; n < 50; n += 1) await rig.submit({ neededCapabilities: ['gpu'], priority: 'urgent' });
  const plain = await rig.submit({ priority: 'low' });
  t.match(peer.newFrames().at(-1), { type: 'task_assign', task_id: plain });
});
