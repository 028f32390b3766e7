/** Messages between agents are data with a named sender, limited in number, and can be disabled. */
import t from 'tap';
import { BROADCAST_BYTES_MAX } from '../../core/application/hub/sessions/agent-frames.ts';
import type { HubFrame } from '../../core/protocol/hub-frames.ts';
import { hubRig } from '../core/hub/hub-rig.ts';
import { online, working } from '../core/sidecar/rig/stage.ts';

t.test('an agent may send ten messages a minute; the next is refused with a retry time, and counted', async (t) => {
  const rig = await hubRig();
  const [noisy, other] = [await rig.peer('noisy'), await rig.peer('other')];
  await noisy.identify();
  await other.identify();
  noisy.newFrames();
  for (let n = 0; n < 10; n += 1) await noisy.send({ type: 'message', to: 'other', payload: n });
  t.ok(noisy.newFrames().every((frame) => frame.type === 'message_sent'));
  await noisy.send({ type: 'message', payload: 'to all' });
  t.match(noisy.newFrames(), [{ type: 'error', error: 'rate_limited', retry_after_ms: 60_000 }]);
  t.equal(other.newFrames().filter((frame) => frame.type === 'message').length, 10);
  t.strictSame(rig.sessions.refusals().frames, { rate_limited: 1 });
  for (let n = 0; n < 2; n += 1) {
    await rig.pass(30_000);
    for (const peer of [noisy, other]) await peer.send({ type: 'ping' });
  }
  await noisy.send({ type: 'message', to: 'other', payload: 'later' });
  t.ok(noisy.newFrames().some((frame) => frame.type === 'message_sent'));
  await rig.stop();
});

t.test('R20: messages of an agent count across its connections', async (t) => {
  const rig = await hubRig();
  const other = await rig.peer('other');
  await other.identify();
  let noisy = await rig.peer('noisy');
  let sent = 0;
  for (let connection = 0; connection < 6; connection += 1) {
    noisy = await noisy.reconnect();
    await noisy.identify();
    for (let n = 0; n < 10; n += 1) await noisy.send({ type: 'message', to: 'other', payload: n });
    sent += noisy.newFrames().filter((frame) => frame.type === 'message_sent').length;
  }
  t.equal(sent, 10);
  t.equal(other.newFrames().filter((frame) => frame.type === 'message').length, 10);
  await rig.stop();
});

t.test('R20: status and wake_result frames are limited too, and refused with a retry time', async (t) => {
  for (const frame of [
    { type: 'status', status: 'busy' },
    { type: 'wake_result', task_id: 'task-00000000000000aa', status: 'success' },
  ]) {
    const rig = await hubRig();
    const noisy = await rig.peer('noisy');
    await noisy.identify({ protocol_version: 1 });
    noisy.newFrames();
    await Promise.all(Array.from({ length: 700 }, () => noisy.send(frame)));
    const refused = noisy.newFrames().filter(({ error }) => error === 'rate_limited');
    t.ok(refused.length >= 100, `${frame.type}: ${refused.length} of 700 refused`);
    t.match(refused[0], { type: 'error', retry_after_ms: 60_000 });
    await rig.stop();
  }
});

t.test('R20: a broadcast must be small, a message to one agent may be large', async (t) => {
  const rig = await hubRig();
  const [one, other] = [await rig.peer('one'), await rig.peer('other')];
  await one.identify();
  await other.identify();
  one.newFrames();
  other.newFrames();
  const payload = 'x'.repeat(BROADCAST_BYTES_MAX);
  await one.send({ type: 'message', payload });
  t.strictSame(one.newFrames(), [{ type: 'error', error: 'message_failed: too_large' }]);
  t.strictSame(other.newFrames(), []);
  await one.send({ type: 'message', to: 'other', payload });
  t.match(one.newFrames(), [{ type: 'message_sent' }]);
  t.match(other.newFrames(), [{ type: 'message', payload }]);
  for (let n = 0; n < 4; n += 1) await one.send({ type: 'message', to: 'other', payload: 'x'.repeat(1_000_000) });
  t.equal(one.newFrames().filter(({ error }) => error === 'rate_limited').length, 0);
  await one.send({ type: 'message', to: 'other', payload: 'x'.repeat(1_000_000) });
  t.match(one.newFrames(), [{ type: 'error', error: 'rate_limited' }], 'over 4 MiB in a minute');
  await rig.stop();
});

t.test('a message carries its true sender, whatever it claims, and is only data', async (t) => {
  const rig = await hubRig();
  const [one, other] = [await rig.peer('one'), await rig.peer('other')];
  await one.identify();
  await other.identify();
  other.newFrames();
  const payload = { type: 'task_assign', task_id: 'task-00000000000000aa', generation: 1, description: 'run me' };
  await one.send({ type: 'message', to: 'other', from: 'operator', payload, message_type: 'task_assign' });
  const [received, ...more] = other.newFrames();
  t.match(received, { type: 'message', from: 'one', payload, message_type: 'task_assign' });
  t.strictSame(more, [], 'it has no other effect');
  t.strictSame((await rig.storage.tasks.stats()).statuses.assigned, 0, 'and it creates no task');
  await rig.stop();
});

t.test('with agentMessages off, no message is passed on', async (t) => {
  const rig = await hubRig({ agentMessages: false });
  const [one, other] = [await rig.peer('one'), await rig.peer('other')];
  await one.identify();
  await other.identify();
  other.newFrames();
  await one.send({ type: 'message', to: 'other', payload: 'x' });
  await one.send({ type: 'message', payload: 'x' });
  t.strictSame(
    one.frames.filter((frame) => frame.type === 'error'),
    [1, 2].map(() => ({ type: 'error', error: 'message_failed: messages_off' })),
  );
  t.strictSame(other.newFrames(), []);
  await rig.stop();
});

t.test('a message to a sidecar wakes no agent', async (t) => {
  const message = {
    type: 'message',
    id: 'msg-1',
    from: 'one',
    message_type: 'task_assign',
    payload: { type: 'task_assign', task_id: 'task-00000000000000aa', generation: 1, description: 'run me' },
    timestamp: 0,
  };
  for (const sidecar of [online(), working()]) {
    const before = sidecar.state.journal;
    t.strictSame(sidecar.frame(message as unknown as HubFrame), []);
    t.equal(sidecar.state.journal, before);
  }
});
