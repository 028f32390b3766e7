/** An operator's resume and the assignments after it. */
import t from 'tap';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { hubRig } from '../hub-rig.ts';

t.test('a resume reaches the sidecar before the task assigned by the same commit', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'drain' });
  const id = await rig.submit();
  await rig.pass(0);
  t.match(peer.newFrames(), [{ type: 'drain' }]);
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'resume' });
  await rig.pass(0);
  t.match(peer.newFrames(), [{ type: 'resume' }, { type: 'task_assign', task_id: id }]);
});

t.test('an assignment pushed again to a drained agent is sent before the drain', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.cut();
  await rig.queue.do({ kind: 'agent_control', agentId: 'a1' as AgentId, change: 'drain' });
  const back = await peer.reconnect();
  t.match(await back.identify(), [{ type: 'identified' }, { type: 'task_assign', task_id: id }, { type: 'drain' }]);
});

t.test('R12, R13: a rejection due to a drain that is already over costs neither the task nor the agent anything', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  peer.newFrames();
  await peer.send({ type: 'task_rejected', task_id: id, generation: 1, reason: 'draining' });
  t.match(peer.newFrames(), [{ type: 'task_ack', status: 'rejected' }], 'nothing more until it reports that it resumed');
  t.match((await rig.record(id)).task, { status: 'queued', handBacks: 0, retryCount: 0 });
  t.match((await rig.storage.agents.getAgent('a1' as AgentId))?.agent, { busyUntilMs: null, strikes: [] });
  await peer.send({ type: 'resumed' });
  t.match(peer.newFrames(), [{ type: 'task_assign', task_id: id, generation: 3 }], 'at once');

  await peer.send({ type: 'task_rejected', task_id: id, generation: 3, reason: 'draining' });
  t.match((await rig.record(id)).task, { handBacks: 1 }, 'a second one in a row is a normal rejection');
  t.ok(((await rig.storage.agents.getAgent('a1' as AgentId))?.agent.busyUntilMs ?? 0) > rig.clock.nowMs());
});

t.test('a ping without a draining reason ends it too', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_rejected', task_id: id, generation: 1, reason: 'draining' });
  peer.newFrames();
  await peer.send({ type: 'ping', draining_reason: null });
  t.match(peer.newFrames(), [{ type: 'pong' }, { type: 'task_assign', task_id: id, generation: 3 }]);
});
