/** Agents that currently cannot run anything: because of a login, a setting or a rate limit, or because their checks fail. */
import t from 'tap';
import { explainWaiting } from '../../../core/domain/waiting/waiting-for.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { agentJson } from '../../../core/protocol/agent-json.ts';
import { hubRig, type HubRig } from './hub-rig.ts';

const NO_HEARTBEATS = { timing: { heartbeatMs: 10_000_000 } };
const status = async (rig: HubRig, id: TaskId) => (await rig.record(id)).task.status;
const shown = async (rig: HubRig, agentId: string) => {
  const row = await rig.storage.agents.getAgent(agentId as AgentId);
  if (row === undefined) throw new Error(`no agent ${agentId}`);
  return agentJson(row, rig.clock.nowMs());
};
const waitsFor = async (rig: HubRig, id: TaskId) => {
  const rows = await rig.storage.agents.listAgents({ limit: 10 });
  const loads = rows.map(({ agent, live, pendingStops }) => ({ agent, liveCount: live.length, stopCount: pendingStops }));
  return explainWaiting((await rig.record(id)).task, { dependencies: [], agents: loads, nowMs: rig.clock.nowMs() });
};
/** Advances time until the task is assigned again. */
async function nextAssignment(rig: HubRig, id: TaskId): Promise<number> {
  for (let seconds = 0; seconds < 700 && (await status(rig, id)) !== 'assigned'; seconds += 1) await rig.pass(1_000);
  return (await rig.record(id)).task.generation;
}
const control = (rig: HubRig, change: 'drain' | 'resume' | 'check') =>
  rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change });

t.test('R13: a rate limited agent is paused until its retry time and shows it, and other agents take the work', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await rig.peer('a1');
  await one.identify();
  const id = await rig.submit();
  await one.send({
    type: 'task_released',
    task_id: id,
    generation: 1,
    reason: 'the quota is used up',
    cause: 'rate_limited',
    retry_after_ms: 600_000,
  });
  const untilMs = rig.clock.nowMs() + 600_000;
  t.match(await shown(rig, 'a1'), {
    status: 'paused',
    paused_cause: 'rate_limited',
    paused_until: untilMs,
    paused_reason: 'the quota is used up',
  });
  t.match((await rig.record(id)).task, { retryCount: 0 }, 'no attempt is used up');
  await rig.pass(5_000);
  t.match(await waitsFor(rig, id), { reason: 'agent_paused', message: /is paused for 10 min \(the quota is used up\)/, untilMs });

  const two = await rig.peer('a2');
  await two.identify();
  t.match((await rig.record(id)).task, { status: 'assigned', assignedTo: 'a2' });
  const next = await rig.submit();
  await rig.pass(untilMs - rig.clock.nowMs() - 1_000);
  t.equal(await status(rig, next), 'queued');
  await one.send({ type: 'runner_checks', ok: false, failed: [{ check: 'x', message: 'y' }] });
  await one.send({ type: 'runner_checks', ok: true });
  t.equal(await status(rig, next), 'queued', 'only time restores a quota, whatever the checks report');
  await rig.pass(2_000);
  t.match((await rig.record(next)).task, { status: 'assigned', assignedTo: 'a1' });
});

t.test('R13: an operator ends a pause', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
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
  await control(rig, 'resume');
  await rig.pass(1);
  t.equal(await status(rig, id), 'assigned');
  t.match(await shown(rig, 'a1'), { paused_until: null, paused_reason: null, paused_cause: null });
});

t.test('R13: an agent without a login uses up no retry, is tried less and less often, and resumes when its checks pass', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
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
  t.equal(await status(rig, id), 'queued', 'failing checks do not expire');
  await peer.send({ type: 'runner_checks', ok: true, passed: [{ check: 'logged in', message: 'as somebody' }] });
  t.equal(await status(rig, id), 'assigned');
  t.match(await shown(rig, 'a1'), { checks: { ok: true, failed: [], passed: [{ check: 'logged in' }] } });
  await peer.send({ type: 'task_complete', task_id: id, generation: 7, result: 'x' });
  t.equal((await rig.storage.agents.getAgent('a1' as AgentId))?.agent.pauses, 0, 'success resets the count of pauses');
});

t.test('R13: a failure after work uses up a retry, and its cause still pauses the agent', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
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

t.test('R13: a model outage pauses the agent for longer and longer and uses up no retry, however long it lasts', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit({ maxRetries: 0 });
  const pauses: number[] = [];
  for (let probes = 0; probes < 20; probes += 1) {
    const generation = await nextAssignment(rig, id);
    await peer.send({ type: 'task_accepted', task_id: id, generation });
    await peer.send({ type: 'task_released', task_id: id, generation, reason: '503', cause: 'model_unavailable', retry_after_ms: 1 });
    pauses.push(((await shown(rig, 'a1'))['paused_until'] as number) - rig.clock.nowMs());
  }
  const generation = await nextAssignment(rig, id);
  t.same(pauses.slice(0, 7), [15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000]);
  t.match((await rig.record(id)).task, { status: 'assigned', retryCount: 0, handBacks: 0, parked: false });
  t.ok(pauses.reduce((sum, one) => sum + one, 0) > 3_600_000, 'over an hour, and twice the hand-backs that park a task');
  await peer.send({ type: 'task_complete', task_id: id, generation, result: 'x' });
  t.equal((await rig.storage.agents.getAgent('a1' as AgentId))?.agent.pauses, 0);
});

t.test('R13: after a pause one task has to show that the agent works before it gets others', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 3 });
  const ids = [await rig.submit(), await rig.submit(), await rig.submit()];
  const assigned = async () => {
    const records = await Promise.all(ids.map((id) => rig.record(id)));
    return records.filter(({ task }) => task.status === 'assigned').map(({ task }) => task);
  };
  const outage = { type: 'task_released', reason: '503', cause: 'model_unavailable' } as const;
  for (const id of ids) await peer.send({ ...outage, task_id: id, generation: 1 });
  t.equal((await rig.storage.agents.getAgent('a1' as AgentId))?.agent.pauses, 1, 'failures at the same time count once');
  await rig.pass(16_000);
  const [probe, ...others] = await assigned();
  t.ok(probe);
  t.same(others, []);
  const waiting = ids.find((id) => id !== probe?.id) as TaskId;
  t.match(await waitsFor(rig, waiting), { message: /one task at a time until one succeeds/ });
  const named = { task_id: probe?.id, generation: probe?.generation };
  await peer.send({ type: 'task_accepted', ...named });
  await peer.send({ type: 'task_progress', ...named, message: 'waiting for the model' });
  t.equal((await assigned()).length, 1, 'a retry alone shows nothing');
  await peer.send({ type: 'task_progress', ...named, tokens_used: 5 });
  await rig.pass(1_000);
  t.equal((await assigned()).length, 3, 'its model has answered');
});

t.test('a task that keeps running after a pause shows that its agent works, even without token counts', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 2 });
  const [one, two] = [await rig.submit(), await rig.submit()];
  for (const id of [one, two])
    await peer.send({ type: 'task_released', task_id: id, generation: 1, reason: '503', cause: 'model_unavailable' });
  await rig.pass(16_000);
  const first = (await rig.record(one)).task.status === 'assigned' ? one : two;
  const named = { task_id: first, generation: (await rig.record(first)).task.generation };
  await peer.send({ type: 'task_accepted', ...named });
  await rig.pass(100_000);
  await peer.send({ type: 'task_progress', ...named, message: 'works' });
  await rig.pass(1_000);
  t.not(await status(rig, one), await status(rig, two));
  await rig.pass(20_000);
  await peer.send({ type: 'task_progress', ...named, message: 'works' });
  await rig.pass(1_000);
  t.same([await status(rig, one), await status(rig, two)], ['assigned', 'assigned']);
});

t.test('R13: a run cut off by an outage uses up no retry; one cut off every time after work is parked', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit({ maxRetries: 0 });
  for (let cuts = 0; cuts < 10; cuts += 1) {
    const generation = await nextAssignment(rig, id);
    await peer.send({ type: 'task_accepted', task_id: id, generation });
    await peer.send({ type: 'task_progress', task_id: id, generation, tokens_used: 10 });
    t.match((await rig.record(id)).task, { status: 'assigned', retryCount: 0 });
    await peer.send({ type: 'task_released', task_id: id, generation, reason: 'cut', cause: 'model_unavailable', after_work: true });
  }
  t.match((await rig.record(id)).task, { status: 'queued', retryCount: 0, parked: true });
});

t.test('R13: a task released because its sidecar stopped uses up no retry and pauses no agent', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit({ maxRetries: 0 });
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  const released = { type: 'task_released', reason: 'its sidecar was stopped', cause: 'sidecar_stopped' } as const;
  await peer.send({ ...released, task_id: id, generation: 1, session_id: 'ses_1' });
  t.match(await shown(rig, 'a1'), { paused_until: null });
  t.match((await rig.record(id)).task, { retryCount: 0, handBacks: 1, session: { id: 'ses_1' } });
});

t.test('R13: a requested pause is capped at one hour', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  const frame = { type: 'task_released', task_id: id, generation: 1, reason: 'slow down', cause: 'rate_limited' } as const;
  await peer.send({ ...frame, retry_after_ms: 31_536_000_000 });
  t.equal((await shown(rig, 'a1'))['paused_until'], rig.clock.nowMs() + 3_600_000);
  await rig.pass(3_601_000);
  t.equal(await status(rig, id), 'assigned');
});

t.test('R13: an agent whose checks fail at identify gets no task, not even for a moment', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const id = await rig.submit();
  const peer = await rig.peer('a1');
  const failed = [{ check: 'program', message: 'there is no claude' }];
  const came = await peer.identify({ checks: { ok: false, failed } });
  t.same(
    came.map(({ type }) => type),
    ['identified'],
  );
  t.match(await shown(rig, 'a1'), { status: 'paused', paused_cause: 'checks', checks: { ok: false, failed } });
  // Sent with a ping, in case the report itself was lost.
  await peer.send({ type: 'ping', draining_reason: null, checks: { ok: true } });
  t.equal(await status(rig, id), 'assigned');

  const next = await rig.submit();
  await peer.send({ type: 'task_complete', task_id: id, generation: 1, result: 'x' });
  await peer.send({ type: 'ping', draining_reason: null, checks: { ok: false } });
  t.match(await shown(rig, 'a1'), { paused_reason: 'runner: its checks failed; it did not say which' });
  t.ok(next);
});

t.test('R13: a resume of an agent whose checks fail assigns nothing before its sidecar has checked again', async (t) => {
  // Before, the resume cleared the checks: the task was assigned at once, and dead-lettered if it had no retry left.
  const rig = await hubRig(NO_HEARTBEATS);
  const id = await rig.submit({ maxRetries: 0 });
  const peer = await rig.peer('a1');
  const failed = [{ check: 'program', message: 'there is no claude' }];
  await peer.identify({ checks: { ok: false, failed } });
  peer.newFrames();
  for (const change of ['resume', 'drain', 'resume'] as const) await control(rig, change);
  await rig.pass(5_000);
  t.same(
    peer.newFrames().map(({ type }) => type),
    ['resume', 'drain', 'resume'],
  );
  t.match(await shown(rig, 'a1'), { status: 'paused', draining: false, paused_cause: 'checks' });
  await peer.send({ type: 'runner_checks', ok: false, failed });
  t.equal(await status(rig, id), 'queued');
  await control(rig, 'resume');
  await peer.send({ type: 'runner_checks', ok: true });
  t.equal(await status(rig, id), 'assigned');
});

t.test('an operator can ask an agent to run its checks at once', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peer = await rig.peer('a1');
  await peer.identify();
  peer.newFrames();
  await control(rig, 'check');
  await rig.pass(1);
  t.same(peer.newFrames(), [{ type: 'check' }]);
  const back = await peer.reconnect();
  t.same(
    (await back.identify()).map(({ type }) => type),
    ['identified'],
    'an old request is not repeated in a new session',
  );
});
