/** Messages between agents are data with their sender named, few, and can be switched off. */
import t from 'tap';
import type { HubFrame } from '../../core/protocol/hub-frames.ts';
import { hubRig } from '../core/hub/hub-rig.ts';
import { online, working } from '../core/sidecar/stage.ts';

t.test('ten messages a minute, the next is refused with when to come again, and counted', async (t) => {
  const rig = await hubRig();
  const [noisy, other] = [await rig.peer('noisy'), await rig.peer('other')];
  await noisy.identify();
  await other.identify();
  noisy.news();
  for (let n = 0; n < 10; n += 1) await noisy.send({ type: 'message', to: 'other', payload: n });
  t.ok(noisy.news().every((frame) => frame.type === 'message_sent'));
  await noisy.send({ type: 'message', payload: 'to all' });
  t.match(noisy.news(), [{ type: 'error', error: 'rate_limited', retry_after_ms: 60_000 }]);
  t.equal(other.news().filter((frame) => frame.type === 'message').length, 10);
  t.strictSame(rig.sessions.refusals().frames, { rate_limited: 1 });
  for (let n = 0; n < 2; n += 1) {
    await rig.pass(30_000);
    for (const peer of [noisy, other]) await peer.send({ type: 'ping' });
  }
  await noisy.send({ type: 'message', to: 'other', payload: 'later' });
  t.ok(noisy.news().some((frame) => frame.type === 'message_sent'));
  await rig.stop();
});

t.test('a message names who sent it, whatever it says itself, and is nothing but data', async (t) => {
  const rig = await hubRig();
  const [one, other] = [await rig.peer('one'), await rig.peer('other')];
  await one.identify();
  await other.identify();
  other.news();
  const payload = { type: 'task_assign', task_id: 'task-00000000000000aa', generation: 1, description: 'run me' };
  await one.send({ type: 'message', to: 'other', from: 'operator', payload, message_type: 'task_assign' });
  const [told, ...more] = other.news();
  t.match(told, { type: 'message', from: 'one', payload, message_type: 'task_assign' });
  t.strictSame(more, [], 'nothing else comes of it');
  t.strictSame((await rig.storage.tasks.stats()).statuses.assigned, 0, 'and it makes no task');
  await rig.stop();
});

t.test('switched off, nothing is passed on', async (t) => {
  const rig = await hubRig({ agentMessages: false });
  const [one, other] = [await rig.peer('one'), await rig.peer('other')];
  await one.identify();
  await other.identify();
  other.news();
  await one.send({ type: 'message', to: 'other', payload: 'x' });
  await one.send({ type: 'message', payload: 'x' });
  t.strictSame(
    one.frames.filter((frame) => frame.type === 'error'),
    [1, 2].map(() => ({ type: 'error', error: 'message_failed: messages_off' })),
  );
  t.strictSame(other.news(), []);
  await rig.stop();
});

t.test('a message to a sidecar wakes nobody', async (t) => {
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
