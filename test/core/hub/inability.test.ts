/** Agents that can do nothing now: for want of a login, a setting or an allowance, or because their checks fail. */
import t from 'tap';
import { explainWaiting } from '../../../core/domain/waiting.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { agentJson } from '../../../core/protocol/agent-json.ts';
import { hubRig, type HubRig } from './hub-rig.ts';

const calm = { timing: { heartbeatMs: 10_000_000 } };
const status = async (rig: HubRig, id: TaskId) => (await rig.record(id)).task.status;
const shown = async (rig: HubRig, agentId: string) => {
  const row = await rig.storage.agents.getAgent(agentId as AgentId);
  if (row === undefined) throw new Error(`no agent ${agentId}`);
  return agentJson(row, rig.clock.nowMs());
};
const waitsFor = async (rig: HubRig, id: TaskId) => {
  const rows = await rig.storage.agents.listAgents({ limit: 10 });
  const loads = rows.map(({ agent, live, pendingStops }) => ({ agent, liveCount: live.length, stopCount: pendingStops }));
  return explainWaiting((await rig.record(id)).task, [], loads, rig.clock.nowMs());
};
const stand = (rig: HubRig, change: 'resume' | 'check') => rig.queue.do({ kind: 'agent_standing', agentId: 'a1' as AgentId, change });

t.test('R13: a rate limited agent is parked until its time, shows it, and others take the work', async (t) => {
  const rig = await hubRig(calm);
  const one = await rig.peer('a1');
  await one.identify();
  const id = await rig.submit();
  await one.send({
    type: 'task_released',
    task_id: id,
    generation: 1,
    reason: 'the allowance is spent',
    cause: 'rate_limited',
    retry_after_ms: 600_000,
  });
  const untilMs = rig.clock.nowMs() + 600_000;
  t.match(await shown(rig, 'a1'), {
    status: 'paused',
    paused_cause: 'rate_limited',
    paused_until: untilMs,
    paused_reason: 'the allowance is spent',
  });
  t.match((await rig.record(id)).task, { retryCount: 0 }, 'no attempt is spent');
  await rig.pass(5_000);
  t.match(await waitsFor(rig, id), { reason: 'agent_paused', message: /is paused for 10 min \(the allowance is spent\)/, untilMs });

  const two = await rig.peer('a2');
  await two.identify();
  t.match((await rig.record(id)).task, { status: 'assigned', assignedTo: 'a2' });
  const next = await rig.submit();
  await rig.pass(untilMs - rig.clock.nowMs() - 1_000);
  t.equal(await status(rig, next), 'queued');
  await one.send({ type: 'runner_checks', ok: false, failed: [{ check: 'x', message: 'y' }] });
  await one.send({ type: 'runner_checks', ok: true });
  t.equal(await status(rig, next), 'queued', 'an allowance comes back with time alone, whatever a look says');
  await rig.pass(2_000);
  t.match((await rig.record(next)).task, { status: 'assigned', assignedTo: 'a1' });
});

t.test('R13: an operator ends a pause', async (t) => {
  const rig = await hubRig(calm);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({
    type: 'task_released',
    task_id: id,
    generation: 1,
    reason: 'slow down',
    cause: 'rate_limited',
    retry_after_ms: 86_400_000,
  });
  await rig.pass(5_000);
  t.equal(await status(rig, id), 'queued');
  await stand(rig, 'resume');
  await rig.pass(1);
  t.equal(await status(rig, id), 'assigned');
  t.match(await shown(rig, 'a1'), { paused_until: null, paused_reason: null, paused_cause: null });
});

t.test('R13: without a login an agent burns no retry, is tried ever more rarely, and goes on when its checks pass again', async (t) => {
  const rig = await hubRig(calm);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const pauses: number[] = [];
  for (const generation of [1, 3, 5]) {
    await peer.send({ type: 'task_released', task_id: id, generation, reason: 'not logged in', cause: 'auth' });
    const untilMs = (await shown(rig, 'a1'))['paused_until'] as number;
    pauses.push(untilMs - rig.clock.nowMs());
    if (generation < 5) await rig.pass(pauses.at(-1) ?? 0);
  }
  t.same(pauses, [60_000, 120_000, 240_000]);
  t.match((await rig.record(id)).task, { retryCount: 0, status: 'queued' });
  await rig.pass(20_000);
  await peer.send({ type: 'runner_checks', ok: false, failed: [{ check: 'logged in', message: 'run claude login' }] });
  t.match(await waitsFor(rig, id), { reason: 'agent_paused', message: /is paused until its checks pass \(logged in: run claude login\)/ });
  t.equal((await waitsFor(rig, id))?.untilMs, undefined);
  await rig.pass(600_000);
  t.equal(await status(rig, id), 'queued', 'failing checks have no end by themselves');
  await peer.send({ type: 'runner_checks', ok: true, passed: [{ check: 'logged in', message: 'as somebody' }] });
  t.equal(await status(rig, id), 'assigned');
  t.match(await shown(rig, 'a1'), { checks: { ok: true, failed: [], passed: [{ check: 'logged in' }] } });
  await peer.send({ type: 'task_complete', task_id: id, generation: 7, result: 'x' });
  t.equal((await rig.storage.agents.getAgent('a1' as AgentId))?.agent.pauses, 0, 'what works again begins anew');
});

t.test('R13: a failure after work is an attempt, and its cause pauses the agent all the same', async (t) => {
  const rig = await hubRig(calm);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_failed', task_id: id, generation: 1, error: 'too many', cause: 'rate_limited', retry_after_ms: 30_000 });
  t.match((await rig.record(id)).task, { retryCount: 1 });
  t.match((await rig.record(id)).events.at(-1), {
    event: 'failed',
    details: { cause: 'rate_limited', retry_after_ms: 30_000, kind: 'agent_failed' },
  });
  await rig.pass(20_000);
  t.equal(await status(rig, id), 'queued');
  await rig.pass(11_000);
  t.equal(await status(rig, id), 'assigned');
});

t.test('R13: an agent whose checks fail when it identifies is given nothing, not for a moment', async (t) => {
  const rig = await hubRig(calm);
  const id = await rig.submit();
  const peer = await rig.peer('a1');
  const failed = [{ check: 'program', message: 'there is no claude' }];
  const came = await peer.identify({ checks: { ok: false, failed } });
  t.same(
    came.map(({ type }) => type),
    ['identified'],
  );
  t.match(await shown(rig, 'a1'), { status: 'paused', paused_cause: 'checks', checks: { ok: false, failed } });
  // Said with a ping, should the word itself have got lost.
  await peer.send({ type: 'ping', draining_reason: null, checks: { ok: true } });
  t.equal(await status(rig, id), 'assigned');

  const next = await rig.submit();
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: 'x' });
  await peer.send({ type: 'ping', draining_reason: null, checks: { ok: false } });
  t.match(await shown(rig, 'a1'), { paused_reason: 'runner: its checks fail; it does not say which' });
  t.ok(next);
});

t.test('an operator may ask an agent to look at once', async (t) => {
  const rig = await hubRig(calm);
  const peer = await rig.peer('a1');
  await peer.identify();
  peer.news();
  await stand(rig, 'check');
  await rig.pass(1);
  t.same(peer.news(), [{ type: 'check' }]);
  const back = await peer.again();
  t.same(
    (await back.identify()).map(({ type }) => type),
    ['identified'],
    'a new session is not asked for an old order',
  );
});
