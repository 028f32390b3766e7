/** An agent with many slots and large tasks gets only as much at once as its socket's queue can hold. */
import t from 'tap';
import { aDraft, settle, hubRig, type AnyFrame, type HubRig, type Peer } from '../hub-rig.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { aBody, aTaskId } from '../../../product/contracts/fixtures.ts';
import { watchUnits } from '../watched-units.ts';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';

const LIMITS = { frameBytes: 100_000, socketQueueBytes: 300_000, unidentifiedFrameBytes: 10_000 };
const WINDOW = (LIMITS.socketQueueBytes - LIMITS.frameBytes) / 2;
const NO_HEARTBEATS = { heartbeatMs: 86_400_000 };

const aBodyOf = (characters: number) => aBody({ description: 'x'.repeat(characters) });
const hub = (limits: Partial<typeof LIMITS> = {}): Promise<HubRig> => hubRig({ timing: NO_HEARTBEATS, limits: { ...LIMITS, ...limits } });

async function agentWithSlots(rig: HubRig, id: string, slots: number): Promise<Peer> {
  const peer = await rig.peer(id);
  await peer.identify({ slots });
  peer.newFrames();
  return peer;
}

interface Assigned {
  readonly taskId: TaskId;
  readonly generation: number;
  readonly bytes: number;
}
const assigned = (frames: readonly AnyFrame[]): readonly Assigned[] =>
  frames
    .filter(({ type }) => type === 'task_assign')
    .map((frame) => ({
      taskId: frame['task_id'] as TaskId,
      generation: frame['generation'] as number,
      bytes: JSON.stringify(frame).length,
    }));
const sum = (all: readonly Assigned[]): number => all.reduce((bytes, one) => bytes + one.bytes, 0);
const says = (peer: Peer, type: string, { taskId, generation }: Assigned, more: object = {}): Promise<void> =>
  peer.send({ type, task_id: taskId, generation, ...more });

t.test('R12: tasks beyond the window wait in the queue, in order, and follow when the agent has accepted earlier ones', async (t) => {
  const rig = await hub();
  const ids: TaskId[] = [];
  for (let n = 0; n < 20; n += 1) ids.push(await rig.submit({ body: aBodyOf(30_000) }));
  const peer = await agentWithSlots(rig, 'a1', 0);
  await peer.cut();
  const back = await rig.peer('a1');
  const first = assigned(await back.identify({ slots: 100 }));
  t.ok(sum(first) >= WINDOW && sum(first) <= WINDOW + LIMITS.frameBytes, `${sum(first)} bytes at once`);
  const all = [...first];
  let unanswered = [...first];
  while (unanswered.length > 0) {
    const [next, ...others] = unanswered as [Assigned, ...Assigned[]];
    await says(back, 'task_accepted', next);
    const more = assigned(back.newFrames());
    all.push(...more);
    unanswered = [...others, ...more];
    t.ok(sum(unanswered) <= WINDOW + LIMITS.frameBytes, `${sum(unanswered)} bytes are unanswered`);
  }
  t.strictSame(
    all.map(({ taskId }) => taskId),
    ids,
  );
  t.equal(back.closed(), null);
  await rig.stop();
});

t.test('a task larger than the window is sent alone', async (t) => {
  const rig = await hub({ socketQueueBytes: LIMITS.frameBytes });
  const peer = await agentWithSlots(rig, 'a1', 4);
  for (let n = 0; n < 3; n += 1) await rig.submit({ body: aBodyOf(90_000) });
  for (let n = 0; n < 3; n += 1) {
    const [one, ...others] = assigned(peer.newFrames());
    t.strictSame(others, []);
    if (one === undefined) throw new Error('no task was sent');
    await says(peer, 'task_accepted', one);
  }
  await rig.stop();
});

t.test('an agent with a full window leaves waiting tasks to others, and small ones too', async (t) => {
  const rig = await hub();
  const slow = await agentWithSlots(rig, 'slow', 100);
  for (let n = 0; n < 2; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  t.equal(assigned(slow.newFrames()).length, 2);
  const large = await rig.submit({ body: aBodyOf(60_000) });
  const small = await rig.submit();
  t.strictSame(assigned(slow.newFrames()), []);
  const other = await rig.peer('other');
  const taken = assigned(await other.identify({ slots: 2 }));
  t.strictSame(
    taken.map(({ taskId }) => taskId),
    [large, small],
  );
  await rig.stop();
});

t.test('R17, I13: a task for which a window became full goes to another agent before a younger one does', async (t) => {
  const rig = await hub({ socketQueueBytes: LIMITS.frameBytes + 20_000 });
  const peers = [await agentWithSlots(rig, 'a1', 2), await agentWithSlots(rig, 'a2', 2)];
  const [large, second, third, fourth] = await Promise.all([60_000, 10, 10, 10].map((bytes) => rig.submit({ body: aBodyOf(bytes) })));
  const taken = peers.map((peer) => assigned(peer.newFrames()).map(({ taskId }) => taskId));
  t.strictSame(taken, [[large], [second, third]]);
  t.match(await rig.summary(fourth as TaskId), /^queued/);
  await rig.stop();
});

for (const answer of ['task_rejected', 'task_complete', 'task_failed'])
  t.test(`${answer} opens the window as well`, async (t) => {
    const rig = await hub();
    const peer = await agentWithSlots(rig, 'a1', 100);
    for (let n = 0; n < 2; n += 1) await rig.submit({ body: aBodyOf(60_000) });
    const [one] = assigned(peer.newFrames());
    if (one === undefined) throw new Error('no task was sent');
    const waiting = await rig.submit({ body: aBodyOf(60_000) });
    t.strictSame(peer.newFrames(), []);
    await says(peer, answer, one, { reason: 'accept.repos', cause: 'policy', result: {}, error: 'it failed' });
    t.match(assigned(peer.newFrames()), [{ taskId: waiting }]);
    await rig.stop();
  });

t.test('so does a cancelled task: in version 2 once its stop is confirmed', async (t) => {
  const rig = await hub();
  const peer = await agentWithSlots(rig, 'a1', 100);
  for (let n = 0; n < 2; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  const [one] = assigned(peer.newFrames());
  if (one === undefined) throw new Error('no task was sent');
  const waiting = await rig.submit({ body: aBodyOf(60_000) });
  await rig.queue.do({ kind: 'cancel', taskId: one.taskId, by: 'tok-1' });
  await settle(rig.clock);
  t.match(peer.newFrames(), [{ type: 'task_cancelled' }]);
  await says(peer, 'task_cancel_ack', one, { outcome: 'not_running' });
  t.match(assigned(peer.newFrames()), [{ taskId: waiting }]);
  await rig.stop();
});

t.test('after a reconnect the unanswered tasks are resent, and count again', async (t) => {
  const rig = await hub();
  const peer = await agentWithSlots(rig, 'a1', 100);
  for (let n = 0; n < 4; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  const before = assigned(peer.newFrames());
  t.equal(before.length, 2);
  await peer.cut();
  const back = await peer.reconnect();
  const resent = assigned(await back.identify({ slots: 100 }));
  t.strictSame(
    resent.map(({ taskId, generation }) => ({ taskId, generation })),
    before.map(({ taskId, generation }) => ({ taskId, generation })),
  );
  t.strictSame(back.newFrames(), []);
  for (const one of resent) await says(back, 'task_accepted', one);
  t.equal(assigned(back.newFrames()).length, 2);
  await rig.stop();
});

t.test('what is resent is measured once it is sent: a task waits for it only if it fills the window', async (t) => {
  const rig = await hub();
  const peer = await agentWithSlots(rig, 'a1', 2);
  // As text inside JSON, each quotation mark would take two bytes.
  const metadata = JSON.stringify({ a: Array.from({ length: WINDOW / 4 }, () => '') });
  await rig.submit({ body: aBody({ metadata }) });
  t.ok(sum(assigned(peer.newFrames())) < WINDOW);
  await peer.cut();
  const waiting = await rig.submit();
  const back = await peer.reconnect();
  t.match(assigned(await back.identify({ slots: 2 })), [{ generation: 1 }, { taskId: waiting }]);
  await rig.stop();
});

t.test('an agent whose socket has closed gets no task, even if its disconnect could not be stored', async (t) => {
  let isAway = false;
  const onStep = (step: string): void => {
    if (isAway && step === 'commit') throw new AgentcomError('AC_STORE_UNAVAILABLE', 'planted');
  };
  const rig = await hubRig({ timing: NO_HEARTBEATS, limits: LIMITS, store: { onStep } });
  const peer = await agentWithSlots(rig, 'a1', 100);
  for (let n = 0; n < 2; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  isAway = true;
  await peer.cut();
  isAway = false;
  for (let n = 0; n < 4; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  const back = await peer.reconnect();
  t.equal(assigned(await back.identify({ slots: 100 })).length, 2, 'those that it was sent before');
  await rig.stop();
});

t.test('a window that opens while nothing can be committed is used once the storage is back', async (t) => {
  let isAway = false;
  const onStep = (step: string): void => {
    if (isAway && step === 'commit') throw new AgentcomError('AC_STORE_UNAVAILABLE', 'planted');
  };
  const rig = await hubRig({ timing: { ...NO_HEARTBEATS, sweepMs: 86_400_000 }, limits: LIMITS, store: { onStep } });
  const peer = await agentWithSlots(rig, 'a1', 100);
  for (let n = 0; n < 3; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  const [one] = assigned(peer.newFrames());
  if (one === undefined) throw new Error('no task was sent');
  isAway = true;
  await says(peer, 'task_accepted', one);
  await rig.pass(5_000);
  isAway = false;
  await rig.pass(1_000);
  t.equal(assigned(peer.newFrames()).length, 1);
  await rig.stop();
});

t.test('hundreds of agents with full windows do not hide one that may get tasks', async (t) => {
  const rig = await hub();
  const FULL = 256;
  for (let n = 0; n < FULL; n += 1) await agentWithSlots(rig, `full-${n}`, 3);
  const largeFor = (n: number) => aDraft(aTaskId(n), { assignTo: `full-${n % FULL}` as AgentId, body: aBodyOf(60_000) });
  const drafts = Array.from({ length: 2 * FULL }, (_, n) => largeFor(n));
  await rig.queue.do({ kind: 'submit', drafts, submittedBy: 'tok-1', idempotency: null });
  await settle(rig.clock);
  const busy = await agentWithSlots(rig, 'busy', 3);
  await rig.submit({ assignTo: 'busy' as AgentId });
  await rig.submit({ assignTo: 'busy' as AgentId });
  busy.newFrames();
  const waiting = await rig.submit();
  t.match(assigned(busy.newFrames()), [{ taskId: waiting }]);
  await rig.stop();
});

t.test('a window that opens costs few bodies of the tasks that wait', async (t) => {
  const rig = await hub();
  for (let n = 0; n < 100; n += 1) await rig.submit({ body: aBodyOf(60_000) });
  const peer = await agentWithSlots(rig, 'a1', 100);
  await peer.cut();
  let loaded = 0;
  watchUnits(rig.storage, (unit) => ({
    bodies(ids) {
      loaded += ids.length;
      return unit.bodies(ids);
    },
  }));
  const back = await peer.reconnect();
  const [one] = assigned(await back.identify({ slots: 100 }));
  if (one === undefined) throw new Error('no task was sent');
  loaded = 0;
  await says(back, 'task_accepted', one);
  t.equal(assigned(back.newFrames()).length, 1);
  t.ok(loaded <= 16, `${loaded} bodies`);
  await rig.stop();
});
