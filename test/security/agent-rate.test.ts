/**
 * How fast one agent may send: beyond it the socket is closed and the agent is blocked for a while, and nothing that
 * decides a task is lost.
 */
import t from 'tap';
import { HELD_MAX } from '../../core/protocol/fields.ts';
import { hubRig } from '../core/hub/hub-rig.ts';

const LIMITS = { agentFramesPerSecond: 10, agentFrameBurst: 50, invalidFrames: 1_000 };
const TOO_FAST = 'the agent sends more frames or bytes than it may';
const TASK = 'task-00000000000000aa';

t.test('R20: an agent over its frame rate is disconnected, whatever the frames, and reconnecting does not help', async (t) => {
  for (const [version, frame] of [
    [2, { type: 'ping' }],
    [2, { type: 'probe_ack', nonce: 'n' }],
    [2, { type: 'task_output', task_id: TASK, generation: 1, stream: 'stdout', text: 'x' }],
    [2, { type: 'task_complete', task_id: TASK, generation: 1, result: 1 }],
    [1, { type: 'task_complete', task_id: TASK, result: 1 }],
  ] as const) {
    const rig = await hubRig({ limits: LIMITS });
    const [noisy, other] = [await rig.peer('noisy'), await rig.peer('other')];
    await other.identify();
    await noisy.identify({ protocol_version: version });
    for (let n = 0; n < 51 && noisy.closed() === null; n += 1) await noisy.send(frame);
    t.equal(noisy.closed(), 1013, `version ${version}: ${frame.type}`);
    t.equal(rig.sessions.refusals().sockets[TOO_FAST], 1, 'and it is counted');

    const again = await noisy.reconnect();
    t.match(await again.identify({ protocol_version: version }), [{ type: 'error', error: 'rate_limited', retry_after_ms: 5_100 }]);
    await other.send({ type: 'ping' });
    t.match(other.newFrames().at(-1), { type: 'pong' }, 'other agents are not affected');
    await rig.pass(5_100);
    const back = await noisy.reconnect();
    t.match((await back.identify({ protocol_version: version }))[0], { type: 'identified' });
    await rig.stop();
  }
});

t.test('R20: unknown frames count too', async (t) => {
  const rig = await hubRig({ limits: LIMITS });
  const noisy = await rig.peer('noisy');
  await noisy.identify();
  for (let n = 0; n < 51 && noisy.closed() === null; n += 1) await noisy.send({ type: 'nonsense' });
  t.equal(noisy.closed(), 1013);
  await rig.stop();
});

t.test('R20: frames count across reconnects, and an agent within its rate is never disconnected', async (t) => {
  const rig = await hubRig({ limits: LIMITS });
  let noisy = await rig.peer('noisy');
  for (let connection = 0; connection < 5; connection += 1) {
    await noisy.cut();
    noisy = await noisy.reconnect();
    await noisy.identify();
    for (let n = 0; n < 10; n += 1) await noisy.send({ type: 'ping' });
    t.equal(noisy.closed(), null);
  }
  await noisy.send({ type: 'ping' });
  t.equal(noisy.closed(), 1013);
  await rig.pass(5_100);
  const quiet = await noisy.reconnect();
  await quiet.identify();
  for (let n = 0; n < 200; n += 1) {
    await rig.pass(100);
    await quiet.send({ type: 'ping' });
  }
  t.equal(quiet.closed(), null);
  await rig.stop();
});

t.test('R4 R20: a result over the rate is stored, and one sent after it is accepted when it is sent again', async (t) => {
  const rig = await hubRig({ limits: LIMITS, timing: { reconnectGraceMs: 180_000 } });
  const noisy = await rig.peer('noisy');
  await noisy.identify({ slots: 2 });
  const [first, second] = [await rig.submit(), await rig.submit()];
  for (const id of [first, second]) await noisy.send({ type: 'task_accepted', task_id: id, generation: 1 });
  for (let n = 0; n < 48; n += 1) await noisy.send({ type: 'ping' });
  t.equal(noisy.closed(), null);
  await noisy.send({ type: 'task_complete', task_id: first, generation: 1, result: 'over' });
  t.equal(noisy.closed(), 1013);
  t.match((await rig.record(first)).task, { status: 'completed' });
  await noisy.send({ type: 'task_complete', task_id: second, generation: 1, result: 'behind' });
  t.match((await rig.record(second)).task, { status: 'assigned', generation: 1 });
  await rig.pass(6_000);
  const back = await noisy.reconnect();
  await back.identify({ slots: 2, held: [{ task_id: second, generation: 1, status: 'reporting' }] });
  await back.send({ type: 'task_complete', task_id: second, generation: 1, result: 'behind' });
  t.match(back.newFrames().at(-1), { type: 'task_ack', status: 'complete' });
  t.match((await rig.record(second)).task, { status: 'completed' });
  await rig.stop();
});

t.test('R4 R20: a sidecar with 128 slots that reconnects with 1,000 reports is not throttled', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 128 });
  const result = 'x'.repeat(10_000);
  const frames = Array.from({ length: HELD_MAX + 4 * 128 }, (_, n) => ({
    type: 'task_complete',
    task_id: `task-${(n + 1).toString(16).padStart(16, '0')}`,
    generation: 1,
    result,
  }));
  await Promise.all(frames.map((frame) => peer.send(frame)));
  t.equal(peer.closed(), null);
  t.equal(peer.newFrames().filter(({ type }) => type === 'task_nack').length, frames.length, 'each is answered');
  await rig.stop();
});

t.test('R20: the bytes that one agent sends are limited, and 0 turns the limit off', async (t) => {
  for (const [agentBytesPerSecond, closed] of [
    [1_000, 1013],
    [0, null],
  ] as const) {
    const rig = await hubRig({ limits: { agentBytesPerSecond, agentByteBurst: 10_000 } });
    const peer = await rig.peer('a1');
    await peer.identify();
    for (let n = 0; n < 4; n += 1)
      await peer.send({ type: 'task_output', task_id: TASK, generation: 1, stream: 'stdout', text: 'x'.repeat(3_000) });
    t.equal(peer.closed(), closed);
    await rig.stop();
  }
  const rig = await hubRig({ limits: { agentFramesPerSecond: 0, agentFrameBurst: 10 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  for (let n = 0; n < 30; n += 1) await peer.send({ type: 'ping' });
  t.equal(peer.closed(), null);
  await rig.stop();
});
