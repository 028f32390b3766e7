/** An unavailable or slow storage, an overloaded hub: what becomes of live assignments, and how often the hub retries. */
import t from 'tap';
import { memoryStorage } from '../../../../adapters/storage-memory/memory-storage.ts';
import type { AgentId, Generation } from '../../../../core/domain/ids.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { hubRig, type HubRig, type RigOptions } from '../hub-rig.ts';
import { gate, type Gate } from '../../../rig/gate.ts';

/** A rig whose storage can be made unavailable; counts the transactions requested of it. */
async function fragileRig(options: RigOptions = {}): Promise<HubRig & { away: boolean; tries: number }> {
  const state = { away: false, tries: 0 };
  const rig = await hubRig({
    ...options,
    store: {
      onStep: (step) => {
        if (step !== 'begin') return;
        state.tries += 1;
        if (state.away) throw new AgentcomError('AC_STORE_UNAVAILABLE', 'planted: no space left on device');
      },
    },
  });
  return Object.assign(state, rig);
}

t.test('R15: an outage of the storage longer than every lease costs nothing', async (t) => {
  // Before, the first sweep that succeeded reclaimed everything that had expired meanwhile; the quiet period started
  // only after it.
  const rig = await fragileRig({ timing: { quietAfterStartMs: 60_000, leaseMs: 60_000, acceptMs: 60_000, heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 2 });
  const accepted = await rig.submit();
  const unseen = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: accepted, generation: 1 });
  await rig.pass(50_000);
  rig.away = true;
  await rig.pass(600_000);
  rig.away = false;
  await rig.pass(55_000);
  for (const id of [accepted, unseen]) t.match((await rig.record(id)).task, { status: 'assigned', generation: 1, retryCount: 0 });
  await rig.pass(40_000);
  t.match(await rig.summary(accepted), / lost /, 'silence counts again when the quiet period is over');
  // Before, each sweep of the outage logged it again: two lines a second.
  const quiet = rig.log.lines.filter(({ message }) => message.startsWith('a quiet period begins'));
  t.equal(quiet.filter(({ fields }) => /storage/.test(String(fields['because']))).length, 1, 'an outage is logged once');
});

t.test('R15: a short outage that swallows an accept costs nothing', async (t) => {
  // No sweep hit the outage; the queue did, and reports it.
  const rig = await fragileRig({ timing: { quietAfterStartMs: 60_000, acceptMs: 35_000, heartbeatMs: 10_000_000 } });
  await rig.pass(70_000);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await rig.pass(31_000);
  rig.away = true;
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  t.notOk(
    peer.newFrames().some((frame) => frame.type === 'task_ack'),
    'an accept that cannot be committed is not answered',
  );
  rig.away = false;
  await rig.pass(10_000);
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 });
});

t.test('a sweep that cannot be committed is not retried without a pause', async (t) => {
  // Before, what was due stayed due, and the next sweep followed each failed one after 20 ms.
  const rig = await fragileRig({ timing: { acceptMs: 10_000, heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  await rig.submit();
  rig.away = true;
  await rig.pass(9_000);
  rig.tries = 0;
  await rig.pass(60_000);
  t.ok(rig.tries > 2 && rig.tries <= 70, `${rig.tries} tries in a minute`);
});

t.test('the end of a pause is not forgotten when its sweep fails', async (t) => {
  // It is in no row that is due, so before, the next regular sweep half a minute later was the first to see it.
  const rig = await fragileRig({ timing: { heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const first = await rig.submit();
  await peer.send({ type: 'task_released', task_id: first, generation: 1, reason: 'not logged in', retry_after_ms: 40_000 });
  await rig.pass(39_000);
  rig.away = true;
  await rig.pass(2_000);
  rig.away = false;
  await rig.pass(1_100);
  t.equal((await rig.record(first)).task.status, 'assigned');
});

t.test('an overloaded hub still sweeps and still records disconnects', async (t) => {
  let held: Gate | null = null;
  const rig = await hubRig({ limits: { inboxCommands: 2 }, store: { onStep: (step) => (step === 'begin' ? held?.opened : undefined) } });
  held = gate();
  const busy = Array.from({ length: 4 }, () => rig.queue.do({ kind: 'cancel', taskId: 'task-0000000000000001' as never, by: 'op' }));
  const outcomes = Promise.allSettled(busy);
  const sweep = rig.queue.do({ kind: 'sweep' });
  const gone = rig.queue.do({ kind: 'disconnect', from: { agentId: 'a1' as AgentId, session: 1 } });
  held.open();
  await t.resolves(sweep);
  await t.resolves(gone);
  t.ok((await outcomes).some((one) => one.status === 'rejected' && AgentcomError.is(one.reason, 'AC_HUB_BUSY')));
});

t.test('R15: a run limit that passes while the hub is down or the agent is away waits for its sidecar to report', async (t) => {
  const rig = await hubRig({ timing: { reconnectGraceMs: 100_000, leaseMs: 1_000_000, heartbeatMs: 10_000_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit({ runMaxMs: 10_000 });
  const name = { task_id: id, generation: 1 };
  await peer.send({ type: 'task_accepted', ...name });
  await rig.pass(5_000);
  await peer.cut();
  await rig.pass(90_000);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1 }, 'past its run limit, within its grace period');
  const back = await peer.reconnect();
  await back.identify({ held: [{ ...name, status: 'reporting' }] });
  await back.send({ type: 'task_complete', ...name, result: 1 });
  t.match(back.newFrames().at(-1), { type: 'task_ack', status: 'complete' });
});

t.test('a COMMIT whose outcome cannot be looked up is not retried in parts', async (t) => {
  // Before, looking it up failed for a reason of its own, and the halves of the batch were executed again.
  let commits = 0;
  const rig = await hubRig({
    store: {
      onStep: (step) => {
        if (step === 'committed' && commits++ === 3) throw new AgentcomError('AC_COMMIT_UNKNOWN', 'planted');
      },
    },
  });
  const inner = rig.storage.tasks.committed;
  Object.assign(rig.storage.tasks, { committed: () => Promise.reject(new AgentcomError('AC_STORE_RETRY', 'planted')) });
  const outcomes = await Promise.allSettled([rig.submit(), rig.submit()]);
  Object.assign(rig.storage.tasks, { committed: inner });
  t.same(
    outcomes.map((one) => one.status),
    ['rejected', 'rejected'],
  );
  t.equal(commits, 4, 'three at the start, and one batch');
});

t.test('an agent gets its next task after a batch that may have freed its slot, and whose outcome cannot be looked up', async (t) => {
  // Before, the roster kept the agent as full until it connected again: its repeated report is a duplicate, which changes nothing.
  let isPlanted = false;
  const rig = await hubRig({
    timing: { reconnectGraceMs: 100_000, leaseMs: 1_000_000_000, heartbeatMs: 1_000_000_000 },
    store: {
      onStep: (step) => {
        if (step !== 'committed' || !isPlanted) return;
        isPlanted = false;
        throw new AgentcomError('AC_COMMIT_UNKNOWN', 'planted');
      },
    },
  });
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 1 });
  const done = { task_id: await rig.submit(), generation: 1 };
  await peer.send({ type: 'task_accepted', ...done });
  const inner = rig.storage.tasks.committed;
  Object.assign(rig.storage.tasks, { committed: () => Promise.reject(new AgentcomError('AC_STORE_UNAVAILABLE', 'planted')) });
  isPlanted = true;
  await peer.send({ type: 'task_complete', ...done, result: 1 });
  t.equal(isPlanted, false);
  Object.assign(rig.storage.tasks, { committed: inner });
  t.equal((await rig.record(done.task_id)).task.status, 'completed', 'it was committed');
  t.not(peer.closed(), null, 'the agent connects again');
  const back = await peer.reconnect();
  await back.identify({ slots: 1, held: [{ ...done, status: 'reporting' }] });
  await back.send({ type: 'task_complete', ...done, result: 1 });
  t.match(back.newFrames().at(-1), { type: 'task_ack', status: 'complete' });
  const next = await rig.submit();
  t.equal((await rig.record(next)).task.status, 'assigned');
});

t.test('R2: a batch that the store asks to repeat too often is split, and its tries stay bounded', async (t) => {
  let tries = 0;
  let busy = false;
  const rig = await hubRig({
    store: {
      onStep: (step) => {
        if (step !== 'begin' || !busy) return;
        tries += 1;
        throw new AgentcomError('AC_STORE_RETRY', 'planted');
      },
    },
  });
  busy = true;
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => rig.queue.do({ kind: 'cancel', taskId: 'task-0000000000000001' as never, by: 'op' })),
  );
  t.ok(outcomes.every((one) => one.status === 'rejected'));
  // Five of the whole, then two of each half, quarter and command.
  t.equal(tries, 5 + 2 * (2 + 4 + 8));
});

t.test('the inbox counts the bytes of a report', async (t) => {
  const rig = await hubRig({ limits: { inboxBytes: 100_000 } });
  const progress = (): Promise<unknown> =>
    rig.queue.do({
      kind: 'report',
      from: { agentId: 'a1' as AgentId, session: 1 },
      taskId: 'task-0000000000000001' as never,
      generation: 1 as Generation,
      body: { report: 'progress', details: { execution_event: 'x'.repeat(30_000) }, tokensUsed: null, costUsd: null },
    });
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, progress));
  t.equal(outcomes.filter((one) => one.status === 'fulfilled').length, 1);
});

t.test('R15: storage that only stalled everything counts as an outage', async (t) => {
  // Before, the sweep was first in line when the storage continued, ahead of the accept that had waited with it.
  let held: Gate | null = null;
  const timing = { quietAfterStartMs: 5_000, acceptMs: 10_000, sweepMs: 7_000, heartbeatMs: 10_000_000 };
  const rig = await hubRig({ timing, store: { onStep: (step) => (step === 'begin' ? held?.opened : undefined) } });
  await rig.pass(6_000);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  held = gate();
  await rig.pass(12_000);
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  held.open();
  await rig.pass(0);
  t.match(await rig.summary(id), /^assigned 1: submitted eligible assigned accepted$/);
});

t.test('R15: storage that stalled on one commit counts as an outage', async (t) => {
  // Before, no sweep was requested meanwhile, and the next one reclaimed what had not been accepted in time.
  let held: Gate | null = null;
  const timing = { quietAfterStartMs: 5_000, reconnectGraceMs: 5_000, acceptMs: 12_000, sweepMs: 60_000, heartbeatMs: 10_000_000 };
  const rig = await hubRig({ timing, store: { onStep: (step) => (step === 'commit' ? held?.opened : undefined) } });
  await rig.pass(6_000);
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await rig.pass(2_000);
  held = gate();
  const other = rig.submit({ neededCapabilities: ['no agent has it'] });
  await rig.pass(8_500);
  held.open();
  held = null;
  await other;
  await rig.pass(3_000);
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  t.match(await rig.summary(id), /^assigned 1: submitted eligible assigned accepted$/);
});

t.test('J7: a sweep that waited for a commit reclaims nothing whose deadline passed meanwhile', async (t) => {
  // What the agent has sent by then is handled only after the batch of the sweep has begun.
  let held: Gate | null = null;
  const timing = { leaseMs: 10_000, sweepMs: 60_000, heartbeatMs: 10_000_000 };
  const rig = await hubRig({ timing, store: { onStep: (step) => (step === 'commit' ? held?.opened : undefined) } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.submit({ runAtMs: rig.clock.nowMs() + 9_950 });
  await rig.pass(9_900);
  held = gate();
  const other = rig.submit();
  await rig.pass(200);
  held.open();
  held = null;
  await peer.send({ type: 'task_progress', task_id: id, generation: 1 });
  await other;
  await rig.pass(1_000);
  t.match(await rig.summary(id), /^assigned 1: submitted eligible assigned accepted$/);
  await rig.pass(10_000);
  t.match(await rig.summary(id), / lost /, 'the next sweeps do');
});

t.test('R15: a hub that is slow to stop reclaims nothing from the agents that it disconnected', async (t) => {
  const clock = virtualClock();
  const storage = { ...memoryStorage({ clock }), close: () => Promise.resolve() };
  // Each part of the rig takes 5 s to stop: several times this grace period.
  const rig = await hubRig({ clock, storage, timing: { reconnectGraceMs: 4_000, sweepMs: 1_000 } });
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await rig.stop();
  t.equal(peer.closed(), 1012);
  t.match((await rig.record(id)).task, { status: 'assigned', generation: 1, retryCount: 0 });
});
