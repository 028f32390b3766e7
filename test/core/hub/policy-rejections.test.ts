/** What the hub does with a task that sidecars reject by policy. */
import t from 'tap';
import { HAND_BACKS_MAX, REJECTED_WAIT_MS, REJECTIONS_MAX } from '../../../core/domain/task/rules.ts';
import { explainWaiting } from '../../../core/domain/waiting/waiting-for.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { agentJson } from '../../../core/protocol/agent-json.ts';
import { hubRig, type HubRig, type Peer } from './hub-rig.ts';

const NO_HEARTBEATS = { timing: { heartbeatMs: 86_400_000 } };

const agent = async (rig: HubRig, id: string): Promise<Peer> => {
  const peer = await rig.peer(id);
  await peer.identify();
  return peer;
};
const rejects = (peer: Peer, task: TaskId, generation: number, cause: string | undefined = 'policy') =>
  peer.send({ type: 'task_rejected', task_id: task, generation, reason: 'accept.repos', cause });
const waitsFor = async (rig: HubRig, id: TaskId) => {
  const rows = await rig.storage.agents.listAgents({ limit: 10 });
  const loads = rows.map(({ agent, live, pendingStops }) => ({ agent, liveCount: live.length, stopCount: pendingStops }));
  return explainWaiting((await rig.record(id)).task, { dependencies: [], agents: loads, nowMs: rig.clock.nowMs() });
};
const shown = async (rig: HubRig, id: string) => {
  const row = await rig.storage.agents.getAgent(id as AgentId);
  if (row === undefined) throw new Error(`no agent ${id}`);
  return agentJson(row, rig.clock.nowMs());
};

t.test('R12 R13: a rejected task goes to another agent at once, uses up no retry, adds no strike and no busy time', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  const id = await rig.submit();
  const two = await agent(rig, 'a2');
  two.newFrames();
  await rejects(one, id, 1);
  t.match(one.newFrames().at(-1), { type: 'task_ack', status: 'rejected', generation: 1 });
  t.match(two.newFrames(), [{ type: 'task_assign', task_id: id, generation: 3, submitted_by: String }]);
  t.match((await rig.record(id)).task, { assignedTo: 'a2', retryCount: 0, handBacks: 0, rejectedBy: ['a1'] });
  t.match(await shown(rig, 'a1'), { status: 'idle' });
  const next = await rig.submit();
  t.match(one.newFrames(), [{ type: 'task_assign', task_id: next }], 'the next task may be one that it accepts');
  await rig.stop();
});

t.test('R12: a rejected task is never offered to the same agent again, explains why it waits, and eventually ends', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  const id = await rig.submit();
  await rejects(one, id, 1);
  one.newFrames();
  await rig.pass(REJECTED_WAIT_MS - 1_000);
  t.same(one.newFrames(), []);
  t.match(await waitsFor(rig, id), {
    reason: 'rejected',
    kind: 'rejected',
    message:
      /^The only agent that could run it has rejected it by its policy \(a1\)\. It was rejected by a1: accept\.repos\. Unless another/,
  });
  const other = await rig.submit();
  t.match(one.newFrames(), [{ type: 'task_assign', task_id: other }], 'and it blocks no other task');
  await rig.pass(60_000);
  t.match((await rig.record(id)).task, {
    status: 'dead_letter',
    deadReason: 'rejected',
    lastError: 'rejected by a1: accept.repos',
    retryCount: 0,
  });
  t.match((await rig.record(id)).events.map(({ event }) => event).slice(-3), ['rejected', 'expired', 'dead_lettered']);
  await rig.queue.do({ kind: 'retry', taskId: id, by: 'admin' });
  t.match((await rig.record(id)).task, { status: 'queued', rejectedBy: [] }, 'a retry offers it to all agents again');
  await rig.stop();
});

t.test('R12: hundreds of rejected tasks at the head of the queue do not block other tasks for that agent', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  const rejected: TaskId[] = [];
  for (let n = 0; n < 300; n += 1) {
    const id = await rig.submit();
    await rejects(one, id, 1);
    rejected.push(id);
  }
  one.newFrames();
  const other = await rig.submit();
  t.match(one.newFrames(), [{ type: 'task_assign', task_id: other }]);
  const two = await agent(rig, 'a2');
  t.match(two.frames.at(-1), { type: 'task_assign', task_id: rejected[0] }, 'and they go to another agent, oldest first');
  await rig.stop();
});

t.test('R12: a rejected task assigned to one agent only ends at once', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  await agent(rig, 'a2');
  const id = await rig.submit({ assignTo: 'a1' as AgentId });
  await rejects(one, id, 1);
  t.match((await rig.record(id)).task, { status: 'dead_letter', deadReason: 'rejected', lastError: 'rejected by a1: accept.repos' });
  await rig.stop();
});

t.test('R12: ttl_ms sets how long a rejected task waits for another agent', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  const id = await rig.submit({ ttlMs: 3 * REJECTED_WAIT_MS });
  await rejects(one, id, 1);
  await rig.pass(2 * REJECTED_WAIT_MS);
  const two = await agent(rig, 'a2');
  t.match(two.frames.at(-1), { type: 'task_assign', task_id: id });
  await rig.stop();
});

t.test(`R12: a task ends after ${REJECTIONS_MAX} agents reject it, however many agents there are`, async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const peers = new Map<string, Peer>();
  for (let n = 0; n <= REJECTIONS_MAX; n += 1) peers.set(`a${n}`, await agent(rig, `a${n}`));
  const id = await rig.submit();
  for (let n = 0; n < REJECTIONS_MAX; n += 1) {
    const { assignedTo, generation } = (await rig.record(id)).task;
    await rejects(peers.get(String(assignedTo)) as Peer, id, generation);
  }
  const { task } = await rig.record(id);
  t.match(task, { status: 'dead_letter', deadReason: 'rejected' });
  t.equal(new Set(task.rejectedBy).size, REJECTIONS_MAX);
  await rig.stop();
});

t.test('a rejection for any other cause still counts as a hand-back', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  const id = await rig.submit();
  await rejects(one, id, 1, 'later_word');
  t.match((await rig.record(id)).task, { status: 'queued', handBacks: 1, rejectedBy: [], avoid: 'a1' });
  t.equal(typeof (await rig.storage.agents.getAgent('a1' as AgentId))?.agent.busyUntilMs, 'number');
  await rig.stop();
});

t.test('R12: a task for which a sidecar has no room now waits for it, and is neither parked nor a strike', async (t) => {
  const rig = await hubRig(NO_HEARTBEATS);
  const one = await agent(rig, 'a1');
  const id = await rig.submit();
  for (let n = 0; n < 2 * HAND_BACKS_MAX; n += 1) {
    await rejects(one, id, (await rig.record(id)).task.generation, 'no_room');
    one.newFrames();
    t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { busyUntilMs: Number, strikes: [] });
    let waitedMs = 0;
    for (; !one.newFrames().some(({ type }) => type === 'task_assign') && waitedMs < 700_000; waitedMs += 10_000) await rig.pass(10_000);
    t.ok(waitedMs >= 60_000 && waitedMs < 700_000, `offered again after ${waitedMs / 1_000} s`);
  }
  t.match((await rig.record(id)).task, { status: 'assigned', retryCount: 0, handBacks: 0, rejectedBy: [] });
  await rig.stop();
});

for (const end of ['task_complete', 'task_failed', 'task_released', 'task_cancel_ack'])
  t.test(`R12: an agent whose tasks leave no room gets no other until one of them ends: ${end}`, async (t) => {
    const rig = await hubRig(NO_HEARTBEATS);
    const one = await rig.peer('a1');
    await one.identify({ slots: 3 });
    const [held, working] = [await rig.submit(), await rig.submit()];
    const says = (type: string, task: TaskId, more: Readonly<Record<string, unknown>> = {}): Promise<void> =>
      one.send({ type, task_id: task, generation: 1, ...more });
    await says('task_accepted', held);
    const refused = await rig.submit();
    await rejects(one, refused, 1, 'no_room');
    one.newFrames();
    await says('task_accepted', working);
    await says('task_progress', held, { message: 'half way' });
    await rig.pass(10_000);
    t.strictSame(
      one.newFrames().filter(({ type }) => type === 'task_assign'),
      [],
      'what it holds goes on, which makes no room',
    );
    if (end === 'task_cancel_ack') {
      await rig.queue.do({ kind: 'cancel', taskId: held, by: 'tok-1' });
      await says(end, held, { outcome: 'killed' });
    } else await says(end, held, { result: {}, error: 'it failed', reason: 'stopped', cause: 'sidecar_stopped' });
    t.match(one.newFrames(), [{ type: /./u }, { type: 'task_assign', task_id: refused }]);
    await rig.stop();
  });

t.test('an agent that had no room gets tasks again once it has returned without those that it held', async (t) => {
  const rig = await hubRig({ timing: { ...NO_HEARTBEATS.timing, reconnectGraceMs: 60_000 } });
  const one = await rig.peer('a1');
  await one.identify({ slots: 2, process_id: 'process-1', volatile: true });
  const held = await rig.submit();
  await one.send({ type: 'task_accepted', task_id: held, generation: 1 });
  const refused = await rig.submit();
  await rejects(one, refused, 1, 'no_room');
  await one.cut();
  const back = await one.reconnect();
  const frames = await back.identify({ slots: 2, process_id: 'process-2', volatile: true });
  t.match(
    frames.filter(({ type }) => type === 'task_assign'),
    [{ task_id: refused }],
  );
  await rig.stop();
});
