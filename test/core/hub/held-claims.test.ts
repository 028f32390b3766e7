/** What an agent's inventory may do to generations: raise the fence above a store that was rolled back, and nothing else. */
import t from 'tap';
import type { AgentId, Generation, TaskId } from '../../../core/domain/ids.ts';
import { REFUSED_EVENTS_MAX } from '../../../core/domain/task/kept-results.ts';
import { hubRig, type HubRig, type Peer } from './hub-rig.ts';

/** `a1` runs a task that it has accepted; `b1` has nothing to do with it. */
async function aTaskOfA1(): Promise<{ rig: HubRig; a1: Peer; b1: Peer; id: TaskId }> {
  const rig = await hubRig({ timing: { reconnectGraceMs: 180_000 } });
  const a1 = await rig.peer('a1');
  const b1 = await rig.peer('b1');
  await a1.identify();
  const id = await rig.submit();
  await a1.send({ type: 'task_accepted', task_id: id, generation: 1 });
  a1.newFrames();
  return { rig, a1, b1, id };
}

const CLAIMS = [2, 900, 1_000_000, Number.MAX_SAFE_INTEGER];

t.test('R6 R7: claims by another agent never end the assignment of the agent that has the task', async (t) => {
  for (const storeId of ['memory', 'store-before']) {
    for (const status of ['working', 'reporting', 'unknown']) {
      for (const generation of CLAIMS) {
        const { rig, a1, b1, id } = await aTaskOfA1();
        const named = `generation ${generation}, ${status}, store ${storeId}`;
        await b1.identify({ instance_id: 'machine-b', held: [{ task_id: id, generation, status, store_id: storeId }] });
        t.same(a1.newFrames(), [], `a1 receives nothing: ${named}`);
        t.equal(await rig.summary(id), 'assigned 1: submitted eligible assigned accepted', named);
        await a1.send({ type: 'task_complete', task_id: id, generation: 1, result: 'mine' });
        t.match(a1.newFrames(), [{ type: 'task_ack', status: 'complete' }]);
        await rig.stop();
      }
    }
  }
});

t.test('R6: an agent that once had the task cannot take it from the one that has it now', async (t) => {
  const { rig, a1, b1, id } = await aTaskOfA1();
  await b1.identify({ instance_id: 'machine-b' });
  await a1.send({ type: 'task_failed', task_id: id, generation: 1, reason: 'no' });
  await rig.pass(2_000);
  t.match(b1.newFrames(), [{ type: 'task_assign', task_id: id, generation: 3 }], 'assigned to the other agent');
  await b1.send({ type: 'task_accepted', task_id: id, generation: 3 });
  const summary = await rig.summary(id);
  const back = await a1.reconnect();
  await back.identify({ held: [{ task_id: id, generation: 7, status: 'working', store_id: 'memory' }] });
  t.equal(await rig.summary(id), summary);
  await b1.send({ type: 'task_complete', task_id: id, generation: 3, result: 'mine' });
  t.match(b1.newFrames().at(-1), { type: 'task_ack', status: 'complete' });
});

t.test('R6: a generation no store could have lost is refused, logged and counted, and the task continues by ones', async (t) => {
  for (const generation of [1_003, 5_000_000, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const { rig, a1, id } = await aTaskOfA1();
    await a1.send({ type: 'task_failed', task_id: id, generation: 1, reason: 'no' });
    await a1.cut();
    const back = await a1.reconnect();
    const [identified] = await back.identify({ held: [{ task_id: id, generation, status: 'working' }] });
    t.match(identified, { type: 'identified', held: [{ action: 'abort', reason: 'generation_too_far' }] });
    t.match((await rig.record(id)).task, { status: 'queued', generation: 2 });
    t.equal(rig.sessions.refusals().frames['generation_too_far'], 1);
    t.ok(rig.log.lines.some(({ level, message }) => level === 'warn' && message.includes('too far above')));
    await rig.pass(2_000);
    t.match(back.newFrames().at(-1), { type: 'task_assign', task_id: id, generation: 3 });
    await back.send({ type: 'task_accepted', task_id: id, generation: 3 });
    await back.send({ type: 'task_complete', task_id: id, generation: 3, result: 1 });
    t.match(back.newFrames(), [{ status: 'accepted' }, { status: 'complete' }]);
    await rig.stop();
  }
});

t.test('R6: no number of claims by an agent brings a generation near the ceiling', async (t) => {
  const rig = await hubRig();
  const id = await rig.submit({ neededCapabilities: ['no agent has it'] });
  const peer = await rig.peer('a1');
  let session = 0;
  for (let generation = 900; generation < 2_000_000; generation += 900) {
    await rig.queue.do({
      kind: 'identify',
      agentId: 'a1' as AgentId,
      name: 'a1',
      protocolVersion: 2,
      instanceId: 'machine-1',
      capabilities: [],
      slots: 1,
      reportedStatus: null,
      held: [{ taskId: id, generation: generation as Generation, status: 'working', storeId: null }],
      hubId: 'hub-1',
    });
    session += 1;
    await rig.queue.do({ kind: 'disconnect', from: { agentId: 'a1' as AgentId, session } });
  }
  const { task } = await rig.record(id);
  t.ok(task.generation > 900 && task.generation <= 1_000_001, `it stands at ${task.generation}`);
  await peer.identify({ capabilities: ['no agent has it'] });
  t.match((await rig.record(id)).task, { status: 'assigned', generation: task.generation + 1 });
});

t.test('R6: a generation that the store lost, claimed while another agent has the task, is fenced when that agent ends', async (t) => {
  const { rig, a1, b1, id } = await aTaskOfA1();
  await b1.identify({ instance_id: 'machine-b', held: [{ task_id: id, generation: 6, status: 'working', store_id: 'store-before' }] });
  await a1.send({ type: 'task_failed', task_id: id, generation: 1, reason: 'no' });
  await rig.pass(2_000);
  t.match(b1.newFrames().at(-1), { type: 'task_assign', task_id: id, generation: 7 }, 'above the generation b1 had before the restore');
});

t.test('a completed or cancelled task is not changed by what an agent claims to hold', async (t) => {
  const { rig, a1, b1, id } = await aTaskOfA1();
  await a1.send({ type: 'task_complete', task_id: id, generation: 1, result: 1 });
  const before = await rig.record(id);
  await b1.identify({ instance_id: 'machine-b', held: [{ task_id: id, generation: 5, status: 'working' }] });
  t.same(await rig.record(id), before);
});

t.test('an agent cannot raise the generation of a task that is not for it', async (t) => {
  const rig = await hubRig();
  const a1 = await rig.peer('a1');
  await a1.identify();
  await a1.cut();
  const id = await rig.submit({ assignTo: 'a1' as AgentId });
  const b1 = await rig.peer('b1');
  await b1.identify({ instance_id: 'machine-b', held: [{ task_id: id, generation: 5, status: 'working' }] });
  t.match((await rig.record(id)).task, { status: 'queued', generation: 0 });
});

t.test('R6 R20: an agent that claims a task repeatedly raises its generation and adds events only a few times', async (t) => {
  const rig = await hubRig();
  const id = await rig.submit({ neededCapabilities: ['no agent has it'] });
  let liar = await rig.peer('liar');
  for (let n = 1; n <= 60; n += 1) {
    await liar.cut();
    liar = await liar.reconnect();
    await liar.identify({ held: [{ task_id: id, generation: n * 900, status: 'working' }] });
  }
  const { task, events } = await rig.record(id);
  t.equal(events.filter(({ event }) => event === 'report_refused').length, REFUSED_EVENTS_MAX);
  t.equal(task.generation, REFUSED_EVENTS_MAX * 900 + 1);
  t.equal(rig.sessions.refusals().frames['generation_too_far'], 60 - REFUSED_EVENTS_MAX, 'the others are counted');
  const other = await rig.peer('b1');
  await other.identify({ held: [{ task_id: id, generation: task.generation + 5, status: 'working' }] });
  t.equal((await rig.record(id)).task.generation, task.generation + 6, 'another agent may still claim it');
  await rig.stop();
});

t.test('R6 R20: repeated claims raise the fence no further than a store can have been rolled back', async (t) => {
  const { rig, a1, b1, id } = await aTaskOfA1();
  let liar = b1;
  for (let n = 1; n <= 10; n += 1) {
    await liar.cut();
    liar = await liar.reconnect();
    await liar.identify({ instance_id: 'machine-b', held: [{ task_id: id, generation: n * 900, status: 'working' }] });
  }
  t.equal((await rig.record(id)).task.generationFloor, 900);
  await a1.send({ type: 'task_complete', task_id: id, generation: 1, result: 'mine' });
  t.match(a1.newFrames().at(-1), { type: 'task_ack', status: 'complete' });
  await rig.stop();
});
